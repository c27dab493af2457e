"""Whatever is spoiled shows, and counting again heals what the ledger knows better."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from elections.models import Constituency
from metrics.models import HourlyStats
from metrics.services import HourlyStatsService, verify
from tests.tables import COUNTS, hourly_table, totals_table
from tests.transactions.lines import (
    A,
    B,
    fail,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)

pytestmark = [pytest.mark.django_db, pytest.mark.corrupts]


ONE_ISSUE_OF_A = {
    (figure, hour, A)
    for figure in ("bulletins_issued", "transaction_count")
    for hour in ("09:00", None)
}


@pytest.fixture
def day(two_contracts, load):
    gone = vote("v9", "08:10", key="k9")
    load(
        hour_file("08:00", register("r1", "08:00", add=8), gone),
        hour_file("07:00", vote("x1", "07:10", key="x1")),
        hour_file("09:00", issue("i1"), vote("v1"), vote("v2"), fail(vote("v3"))),
        hour_file("10:00", rollback_of(gone), vote("v4", "10:00", key="k4")),
        hour_file("11:00", rollback_of(vote("x1", "07:10", key="x1"))),
        hour_file("09:00", vote("v1"), contract_id=B),
    )
    assert list(verify()) == []


def everything():
    return hourly_table("participation_rate"), totals_table()


def found():
    return {(d.what, d.hour and f"{d.hour:%H:%M}", d.contract_id) for d in verify()}


def heal():
    HourlyStatsService().aggregate_hourly_stats_for_election("duma", now=timezone.now())


def hour_of_a(clock):
    return HourlyStats.objects.filter(constituency__name=A, hour__hour=clock)


@pytest.mark.parametrize("figure", COUNTS)
@pytest.mark.parametrize("clock", [7, 9], ids=["an empty hour", "a full hour"])
def test_a_wrong_figure_of_an_hour_shows_and_heals(day, figure, clock):
    before = everything()
    hour_of_a(clock).update(**{figure: 41})

    assert (figure, f"{clock:02}:00", A) in found()
    heal()
    assert found() == set()
    assert everything() == before


@pytest.mark.parametrize(
    "figure", [*COUNTS, "ledger_registered_voters", "voters_list_count"]
)
def test_a_wrong_total_shows_and_heals(day, figure):
    before = everything()
    Constituency.objects.filter(name=A).update(**{figure: 41})

    assert (figure, None, A) in found()
    heal()
    assert found() == set()
    assert everything() == before


@pytest.mark.parametrize("clock", [7, 9], ids=["an empty hour", "a full hour"])
@pytest.mark.parametrize("rate", [41.5, None])
def test_a_wrong_rate_shows_and_heals(day, rate, clock):
    hour_of_a(clock).update(participation_rate=rate)

    assert found() == {("participation_rate", f"{clock:02}:00", A)}
    heal()
    assert found() == set()


def test_a_missing_hour_shows_and_heals(day):
    before = everything()
    hour_of_a(9).delete()

    assert found() == {(figure, "09:00", A) for figure in COUNTS}
    heal()
    assert everything() == before


def test_an_hour_that_never_was_shows_and_heals(day):
    row = hour_of_a(9).get()
    row.pk, row.hour = None, row.hour.replace(hour=20)
    row.save()

    assert ("votes_cast", "20:00", A) in found()
    heal()
    assert found() == set()


def test_an_hour_of_another_zone_shows_and_heals(day, election):
    election.timezone = "Asia/Kolkata"
    election.save()

    assert ("votes_cast", "09:00", A) in found()
    heal()
    assert found() == set()


def test_a_vote_that_wrongly_does_not_count_shows(day):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE transactions_transaction SET counted = false WHERE tx_id = 'v4'"
        )

    assert ("counted votes", None, A) in found()


def test_the_wrong_vote_of_a_key_shows(day):
    with connection.cursor() as cursor:
        for tx_id, counted in (("v1", False), ("v2", True)):
            cursor.execute(
                "UPDATE transactions_transaction SET counted = %s WHERE tx_id = %s",
                [counted, tx_id],
            )

    assert ("counted votes", None, A) in found()


def test_a_state_that_was_changed_behind_the_loader_shows(day):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE transactions_transaction SET rolled_back = true, counted = false "
            "WHERE tx_id = 'i1'"
        )

    assert found() == ONE_ISSUE_OF_A
    heal()
    assert found() == set()


def test_a_row_that_was_put_in_behind_the_loader_shows(day):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO transactions_transaction (constituency_id, tx_id, "
            '"timestamp", operation, outcome, quantity, sender, recipients, '
            'polling_station, payload, batch_id, "position", rolled_back, counted) '
            "SELECT constituency_id, 'forged', "
            '"timestamp", operation, outcome, quantity, sender, recipients, '
            'polling_station, payload, batch_id, "position", rolled_back, counted '
            "FROM transactions_transaction WHERE tx_id = 'i1'"
        )

    assert found() == ONE_ISSUE_OF_A


def test_only_the_election_asked_for_is_compared(day):
    Constituency.objects.filter(name=B).update(votes_cast=41)

    assert [d.contract_id for d in verify(election="duma")] == [B]
    assert list(verify(election="nowhere")) == []


def test_a_difference_says_what_is_stored_and_what_was_counted(day):
    hour_of_a(9).update(participation_rate=None, revotes=3)
    Constituency.objects.filter(name=A).update(voters_list_count=2)

    assert [str(d) for d in verify()] == [
        f"{A} 2026-09-18 09:00 UTC: participation_rate is unknown, the ledger says 12.5",
        f"{A} 2026-09-18 09:00 UTC: revotes is 3, the ledger says 1",
        f"{A} in total: voters_list_count is 2, the ledger says 1",
    ]


def test_the_progress_counts_every_constituency(day, monkeypatch):
    monkeypatch.setattr("metrics.services.groups.GROUP_ROWS", 1)
    steps = []

    assert list(verify(on_done=steps.append)) == []
    assert steps == [1, 1]


# The command --------------------------------------------------------------------------


def run(*words):
    out = StringIO()
    with pytest.raises(SystemExit) as stop:
        call_command("verify_metrics", *words, stdout=out)
    return stop.value.code, out.getvalue()


def test_the_command_finds_all_equal(day):
    status, out = run("--election", "duma")

    assert (status, out.strip()) == (0, "All figures equal the ledger.")
    assert json.loads(run("--json")[1]) == {"equal": True, "differences": []}


def test_the_command_shows_what_differs_and_changes_nothing(day):
    Constituency.objects.filter(name=B).update(votes_cast=41)

    status, out = run()
    told = json.loads(run("--json")[1])

    assert status == 1
    assert out.splitlines() == [
        f"{B} in total: votes_cast is 41, the ledger says 1",
        "Figures that differ from the ledger: 1.",
    ]
    assert (told["equal"], len(told["differences"])) == (False, 1)
    assert Constituency.objects.get(name=B).votes_cast == 41


def test_the_command_knows_its_elections(day):
    with pytest.raises(CommandError, match="No election has the slug nowhere"):
        call_command("verify_metrics", "--election", "nowhere")
