"""Loading, as production does it, and the watch over what must hold after every test."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import F

from elections.models import Election
from elections.services import ConstituencyDraft, RegistryService
from metrics.services import verify
from tests.oracle import File
from tests.transactions.lines import A, B, content
from transactions.formats import ExportFile, discover
from transactions.models import ImportBatch
from transactions.services import ImportService, ImportSummary

Load = Callable[..., ImportSummary]


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "corrupts: spoils figures on purpose, so nothing is checked after it"
    )


@pytest.fixture(autouse=True)
def figures_stay_exact(request):
    """Check after every test with a database that nothing was lost or counted twice."""
    if request.node.get_closest_marker("django_db") is None:
        yield
        return
    request.getfixturevalue("db")
    yield
    if request.node.get_closest_marker("corrupts") is None:
        assert unaccounted_batches() == []
        assert list(verify()) == []


def unaccounted_batches() -> list[ImportBatch]:
    """Return batches whose lines became anything but accepted, duplicate and so on."""
    accounted = F("accepted") + F("duplicate") + F("conflicting") + F("rejected")
    return list(ImportBatch.objects.exclude(rows_read=accounted))


@pytest.fixture
def election(db) -> Election:
    """Return an election that cuts hours, and names files, in UTC; with contract A."""
    election = Election.objects.create(
        slug="duma", name="Выборы", timezone="UTC", export_timezone="UTC"
    )
    register_contracts(election, A)
    return election


@pytest.fixture
def two_contracts(election) -> Election:
    """Return the election with contracts A and B."""
    register_contracts(election, B)
    return election


def register_contracts(election: Election, *contract_ids: str) -> None:
    drafts = [ConstituencyDraft(contract_id) for contract_id in contract_ids]
    RegistryService().register(drafts, election=election)


@pytest.fixture
def write(tmp_path) -> Callable[..., list[ExportFile]]:
    """Write files to disk, each in a folder of its own; return them in their order."""
    folders = (tmp_path / f"{number:05}" for number in itertools.count())
    return lambda *files: list(_written(files, folders))


def _written(files: Sequence[File], folders: Iterator[Path]) -> Iterator[ExportFile]:
    for file, folder in zip(files, folders, strict=False):
        folder.mkdir()
        (folder / file.name).write_bytes(content(file))
        yield from discover([folder]).files


@pytest.fixture
def load(election, write) -> Load:
    """Load files in the order given; return what that did."""

    def load(*files: File, **options: Any) -> ImportSummary:
        return ImportService(**options).import_files(write(*files))

    return load


def environment_of_test_database() -> dict[str, str]:
    """Return what makes another process use the database of this test."""
    name, user = connection.settings_dict["NAME"], connection.settings_dict["USER"]
    host = connection.settings_dict["OPTIONS"]["host"]
    return {
        "DATABASE_URL": f"postgresql://{user}@/{name}?host={host}",
        "REDIS_URL": settings.REDIS_URL,
        "VAR_DIR": str(settings.VAR_DIR),
        "SECRET_KEY": "only-for-tests",
    }
