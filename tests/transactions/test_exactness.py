"""Whatever is loaded, in whatever order and pieces: the figures are those of the oracle.

Histories are made of few transactions, so that they meet: votes of one key in one
millisecond, refusals, revotes, register changes, statements about one id in several
files with and without an hour, ids with other content, broken lines.
"""

import zipfile
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from elections.models import Constituency, Election
from metrics.models import HourlyStats
from metrics.services import HourlyStatsService, verify
from tests.oracle import Figures, File, Recount, recount
from tests.tables import COUNTS, hourly_table, totals_table
from tests.transactions.conftest import (
    environment_of_test_database,
    register_contracts,
)
from tests.transactions.lines import (
    BROKEN,
    A,
    B,
    content,
    dump,
    fail,
    fresh_contracts,
    hour_file,
    issue,
    other,
    register,
    rollback_of,
    vote,
    without_result,
)
from transactions.models import (
    BatchStatus,
    ConflictingRow,
    ConflictKind,
    ImportBatch,
    Transaction,
)
from transactions.operations import Outcome
from transactions.positions import hour_base, interval_base
from transactions.services import ImportService, import_paths

# Each transaction in its own words, and in those of somebody who rewrote it.
CATALOGUE = [
    (issue("i1", "09:10", to="u1 u2"), issue("i1", "09:10", to="u1")),
    (issue("i2", "10:20"), issue("i2", "09:20")),
    (vote("v1", "09:10", key="k1"), fail(vote("v1", "09:10", key="k1"))),
    (vote("v2", "09:10", key="k1"), vote("v2", "10:10", key="k1")),
    (vote("v3", "10:05", key="k1"), vote("v3", "09:05", key="k1")),
    (vote("v4", "10:00", key="k2"), vote("v4", "10:00", key="k1")),
    (fail(vote("f1", "09:01", key="k1")), vote("f1", "09:01", key="k1")),
    (without_result(vote("n1", key="k2")), vote("n1", key="k2")),
    (register("r1", "09:00", add=5), register("r1", "09:00", add=4)),
    (register("r2", "10:00", remove=2), fail(register("r2", "10:00", remove=2))),
    (register("r3", "10:30", restore=1), other("r3", "10:30")),
]
# Rows and files of a chunk.
CHUNKS = st.sampled_from([(1, 1), (2, 1), (3, 2), (5, 3), (1_000, 2), (1_000, 100)])


@dataclass(frozen=True)
class Draft:
    """A file before it is known which contract it belongs to."""

    contract: int
    hour: str | None
    lines: tuple[bytes, ...]

    def file(self, contract_ids):
        build = partial(hour_file, self.hour) if self.hour else dump
        return build(*self.lines, contract_id=contract_ids[self.contract])


def lines(*, rewritten: bool) -> st.SearchStrategy[bytes]:
    known = st.sampled_from(CATALOGUE)
    told = known.flatmap(st.sampled_from) if rewritten else known.map(lambda c: c[0])
    stated = st.one_of(told, told, told.map(rollback_of))
    return st.one_of(*[stated] * 9, st.sampled_from([BROKEN, b""]))


def drafts(*, rewritten: bool) -> st.SearchStrategy[list[Draft]]:
    return st.lists(
        st.builds(
            Draft,
            contract=st.integers(0, 1),
            hour=st.sampled_from(["09:00", "10:00", None]),
            lines=st.lists(lines(rewritten=rewritten), max_size=5).map(tuple),
        ),
        min_size=1,
        max_size=5,
    )


ZONES = st.sampled_from(["UTC", "Europe/Moscow", "Asia/Kathmandu"])
exhaustive = settings(
    max_examples=120,
    # Examples are small as they are: making a failing one smaller takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Ballot:
    """An election of two fresh contracts, and ways to load it and look at it."""

    def __init__(self, zone: str, write) -> None:
        self.contract_ids = [next(fresh_contracts), next(fresh_contracts)]
        self.zones = dict.fromkeys(self.contract_ids, ZoneInfo(zone))
        slug = f"ballot-{self.contract_ids[0][-4:].lower()}-{Election.objects.count()}"
        self.election = Election.objects.create(slug=slug, name=slug, timezone=zone)
        register_contracts(self.election, *self.contract_ids)
        self._write = write

    def files(self, drafted: list[Draft]) -> list[File]:
        return [draft.file(self.contract_ids) for draft in drafted]

    def load(self, files: list[File], chunks: tuple[int, int]) -> int:
        """Load the files and return how many rows were read."""
        rows, number = chunks
        with override_settings(CHUNK_ROWS=rows, CHUNK_FILES=number):
            summary = ImportService().import_files(self._write(*files))
        return summary.rows_read

    def forget_contents(self) -> None:
        """Let the next import read the files again instead of knowing them by hash."""
        # By contract, which is indexed: inside one long test transaction the planner has
        # no statistics, and a join over all elections so far would take seconds.
        batches = ImportBatch.objects.filter(contract_id__in=self.contract_ids)
        batches.update(status=BatchStatus.INTERRUPTED)

    def stored(self) -> dict[str, object]:
        return stored_state(self.election)

    def expected(self, files: list[File]) -> dict[str, object]:
        zones = {file.contract_id: self.zones[file.contract_id] for file in files}
        return expected_state(recount(files, zones), self.contract_ids)

    def assert_exact(self) -> None:
        assert list(verify(election=self.election.slug)) == []


def stored_state(election) -> dict[str, object]:
    """Return all that the database says of the election, in the oracle's words."""
    places = {c.pk: c for c in Constituency.objects.filter(election=election)}
    stats = HourlyStats.objects.filter(constituency__in=places)
    conflicts = ConflictingRow.objects.filter(
        constituency__in=places, kind=ConflictKind.CONTENT
    )
    return {
        "ledger": {
            (places[row.constituency_id].contract_id, row.tx_id): (
                round(row.timestamp.timestamp() * 1000),
                Outcome(row.outcome).label,
                row.position,
                row.rolled_back,
            )
            for row in Transaction.objects.filter(constituency__in=places)
        },
        "hours": {
            (places[row.constituency_id].contract_id, row.hour): figures
            for row in stats
            if (figures := _figures(row)) != Figures()
        },
        "totals": {c.contract_id: _figures(c) for c in places.values()},
        "register": {
            c.contract_id: c.ledger_registered_voters for c in places.values()
        },
        "conflicts": set(conflicts.values_list("constituency__contract_id", "tx_id")),
    }


def expected_state(counted: Recount, contract_ids) -> dict[str, object]:
    ledger = {}
    for key, known in counted.ledger.items():
        is_hourly, interval, ordinal, is_gone = known.statement
        ms = known.content.timestamp_ms
        base = interval_base(interval) if is_hourly else hour_base(ms)
        ledger[key] = (ms, known.content.outcome, base + ordinal, is_gone)
    return {
        "ledger": ledger,
        "hours": counted.hours,
        "totals": {c: counted.totals.get(c, Figures()) for c in contract_ids},
        "register": {c: counted.registered.get(c) or 0 for c in contract_ids},
        "conflicts": set(counted.conflicts),
    }


def _figures(row) -> Figures:
    return Figures(**{name: getattr(row, name) for name in COUNTS})


@pytest.mark.django_db
@given(
    history=drafts(rewritten=True),
    zone=ZONES,
    chunks=CHUNKS,
    again=CHUNKS,
    data=st.data(),
)
@exhaustive
def test_any_history_in_any_chunks_is_what_the_oracle_counts(
    write, history, zone, chunks, again, data
):
    ballot = Ballot(zone, write)
    files = ballot.files(history)

    rows_read = ballot.load(files, chunks)

    expected = ballot.expected(files)
    assert ballot.stored() == expected
    assert rows_read == recount(files, ballot.zones).rows_read
    ballot.assert_exact()

    ballot.load(files, again)
    ballot.forget_contents()
    ballot.load(data.draw(st.permutations(files)), again)

    assert ballot.stored() == expected
    ballot.assert_exact()


@pytest.mark.django_db
@given(history=drafts(rewritten=False), zone=ZONES, data=st.data())
@exhaustive
def test_the_order_of_loading_does_not_matter(write, history, zone, data):
    ballot = Ballot(zone, write)
    files = ballot.files(history)

    for file in data.draw(st.permutations(files)):
        ballot.load([file], data.draw(CHUNKS))

    assert ballot.stored() == ballot.expected(files)
    ballot.assert_exact()


@pytest.mark.django_db
@given(history=drafts(rewritten=True), chunks=CHUNKS)
@settings(exhaustive, max_examples=60)
def test_counting_again_finds_nothing_to_change(write, history, chunks):
    ballot = Ballot("Asia/Kathmandu", write)
    ballot.load(ballot.files(history), chunks)

    found = HourlyStatsService().aggregate_hourly_stats_for_election(
        ballot.election.slug, now=timezone.now()
    )

    assert (found.hours_changed, found.constituencies_changed) == (0, 0)


# The same content in other wrappings --------------------------------------------------


def busy_day() -> list[File]:
    """Return the files of two contracts: rollbacks, revotes, late rows, versions."""
    drafted = []
    for number, contract_id in enumerate((A, B)):
        early = vote("v1", "09:30", key="k1")
        drafted += [
            hour_file("08:00", register("r1", "08:00", add=9), contract_id=contract_id),
            hour_file(
                "09:00",
                issue("i1", "09:10", to="u1 u2"),
                early,
                BROKEN,
                rollback_of(early),
                vote("v2", "09:30", key="k1"),
                contract_id=contract_id,
            ),
            hour_file(
                "10:00",
                early,
                vote("v3", "09:59", key="k2"),
                rollback_of(issue("i1", "09:10", to="u1 u2")),
                contract_id=contract_id,
            ),
            hour_file(
                "11:00",
                register("r2", "11:10", remove=number + 1),
                contract_id=contract_id,
            ),
            dump(issue("i1", "09:10", to="u1 u2"), early, contract_id=contract_id),
        ]
    return drafted


def as_files(folder, files):
    for file in files:
        path = folder / file.name.removesuffix(".csv") / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(file))


def as_zips(folder, files):
    for file in files:
        with zipfile.ZipFile(folder / f"{file.name[:-4]}.zip", "w") as archive:
            archive.writestr(file.name, content(file))


def as_one_zip(folder, files):
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in reversed(files):
            archive.writestr(file.name, content(file))


def as_zip_per_contract(folder, files):
    by_contract = groupby(
        sorted(files, key=lambda f: f.contract_id), lambda f: f.contract_id
    )
    for contract_id, group in by_contract:
        with zipfile.ZipFile(folder / f"{contract_id[-3:]}-day.zip", "w") as archive:
            for file in group:
                archive.writestr(f"{contract_id}/{file.name}", content(file))


WRAPPINGS = [as_files, as_zips, as_one_zip, as_zip_per_contract]


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_the_wrapping_does_not_matter(load, two_contracts, tmp_path, wrap):
    wrapped = tmp_path / "wrapped"
    wrapped.mkdir()
    wrap(wrapped, busy_day())

    first = import_paths([str(wrapped)])
    figures = hourly_table(), totals_table(), stored_state(two_contracts)
    again = load(*busy_day())

    zones = {A: ZoneInfo("UTC"), B: ZoneInfo("UTC")}
    assert figures[2] == expected_state(recount(busy_day(), zones), [A, B])
    assert first.files_failed == 0
    assert again.files_unchanged == again.files
    assert (hourly_table(), totals_table(), stored_state(two_contracts)) == figures


@pytest.mark.django_db(transaction=True)
def test_the_number_of_workers_does_not_matter(two_contracts, tmp_path, monkeypatch):
    as_files(tmp_path, busy_day())
    for name, value in environment_of_test_database().items():
        monkeypatch.setenv(name, value)

    summary = import_paths([str(tmp_path)], workers=2)

    zones = {A: ZoneInfo("UTC"), B: ZoneInfo("UTC")}
    oracle = recount(busy_day(), zones)
    assert stored_state(two_contracts) == expected_state(oracle, [A, B])
    assert summary.rows_read == oracle.rows_read
    assert summary.rejected == 2
