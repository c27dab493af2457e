"""MinuteStats: as exact as the hours, but only for the last hours, and pruned."""

from datetime import timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from elections.locks import NotInTransaction
from elections.models import Constituency
from metrics.models import MetricsUpdate, MinuteStats
from metrics.services import HourlyStatsService, MinuteStatsService, verify
from tests.oracle import Figures, recount
from tests.tables import COUNTS, DAY
from tests.transactions.lines import (
    BROKEN,
    A,
    B,
    dump,
    fail,
    hour_file,
    issue,
    register,
    rollback_of,
    vote,
)
from transactions.deltas import (
    MINUTE_MARGIN,
    MinuteDelta,
    minutes_exact_since,
    minutes_written_since,
)
from transactions.models import FeedHour, ImportBatch
from transactions.signals import ledger_changed

pytestmark = pytest.mark.django_db

NOON = DAY + timedelta(hours=12)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ZONES = {A: ZoneInfo("UTC"), B: ZoneInfo("Asia/Kathmandu")}


@pytest.fixture
def load_at(load):
    """Load as if it were a time of the day, noon unless told."""
    return lambda *files, now=NOON: load(*files, clock=lambda: now)


def minutes():
    """Return what is stored and is not all zeros, in the words of the oracle."""
    rows = MinuteStats.objects.select_related("constituency")
    found = {
        (row.constituency.contract_id, row.minute): Figures(
            **{name: getattr(row, name) for name in COUNTS}
        )
        for row in rows
    }
    return {key: figures for key, figures in found.items() if figures != Figures()}


def clocks():
    return sorted(f"{row.minute:%H:%M}" for row in MinuteStats.objects.all())


def changes_of(*files, load_at):
    """Return what the loader announced while it loaded these."""
    heard = []

    def listen(*, change, **_):
        heard.append(change)

    ledger_changed.connect(listen)
    try:
        load_at(*files)
    finally:
        ledger_changed.disconnect(listen)
    return heard


# Written with the ledger --------------------------------------------------------------


def test_a_minute_counts_what_happened_in_it(election, load_at):
    load_at(
        hour_file(
            "09:00",
            issue("i1", "09:10:00", to="u1 u2"),
            vote("v1", "09:10:59.999", key="k1"),
            vote("v2", "09:10:30", key="k1"),
            fail(vote("v3", "09:10", key="k3")),
            vote("v4", "09:11", key="k4"),
            register("r1", "09:11", add=5),
        )
    )

    assert minutes() == {
        (A, DAY + timedelta(hours=9, minutes=10)): Figures(2, 1, 1, 4, 1),
        (A, DAY + timedelta(hours=9, minutes=11)): Figures(0, 1, 0, 2, 0),
    }


def busy_day():
    early = vote("v1", "09:30", key="k1")
    again = [vote(f"v{n}", f"09:31:0{n}", key="k1") for n in (4, 5, 6)]
    first = [issue("i1", "09:10", to="u1 u2"), early, *again]
    return [
        hour_file("09:00", *first, fail(vote("f1", "09:31", key="k2"))),
        hour_file("10:00", rollback_of(early), vote("v3", "09:31:10", key="k3")),
        dump(rollback_of(issue("i1", "09:10", to="u1 u2")), early, contract_id=B),
        hour_file("11:00", early, register("r1", "11:00", add=3), contract_id=B),
    ]


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
@pytest.mark.parametrize("chunk_rows", [1, 1_000])
def test_minutes_agree_with_the_oracle_in_any_order(
    two_contracts, load_at, settings, order, chunk_rows
):
    settings.CHUNK_ROWS = chunk_rows
    files = [busy_day()[number] for number in order]
    load_at(*files)

    assert minutes() == recount(files, ZONES).minutes
    assert list(verify(now=NOON)) == []


def test_loading_a_file_again_changes_no_minute(election, load_at):
    file = hour_file("09:00", vote("v1"), vote("v2", key="k2"))
    load_at(file)
    before = minutes()

    load_at(file)

    assert minutes() == before != {}


def test_a_vote_rolled_back_leaves_its_minute_empty(election, load_at):
    load_at(hour_file("09:00", vote("v1")))
    load_at(hour_file("10:00", rollback_of(vote("v1"))))

    assert minutes() == {}
    assert list(verify(now=NOON)) == []


def test_a_file_that_changes_nothing_announces_nothing(election, load_at):
    load_at(hour_file("09:00", vote("v1")))
    line = vote("v2", "09:20", key="k2")

    assert changes_of(hour_file("10:00", vote("v1")), load_at=load_at) == []
    [change] = changes_of(dump(line, rollback_of(line)), load_at=load_at)
    assert (len(change.deltas), change.minutes) == (1, [])


def test_the_announcement_tells_the_loaders_clock(election, load_at):
    [change] = changes_of(hour_file("09:00", vote("v1")), load_at=load_at)

    place = Constituency.objects.get().pk
    minute = DAY + timedelta(hours=9, minutes=10)
    assert change.now == NOON
    assert change.minutes == [
        MinuteDelta(place, minute, votes_cast=1, transaction_count=1)
    ]


def test_the_announcement_comes_after_all_that_the_loader_writes(election, load_at):
    seen = []

    def look(**_):
        stored = ImportBatch.objects.values_list("status", "rows_read", "rejected")
        seen.append((*stored.get(), FeedHour.objects.count(), len(minutes())))

    ledger_changed.connect(look)
    try:
        load_at(hour_file("09:00", vote("v1"), BROKEN))
    finally:
        ledger_changed.disconnect(look)

    assert seen == [("loaded", 2, 1, 1, 1)]


@pytest.mark.django_db(transaction=True)
def test_minutes_are_refused_outside_a_transaction(election):
    service, place = MinuteStatsService(), Constituency.objects.get().pk

    with pytest.raises(NotInTransaction):
        service.apply([MinuteDelta(place, NOON, votes_cast=1)])
    with pytest.raises(NotInTransaction):
        service.recount([place], now=NOON)
    assert clocks() == []


@pytest.mark.corrupts
def test_a_first_delta_may_be_negative_and_many_take_one_statement(
    election, django_assert_num_queries
):
    place = Constituency.objects.get().pk
    deltas = [MinuteDelta(place, NOON + n * MINUTE, votes_cast=-1) for n in range(50)]

    with django_assert_num_queries(1):
        assert MinuteStatsService().apply(deltas) == 50
    with django_assert_num_queries(0):
        assert MinuteStatsService().apply([]) == 0
    assert list(minutes().values()) == [Figures(votes_cast=-1)] * 50


# The retention ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "is_kept"),
    [("09:29:59.999", False), ("09:30", True), ("11:00", True), ("23:00", True)],
)
def test_only_minutes_of_the_retention_are_written(
    election, load_at, settings, clock, is_kept
):
    settings.MINUTE_RETENTION_HOURS = 2
    # Two hours and the margin: from 09:30 on.
    now = DAY + timedelta(hours=12, minutes=29, seconds=30)
    load_at(dump(vote("v1", clock)), now=now)

    assert bool(clocks()) is is_kept
    assert list(verify(now=now)) == []


def test_old_rows_of_a_chunk_with_new_ones_are_left_out(election, load_at, settings):
    settings.MINUTE_RETENTION_HOURS = 2
    load_at(dump(vote("v1", "08:00"), vote("v2", "11:00", key="k2")))

    assert clocks() == ["11:00"]


def test_what_is_exact_lies_inside_what_is_written(settings):
    settings.MINUTE_RETENTION_HOURS = 1

    assert minutes_exact_since(NOON + timedelta(seconds=1)) == NOON - HOUR + MINUTE
    assert minutes_written_since(NOON) == minutes_exact_since(NOON) - MINUTE_MARGIN


def test_an_old_election_has_no_minutes(election, load_at):
    later = NOON + timedelta(days=400)

    [change] = changes_of(
        hour_file("09:00", vote("v1")), load_at=lambda file: load_at(file, now=later)
    )

    assert (len(change.deltas), change.minutes) == (1, [])
    assert clocks() == []


@pytest.mark.parametrize("piece", [1, 2, 10_000])
def test_pruning_deletes_what_is_older_than_the_retention(
    election, load_at, settings, monkeypatch, piece
):
    monkeypatch.setattr("metrics.services.pruning.PIECE_ROWS", piece)
    load_at(dump(*[vote(f"v{n}", f"{n:02}:30", key=f"k{n}") for n in range(6, 11)]))
    settings.MINUTE_RETENTION_HOURS = 2
    # Minutes are kept from 09:01 on, which is a minute that exists.
    load_at(dump(vote("v", "09:01", key="k"), vote("w", "09:00", key="w")))
    assert MinuteStatsService().prune(NOON) == 3
    assert clocks() == ["09:01", "09:30", "10:30"]
    assert MinuteStatsService().prune(NOON) == 0
    assert list(verify(now=NOON)) == []


def test_a_late_row_of_a_pruned_minute_disturbs_nobody(election, load_at, settings):
    load_at(hour_file("09:00", vote("v1", "09:10")))
    settings.MINUTE_RETENTION_HOURS = 1
    MinuteStatsService().prune(NOON)
    # On its way since before the pruning.
    load_at(hour_file("10:00", rollback_of(vote("v1", "09:10"))), now=DAY + 10 * HOUR)

    [left] = minutes().values()
    assert left == Figures(votes_cast=-1, transaction_count=-1)
    assert list(verify(now=NOON)) == []
    assert MinuteStatsService().prune(NOON) == 1


# Verifying and counting again ---------------------------------------------------------


@pytest.fixture
def morning(two_contracts, load_at):
    gone = vote("v9", "10:20", key="k9")
    load_at(
        hour_file("09:00", issue("i1", "09:10"), vote("v1", "09:10")),
        hour_file("10:00", vote("v2", "10:20", key="k2"), gone, rollback_of(gone)),
        hour_file("11:00", vote("v1", "11:00"), contract_id=B),
    )
    return minutes()


def count_again(**period):
    words = {"start": None, "end": None, "now": NOON, **period}
    return HourlyStatsService().aggregate_hourly_stats_for_timerange([A, B], **words)


def found(now=NOON):
    return {(d.what, f"{d.hour:%H:%M}", d.contract_id) for d in verify(now=now)}


@pytest.mark.parametrize("figure", COUNTS)
def test_a_wrong_figure_of_a_minute_shows_and_heals(morning, figure):
    MinuteStats.objects.filter(minute__hour=9).update(**{figure: 41})

    assert found() == {(f"minute {figure}", "09:10", A)}
    assert count_again().minutes_changed == 1
    assert found() == set()
    assert minutes() == morning


def test_a_missing_minute_shows_and_heals(morning):
    MinuteStats.objects.filter(minute__hour=11).delete()

    assert found() == {
        ("minute votes_cast", "11:00", B),
        ("minute transaction_count", "11:00", B),
    }
    assert count_again().minutes_changed == 1
    assert minutes() == morning


def test_a_minute_that_never_was_shows_and_heals(morning):
    MinuteStats.objects.create(
        constituency=Constituency.objects.get(name=B),
        minute=DAY + timedelta(hours=10, minutes=5),
        revotes=3,
    )

    assert found() == {("minute revotes", "10:05", B)}
    assert count_again().minutes_changed == 1
    assert minutes() == morning


def test_a_minute_of_a_constituency_without_a_ledger_shows_and_heals(election):
    MinuteStats.objects.create(
        constituency=Constituency.objects.get(), minute=NOON, revotes=3
    )

    assert found() == {("minute revotes", "12:00", A)}
    assert count_again().minutes_changed == 1
    assert found() == set()


@pytest.mark.corrupts
def test_a_series_of_wrong_minutes_is_counted_again_with_them(morning):
    MinuteStats.objects.filter(minute__hour=9).update(votes_cast=77)

    HourlyStatsService().aggregate_hourly_stats_for_election("duma", now=NOON)

    asked = MetricsUpdate.objects.get(scope__startswith="series:")
    assert DAY + timedelta(hours=9) in asked.hours


@pytest.mark.corrupts
def test_a_wrong_newest_time_is_no_fault_of_the_minutes(morning):
    Constituency.objects.update(last_transaction_at=None)

    assert {(d.what, d.hour) for d in verify(now=NOON)} == {
        ("last_transaction_at", None)
    }


def test_a_difference_of_a_minute_says_what_it_is(morning):
    MinuteStats.objects.filter(minute__hour=9).update(votes_cast=41)

    assert [str(difference) for difference in verify(now=NOON)] == [
        f"{A} 2026-09-18 09:10 UTC: minute votes_cast is 41, the ledger says 1"
    ]


def test_minutes_beyond_the_retention_are_not_compared(morning, settings):
    MinuteStats.objects.filter(minute__hour=9).update(votes_cast=41)
    settings.MINUTE_RETENTION_HOURS = 2

    assert found() == set()
    assert count_again().minutes_changed == 1
    assert found(DAY + 11 * HOUR) == set()


def test_raising_the_retention_asks_for_counting_again(election, load_at, settings):
    settings.MINUTE_RETENTION_HOURS = 1
    load_at(hour_file("09:00", vote("v1")))
    settings.MINUTE_RETENTION_HOURS = 24

    assert found() != set()
    count_again()
    assert found() == set()


@pytest.mark.parametrize(
    ("start", "end", "changed"),
    [(None, 7, 0), (8, 9, 2), (10, None, 3), (14, None, 0), (None, None, 3)],
)
def test_the_period_bounds_what_is_counted_again(morning, start, end, changed):
    MinuteStats.objects.update(revotes=5)
    clock = {"start": start, "end": end}
    period = {k: None if v is None else DAY + v * HOUR for k, v in clock.items()}

    # It is widened by two hours: zones differ in where hours begin.
    assert count_again(**period).minutes_changed == changed


@pytest.mark.parametrize("days", [1, 30])
def test_elections_of_the_past_cost_one_look(
    morning, django_assert_max_num_queries, days
):
    later = NOON + timedelta(days=days, hours=12)
    MinuteStatsService().prune(later)
    ids = list(Constituency.objects.values_list("id", flat=True))

    with django_assert_max_num_queries(1):
        assert MinuteStatsService().recount(ids, now=later) == 0
    with django_assert_max_num_queries(0):
        assert MinuteStatsService().recount(ids, end=NOON, now=later) == 0
