"""Who may call what: the table in docs/api.md is tried on every endpoint.

A path that is not in the table, and one that is not there any more, are errors. What a new
placeholder stands for is added to `KNOWN`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from elections.roles import Role
from metrics.models import MetricsUpdate
from tests.anomalies.factories import make_alert
from tests.factories import make_constituency, make_election, make_token, make_user
from tests.feed import make_batch

pytestmark = pytest.mark.django_db

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"
COLUMNS = ["anonymous", "no role", *Role]
ROW = re.compile(r"(GET|POST|PATCH|PUT|DELETE) `([^`]+)`")
WORDS = {"yes", "public", "–"}
# Not described by the schema: the description itself and its viewer.
UNDESCRIBED = {("GET", "schema/"), ("GET", "docs/")}
KNOWN = {"slug": "duma", "contract_id": "A"}
NO_BODY = {"GET", "DELETE"}


@dataclass(frozen=True)
class Row:
    """An endpoint, and what each column says of it."""

    method: str
    path: str
    cells: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def table() -> list[Row]:
    """Return the rows of the table below the heading."""
    section = DOCUMENT.read_text().partition("## Who may call what")[2]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if "|" in line]
    header, _, *rows = ([cell.strip() for cell in line.split("|")] for line in lines)
    assert header[2:-1] == COLUMNS
    found = []
    for row in rows:
        endpoint = ROW.fullmatch(row[1])
        assert endpoint, f"Write a method and a path in backticks: {row[1]}"
        method, path = endpoint.groups()
        found.append(Row(method, path, dict(zip(COLUMNS, row[2:-1], strict=True))))
    return found


ROWS = table()


@pytest.fixture(autouse=True)
def places(settings):
    """Make what the paths lead to."""
    settings.FILE_UPLOAD_TEMP_DIR.mkdir(exist_ok=True)
    make_constituency(contract_id="A", election=make_election(slug="duma"))


@pytest.fixture
def ids():
    """Return the id that stands for `{id}`, by the first part of a path."""
    update = MetricsUpdate.objects.create(
        scope="constituency:1",
        trigger="manual",
        priority=0,
        requested_at=timezone.now(),
        available_at=timezone.now(),
    )
    return {
        "imports": make_batch().pk,
        "metrics": update.pk,
        "alerts": make_alert().pk,
    }


def headers_of(column: str) -> dict[str, str]:
    """Return what a caller of a column sends."""
    if column == "anonymous":
        return {}
    groups = [] if column == "no role" else [column]
    return {"authorization": f"Token {make_token(make_user(*groups, password=None))}"}


def call(row: Row, headers: dict[str, str], ids: dict[str, int]) -> int:
    known = {**KNOWN, "id": ids.get(row.path.split("/")[0], 1)}
    client = Client(enforce_csrf_checks=True)
    if row.path == "auth/login/":
        client.get("/api/v1/me/")
        headers = {**headers, "x-csrftoken": client.cookies["csrftoken"].value}
    response = client.generic(
        row.method,
        f"/api/v1/{row.path.format(**known)}",
        "" if row.method in NO_BODY else "{}",
        "application/json",
        headers=headers,
    )
    assert response.status_code < 500, response.content
    return response.status_code


def test_the_table_is_filled_in():
    assert [row.name for row in ROWS if not set(row.cells.values()) <= WORDS] == []
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_every_endpoint_is_in_the_table():
    described = SchemaGenerator().get_schema(public=True)["paths"]
    offered = {
        (method.upper(), _as_documented(path))
        for path, methods in described.items()
        for method in methods
    }

    assert {(row.method, row.path) for row in ROWS} == offered | UNDESCRIBED


def _as_documented(path: str) -> str:
    return path.removeprefix("/api/v1/").replace("{pk}", "{id}")


@pytest.mark.parametrize("is_public", [True, False], ids=["public", "private"])
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_role_may_what_the_table_says(row, is_public, settings, ids):
    settings.API_PUBLIC_READ = is_public
    allowed = {"yes": True, "public": is_public, "–": False}

    answers = {column: call(row, headers_of(column), ids) for column in COLUMNS}

    may = {column: status not in {401, 403} for column, status in answers.items()}
    assert may == {column: allowed[row.cells[column]] for column in COLUMNS}, answers
    assert answers["anonymous"] != 403
    assert 401 not in [answers[column] for column in COLUMNS[1:]]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_method_that_a_path_does_not_have_is_405_for_everybody(row, ids):
    status = call(Row("PUT", row.path, {}), headers_of("viewer"), ids)

    assert status == 405


def test_a_user_of_several_roles_may_what_either_may(settings):
    settings.API_PUBLIC_READ = False
    token = make_token(make_user("viewer", "feeder"))
    client = Client(headers={"authorization": f"Token {token}"})

    read = client.get("/api/v1/regions/").status_code
    posted = client.post(
        "/api/v1/transactions/", {"transactions": []}, "application/json"
    ).status_code

    assert (read, posted) == (200, 200)
