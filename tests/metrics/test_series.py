"""The minutes of whole elections: from MinuteStats while they last, else the ledger."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from election_monitor.deletion import ELECTION_SCOPES, delete_simulated_election
from elections.locks import Lock, NotInTransaction, lock_until_commit
from elections.models import Constituency, Election, Region
from metrics.models import Discrepancy, ElectionMinute, MetricsUpdate, MinuteStats
from metrics.services import MetricsUpdateService, Request
from metrics.services.series import LOCKED_HOURS, SeriesService
from tests.beside import DEADLINE_SECONDS, beside, elsewhere, wait_until_somebody_waits
from tests.oracle import Figures
from tests.tables import COUNTS, DAY
from tests.transactions.conftest import register_contracts
from tests.transactions.lines import (
    A,
    B,
    contract,
    dump,
    fail,
    hour_file,
    issue,
    rollback_of,
    vote,
)

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NOON = DAY + 12 * HOUR
NINE, TEN, ELEVEN = (DAY + n * HOUR for n in (9, 10, 11))
# When the day is history, and when it is not.
LATER = NOON + timedelta(days=30)


@pytest.fixture
def load_at(load):
    return lambda *files, now=NOON: load(*files, clock=lambda: now)


def rebuild(*hours, now=NOON, election="duma"):
    pk = Election.objects.get(slug=election).pk
    return SeriesService().rebuild(pk, hours, now=now)


def series(election="duma"):
    rows = ElectionMinute.objects.filter(election__slug=election).order_by("minute")
    return {
        f"{row.minute:%H:%M}": Figures(**{name: getattr(row, name) for name in COUNTS})
        for row in rows
    }


def morning():
    return [
        hour_file(
            "09:00",
            issue("i1", "09:00", to="u1 u2"),
            vote("v1", "09:10:30", key="k1"),
            vote("v2", "09:10:40", key="k1"),
            fail(vote("f1", "09:59:59.999", key="k2")),
        ),
        hour_file("09:00", vote("v1", "09:10:59", key="k1"), contract_id=B),
        hour_file("10:00", vote("v3", "10:00", key="k3"), contract_id=B),
    ]


EXPECTED = {
    "09:00": Figures(2, 0, 0, 1, 0),
    "09:10": Figures(0, 2, 1, 3, 0),
    "09:59": Figures(0, 0, 0, 1, 1),
    "10:00": Figures(0, 1, 0, 1, 0),
}


@pytest.mark.parametrize("loaded_at", [NOON, LATER], ids=["minutes", "no minutes"])
def test_the_minutes_of_an_election_add_up(two_contracts, load_at, loaded_at):
    load_at(*morning(), now=loaded_at)

    assert rebuild(NINE, TEN, ELEVEN, now=loaded_at) == 4
    assert series() == EXPECTED
    assert rebuild(NINE, TEN, ELEVEN, now=loaded_at) == 0


@pytest.mark.parametrize("now", [NOON, LATER], ids=["recent", "past"])
def test_recent_hours_come_from_minutes_and_past_ones_from_the_ledger(
    two_contracts, load_at, now
):
    load_at(*morning())
    MinuteStats.objects.filter(minute=NINE).update(votes_cast=7)

    rebuild(NINE, now=now)

    assert series()["09:00"].votes_cast == (7 if now == NOON else 0)
    MinuteStats.objects.filter(minute=NINE).update(votes_cast=0)


def test_the_edge_of_the_retention_is_a_whole_hour(two_contracts, load_at, settings):
    settings.MINUTE_RETENTION_HOURS = 2
    load_at(*morning())
    MinuteStats.objects.filter(minute__lt=NINE + timedelta(minutes=30)).delete()

    # Minutes are complete from 09:31 on: the ledger counts the hour of nine.
    rebuild(NINE, TEN, now=ELEVEN + timedelta(minutes=30))

    assert series() == EXPECTED


@pytest.mark.parametrize("now", [NOON, LATER], ids=["recent", "past"])
def test_only_the_hours_asked_for_are_touched(two_contracts, load_at, now):
    load_at(*morning(), hour_file("11:00", vote("v5", "11:00", key="k5")), now=now)
    rebuild(NINE, TEN, ELEVEN, now=now)
    ElectionMinute.objects.update(revotes=5)

    # What lies between the two is read over.
    assert rebuild(NINE, ELEVEN, now=now) == 4
    assert series() == EXPECTED | {
        "10:00": Figures(0, 1, 5, 1, 0),
        "11:00": Figures(0, 1, 0, 1, 0),
    }


@pytest.mark.parametrize("now", [NOON, LATER], ids=["recent", "past"])
def test_a_rollback_takes_a_minute_back_to_nothing(two_contracts, load_at, now):
    load_at(*morning(), now=now)
    rebuild(NINE, TEN, now=now)
    gone = rollback_of(vote("v3", "10:00", key="k3"))
    load_at(hour_file("11:00", gone, contract_id=B), now=now)

    assert rebuild(NINE, TEN, now=now) == 1
    assert series() == {k: v for k, v in EXPECTED.items() if k != "10:00"}


def test_other_elections_are_left_alone(two_contracts, load_at):
    other = Election.objects.create(slug="other", name="Other", timezone="UTC")
    elsewhere = contract(3)
    register_contracts(other, elsewhere)
    load_at(*morning(), hour_file("09:00", vote("v9"), contract_id=elsewhere))

    for now in (NOON, LATER):
        rebuild(NINE, TEN, now=now, election="other")
        assert series("other") == {"09:10": Figures(0, 1, 0, 1, 0)}
        assert series() == {}


@pytest.mark.parametrize("now", [NOON, LATER], ids=["recent", "past"])
def test_an_election_of_many_zones_has_one_clock(two_contracts, load_at, now):
    for name, zone in ((A, "Asia/Kolkata"), (B, "Asia/Kathmandu")):
        region = Region.objects.create(code=zone, name=zone, timezone=zone)
        Constituency.objects.filter(name=name).update(region=region)
    heard = dump(vote("v1", "09:29"), vote("v2", "09:31", key="k2"))
    load_at(heard, dump(vote("v1", "09:31"), contract_id=B), now=now)
    # Hours begin at 08:30 and 09:30 in India, at 09:15 in Nepal.
    hours = Constituency.objects.values_list("hourly_stats__hour", flat=True)

    assert {f"{hour:%H:%M}" for hour in hours} == {"08:30", "09:30", "09:15"}
    assert rebuild(*hours, now=now) == 2
    assert series() == {
        "09:29": Figures(votes_cast=1, transaction_count=1),
        "09:31": Figures(votes_cast=2, transaction_count=2),
    }


@pytest.mark.parametrize(
    ("hour", "touched"),
    [
        ("09:00", ["09:00"]),
        ("09:30", ["09:00", "10:00"]),
        ("09:45", ["09:00", "10:00"]),
        ("23:15", ["23:00", "00:00"]),
    ],
)
def test_an_hour_stands_for_the_hours_of_utc_that_it_touches(
    two_contracts, load_at, hour, touched
):
    load_at(
        dump(*[vote(f"v{n}", f"{n:02}:00", key=f"k{n}") for n in range(24)]), now=LATER
    )
    midnight = DAY + 24 * HOUR
    load_at(dump(vote("v", round(midnight.timestamp() * 1000)), contract_id=B))

    moment = datetime.fromisoformat(f"2026-09-18 {hour}").replace(tzinfo=UTC)
    rebuild(moment, now=LATER)

    assert list(series()) == touched


def test_no_hours_and_no_election_change_nothing(two_contracts, load_at):
    load_at(*morning())

    assert rebuild() == 0
    assert SeriesService().rebuild(2_000_000_000, [NINE], now=NOON) == 0
    assert SeriesService().rebuild(2_000_000_000, [NINE], now=LATER) == 0
    assert not ElectionMinute.objects.exists()


def test_the_locks_come_before_the_count_and_all_hours_take_one_statement(
    two_contracts, load_at
):
    load_at(*morning())
    hours = [DAY + n * HOUR for n in range(-40, 12)]

    with CaptureQueriesContext(connection) as queries:
        SeriesService().rebuild(two_contracts.pk, hours, now=NOON)

    said = [q["sql"] for q in queries if "SAVEPOINT" not in q["sql"]]
    # One reads and writes, between the setting of the planner and its end.
    begun = " ".join(words.split()[0] for words in said)
    assert begun == "SELECT SELECT SET -- SET"
    assert said[0].startswith("SELECT pg_try_advisory_xact_lock_shared")
    assert said[1].startswith("SELECT pg_advisory_xact_lock")
    assert "FOR UPDATE" not in said[3]
    assert series() == EXPECTED


@pytest.mark.django_db(transaction=True)
def test_a_lock_outside_a_transaction_is_refused(election):
    with pytest.raises(NotInTransaction):
        lock_until_commit(Lock.SERIES, election.pk)


# At once ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("now", [NOON, LATER], ids=["recent", "past"])
def test_who_waits_for_the_series_counts_what_came_meanwhile(
    two_contracts, load_at, now
):
    load_at(*morning(), now=now)
    with transaction.atomic():
        assert rebuild(NINE, TEN, now=now) == 4
        second = beside(lambda: rebuild(NINE, TEN, now=now))
        wait_until_somebody_waits()
        # Committed while the second waits, before it counts.
        late = hour_file("11:00", vote("v9", "10:30", key="k9"))
        elsewhere(lambda: load_at(late, now=now))
        assert not second.done()

    assert second.result(DEADLINE_SECONDS) == 1
    assert series() == EXPECTED | {"10:30": Figures(0, 1, 0, 1, 0)}


@pytest.mark.django_db(transaction=True)
def test_a_count_of_old_hours_does_not_hold_up_live_ones(two_contracts, load_at):
    """It may read the whole ledger meanwhile."""
    load_at(*morning())
    with transaction.atomic():
        rebuild(NINE - 2 * 24 * HOUR)

        assert elsewhere(lambda: rebuild(NINE)) == 3


@pytest.mark.django_db(transaction=True)
def test_an_hour_that_is_old_for_one_and_live_for_another_has_one_writer(
    two_contracts, load_at
):
    load_at(*morning())
    with transaction.atomic():
        assert rebuild(NINE, now=LATER) == 3
        second = beside(lambda: rebuild(NINE, now=NOON))
        wait_until_somebody_waits()
        assert not second.done()

    assert second.result(DEADLINE_SECONDS) == 0


def test_the_locks_of_however_many_hours_have_room(two_contracts):
    rebuild(*(NINE + n * HOUR for n in range(24 * 365)))

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' "
            "AND classid = %s AND pid = pg_backend_pid()",
            [int(Lock.SERIES_HOUR)],
        )
        assert cursor.fetchone() == (LOCKED_HOURS,)


@pytest.mark.django_db(transaction=True)
def test_series_of_two_elections_do_not_wait_for_each_other(two_contracts, load_at):
    other = Election.objects.create(slug="other", name="Other", timezone="UTC")
    load_at(*morning())
    with transaction.atomic():
        lock_until_commit(Lock.SERIES, other.pk)

        assert elsewhere(lambda: rebuild(NINE)) == 3


@pytest.mark.django_db(transaction=True)
def test_loaders_never_wait_for_the_series(two_contracts, load_at):
    with transaction.atomic():
        rebuild(NINE)
        job = beside(lambda: load_at(*morning()))

        assert job.result(DEADLINE_SECONDS).accepted == 6


# Deleting -----------------------------------------------------------------------------


def make_traces(election):
    """Leave what the worker and the watch over the figures leave of an election."""
    constituency = election.constituencies.first()
    scopes = [f"constituency:{constituency.pk}"]
    scopes += [f"{kind}:{election.pk}" for kind in ELECTION_SCOPES]
    MetricsUpdate.objects.bulk_create(
        MetricsUpdate(
            scope=scope,
            trigger="manual",
            priority=0,
            requested_at=NOON,
            available_at=NOON,
        )
        for scope in scopes
    )
    Discrepancy.objects.create(
        constituency=constituency,
        figure="votes_cast",
        found_by="verify",
        found_at=NOON,
        last_seen_at=NOON,
    )


def traces(election):
    places = list(election.constituencies.values_list("pk", flat=True))
    scopes = [f"constituency:{pk}" for pk in places]
    scopes += [f"{kind}:{election.pk}" for kind in ELECTION_SCOPES]
    return [
        MinuteStats.objects.filter(constituency__in=places).exists(),
        ElectionMinute.objects.filter(election=election).exists(),
        MetricsUpdate.objects.filter(scope__in=scopes).count(),
        Discrepancy.objects.filter(constituency__in=places).count(),
    ]


@pytest.mark.corrupts
def test_a_deleted_election_leaves_no_minute_and_no_update(two_contracts, load_at):
    other = Election.objects.create(slug="other", name="Other", timezone="UTC")
    register_contracts(other, contract(3))
    load_at(*morning(), hour_file("09:00", vote("v9"), contract_id=contract(3)))
    for election in (two_contracts, other):
        rebuild(NINE, election=election.slug)
        MetricsUpdate.objects.filter(scope__contains=":").delete()
    for election in (two_contracts, other):
        make_traces(election)
    Election.objects.filter(pk=two_contracts.pk).update(is_simulated=True)

    deleted = delete_simulated_election("duma")

    assert deleted["metrics.electionminute"] == 3
    assert deleted["metrics.metricsupdate"] == 6
    assert not Election.objects.filter(slug="duma").exists()
    assert traces(other) == [True, True, 6, 1]
    assert MetricsUpdate.objects.count() == 6


@pytest.mark.corrupts
@pytest.mark.django_db(transaction=True)
def test_deleting_and_counting_do_not_deadlock(two_contracts, load_at):
    load_at(*morning())
    Election.objects.update(is_simulated=True)
    with transaction.atomic():
        rebuild(NINE)
        deleting = beside(lambda: delete_simulated_election("duma"))
        wait_until_somebody_waits()

    assert deleting.result(DEADLINE_SECONDS)["metrics.electionminute"] == 3
    assert not ElectionMinute.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "now", "other", "reason"),
    [
        ("history", LATER, "is at something long", "Another worker"),
        ("series", NOON, "deletes the election", "being deleted"),
        ("series", NOON, "counts this hour", "is locked"),
    ],
)
def test_hours_that_another_keeps_are_counted_a_moment_later(
    load_at, kind, now, other, reason
):
    load_at(hour_file("09:00", vote("v1", "09:10")))
    election = Election.objects.get(slug="duma")
    service = MetricsUpdateService()
    MetricsUpdate.objects.all().delete()
    with transaction.atomic():
        service.enqueue(
            [Request(f"{kind}:{election.pk}", [NINE])], trigger="scheduled", now=now
        )
    begin = {
        "is at something long": lambda: lock_until_commit(Lock.LONG_UPDATE),
        "deletes the election": lambda: lock_until_commit(Lock.SERIES, election.pk),
        "counts this hour": lambda: rebuild(NINE, now=now),
    }[other]

    with transaction.atomic():
        begin()
        made = elsewhere(lambda: service.process(limit=10, clock=lambda: now))
        waiting = MetricsUpdate.objects.get()
        transaction.set_rollback(True)

    assert (made.done, made.failed) == (1, [])
    assert (waiting.status, waiting.attempts) == ("failed", 0)
    assert reason in waiting.error
    assert not ElectionMinute.objects.exists()
    service.process(limit=10, clock=lambda: now + timedelta(seconds=2))
    assert series().keys() == {"09:10"}


@pytest.mark.django_db(transaction=True)
def test_a_refresh_by_hand_counts_live_hours_apart_from_old_ones(
    two_contracts, load_at
):
    """Who counts the old ones has their locks for as long as it reads the ledger."""
    load_at(*morning())
    MetricsUpdate.objects.all().delete()
    service = MetricsUpdateService()
    # A day later, when nine o'clock is older than minutes are kept, and ten is not.
    now = NINE + 24.5 * HOUR
    service.request_by_hand([Request(f"election:{two_contracts.pk}")], now=now)

    service.process(limit=1, clock=lambda: now)

    asked = dict(MetricsUpdate.objects.values_list("scope", "hours"))
    assert asked[f"series:{two_contracts.pk}"] == [TEN]
    assert asked[f"history:{two_contracts.pk}"] == [NINE]
