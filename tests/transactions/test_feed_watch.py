"""Silent feeds, files that came late or misplaced, and votes that are over."""

from datetime import UTC, datetime

import pytest
from django.db import transaction
from structlog.testing import capture_logs

from elections.locks import lock_constituencies
from elections.models import Constituency
from tests.beside import DEADLINE_SECONDS, beside, wait_until_somebody_waits
from tests.factories import make_constituency, make_election
from tests.feed import make_batch, receive
from transactions.feed_queries import (
    FeedFaults,
    fed_until,
    feed_faults,
    late_files,
    silent_constituencies,
)
from transactions.services import close_ended, mark_silent

pytestmark = pytest.mark.django_db

DAY = "2026-09-18"


@pytest.fixture(autouse=True)
def figures_stay_exact():
    """Let figures be written without a ledger: here they are only read."""


def at(clock, day=DAY):
    return datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=UTC)


def open_all_day(election=None, **fields):
    """Make a constituency that votes from 08:00 to 20:00 UTC."""
    times = {"issue_opens_at": at("08:00"), "voting_closes_at": at("20:00")}
    return make_constituency(
        election=election or make_election(export_timezone="UTC"),
        **{"last_transaction_at": at("08:00"), **times, **fields},
    )


def silent(now, *elections):
    found = silent_constituencies([e.pk for e in elections] or None, now=at(now))
    return [state.constituency_id for state in found]


def status_of(constituency):
    return Constituency.objects.get(pk=constituency.pk).status


# Who is silent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "is_silent"),
    [("11:00", False), ("11:30", False), ("11:30:00.001", True), ("19:59", True)],
)
def test_an_hour_file_is_missed_after_an_hour_and_a_half(now, is_silent):
    constituency = open_all_day()
    receive(constituency, f"{DAY} 08:00", f"{DAY} 09:00")

    # The file of nine ended at ten.
    assert silent(now) == ([constituency.pk] if is_silent else [])


def test_how_long_is_a_setting(settings):
    settings.SILENT_AFTER_MINUTES = 30
    constituency = open_all_day()
    receive(constituency, f"{DAY} 09:00")

    assert silent("10:30") == []
    assert silent("10:31") == [constituency.pk]


def test_a_hole_in_the_feed_is_no_silence():
    constituency = open_all_day()
    receive(constituency, f"{DAY} 08:00", f"{DAY} 12:00")

    assert silent("14:00") == []


def test_labels_are_readings_of_the_export_zone():
    moscow = open_all_day(make_election(export_timezone="Europe/Moscow"))
    receive(moscow, f"{DAY} 13:00")

    # 13:00 to 14:00 in Moscow ended at 11:00 UTC.
    assert silent("12:30") == []
    assert silent("12:31") == [moscow.pk]
    assert fed_until([moscow.pk]) == {moscow.pk: at("11:00")}


def test_the_first_file_of_the_day_is_given_its_time():
    constituency = open_all_day()
    # The voters' lists, two days before.
    receive(constituency, "2026-09-16 10:00")

    assert silent("09:30") == []
    [state] = silent_constituencies([constituency.election_id], now=at("09:31"))
    assert state.silent_since == at("08:00")
    assert (state.is_silent, state.is_heard) == (True, False)


@pytest.mark.parametrize("now", ["07:59:59", "20:00"])
def test_nobody_has_to_speak_outside_the_voting_window(now):
    constituency = open_all_day()
    receive(constituency, "2026-09-16 10:00")

    assert silent(now) == []
    assert mark_silent(at(now)) == []
    assert silent("19:59:59") == [constituency.pk]


def test_a_window_that_the_contract_does_not_tell_is_the_elections():
    election = make_election(
        export_timezone="UTC", starts_at=at("06:00"), ends_at=at("10:00")
    )
    constituency = open_all_day(election, issue_opens_at=None, voting_closes_at=None)
    receive(constituency, "2026-09-16 10:00")

    assert silent("07:30") == []
    assert silent("07:31") == [constituency.pk]
    assert silent("10:00") == []


@pytest.mark.parametrize("unknown", ["issue_opens_at", "voting_closes_at"])
def test_an_unknown_window_is_nobodys_silence(unknown):
    constituency = open_all_day(**{unknown: None})
    receive(constituency, "2026-09-16 10:00")

    assert silent("12:00") == []


@pytest.mark.parametrize("override", ["upcoming", "completed"])
def test_staff_can_say_that_an_election_is_not_on(override):
    constituency = open_all_day()
    receive(constituency, "2026-09-16 10:00")
    assert silent("12:00") == [constituency.pk]

    constituency.election.status_override = override
    constituency.election.save()

    assert silent("12:00") == []


@pytest.mark.parametrize(
    ("override", "closed"),
    [("active", False), ("upcoming", False), ("completed", True)],
)
def test_staff_decide_whether_an_election_is_closed(override, closed):
    """Against both clocks: after its end, and before it."""
    constituency = open_all_day()
    election = constituency.election
    election.status_override = override
    election.save()
    moment = at("12:00") if closed else at("12:00", "2031-01-01")

    assert bool(close_ended(moment)) is closed


def test_other_feeds_are_judged_by_their_whole_election():
    quiet = open_all_day(last_transaction_at=at("08:10"))
    busy = open_all_day(quiet.election, last_transaction_at=at("12:00"))
    elsewhere = open_all_day(last_transaction_at=at("11:59"))

    assert silent("13:29:30") == [elsewhere.pk]
    assert silent("13:30") == [elsewhere.pk]
    assert silent("13:31") == [quiet.pk, busy.pk, elsewhere.pk]
    assert silent("13:31", quiet.election) == [quiet.pk, busy.pk]
    assert silent("13:31", make_election()) == []


def test_a_time_stamp_of_the_future_is_no_sign_of_life():
    constituency = open_all_day(last_transaction_at=at("09:00"))
    open_all_day(constituency.election, last_transaction_at=at("09:00", "2031-01-01"))

    assert constituency.pk in silent("12:00")


def test_nothing_at_all_is_silence_where_others_send_hour_files():
    fed = open_all_day()
    receive(fed, f"{DAY} 10:00")
    never = open_all_day(fed.election, last_transaction_at=None)
    posted = open_all_day(fed.election, last_transaction_at=at("10:59"))
    without_files = open_all_day(last_transaction_at=None)
    alive = open_all_day(without_files.election, last_transaction_at=at("10:59"))

    assert silent("11:00") == [never.pk]
    # Where none comes as files, the ledger of all speaks for each.
    assert silent("12:29:30") == [never.pk, posted.pk, without_files.pk, alive.pk]


def test_what_is_completed_is_not_silent():
    constituency = open_all_day(status="completed")
    receive(constituency, "2026-09-16 10:00")

    assert silent("12:00") == []
    assert mark_silent(at("12:00")) == []


def test_the_number_of_queries_is_fixed(django_assert_num_queries):
    constituencies = [open_all_day() for _ in range(5)]
    for constituency in constituencies:
        receive(constituency, f"{DAY} 09:00")

    with django_assert_num_queries(1):
        assert len(silent("12:00")) == 5
    with django_assert_num_queries(1):
        assert len(fed_until(each.pk for each in constituencies)) == 5
    with django_assert_num_queries(1):
        assert mark_silent(at("10:30")) == []


# Their status -------------------------------------------------------------------------


def changes(found):
    return [(change.constituency_id, change.before, change.after) for change in found]


def test_a_silent_feed_is_offline_until_it_speaks_again():
    dumb, lively = open_all_day(), open_all_day()
    receive(dumb, f"{DAY} 08:00")
    receive(lively, f"{DAY} 10:00")

    assert changes(mark_silent(at("11:30"))) == [(dumb.pk, "active", "offline")]
    assert (status_of(dumb), status_of(lively)) == ("offline", "active")
    assert mark_silent(at("11:31")) == []

    receive(dumb, f"{DAY} 10:00")

    assert changes(mark_silent(at("11:32"))) == [(dumb.pk, "offline", "active")]
    assert status_of(dumb) == "active"


def test_a_change_of_status_is_a_new_version():
    constituency = open_all_day()
    receive(constituency, f"{DAY} 08:00")
    before = Constituency.objects.get()

    mark_silent(at("12:00"))

    assert Constituency.objects.get().version == before.version + 1


def test_who_has_not_spoken_yet_stays_offline():
    constituency = open_all_day(status="offline")
    receive(constituency, "2026-09-16 10:00")

    # Too early to call it silent, and no reason to call it active.
    assert mark_silent(at("08:30")) == []
    assert status_of(constituency) == "offline"


def test_each_election_gets_one_line_of_log():
    first = open_all_day(make_election(slug="aa"))
    second = open_all_day(first.election)
    other = open_all_day(make_election(slug="bb"), status="offline")
    for constituency in (first, second):
        receive(constituency, f"{DAY} 08:00")
    receive(other, f"{DAY} 14:00")

    with capture_logs() as lines:
        mark_silent(at("12:00"))

    assert [
        (line["election"], line.get("offline"), line.get("active")) for line in lines
    ] == [("aa", 2, None), ("bb", None, 1)]


@pytest.mark.parametrize("group", [1, 2, 100])
def test_small_groups_reach_everybody(monkeypatch, group):
    monkeypatch.setattr("transactions.services.feed_watch.GROUP", group)
    constituencies = [open_all_day() for _ in range(3)]
    for constituency in constituencies:
        receive(constituency, f"{DAY} 08:00")

    assert len(mark_silent(at("12:00"))) == 3
    assert len(close_ended(at("20:00"))) == 3
    assert {status_of(each) for each in constituencies} == {"completed"}


@pytest.mark.parametrize("before", ["active", "offline"])
def test_whose_voting_has_closed_is_completed_for_good(before):
    constituency = open_all_day(status=before)
    receive(constituency, f"{DAY} 08:00")

    assert close_ended(at("19:59:59")) == []
    assert changes(close_ended(at("20:00"))) == [(constituency.pk, before, "completed")]
    assert close_ended(at("20:01")) == []

    receive(constituency, f"{DAY} 19:00")

    assert mark_silent(at("19:59")) == mark_silent(at("20:10")) == []
    assert status_of(constituency) == "completed"


def test_the_election_ends_for_whom_the_contract_does_not_say():
    election = make_election(starts_at=at("06:00"), ends_at=at("18:00"))
    told = open_all_day(election)
    untold = open_all_day(election, voting_closes_at=None)
    endless = open_all_day(voting_closes_at=None)

    assert changes(close_ended(at("18:00"))) == [(untold.pk, "active", "completed")]
    assert {status_of(told), status_of(endless)} == {"active"}


# At once ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_file_that_comes_meanwhile_is_heard():
    constituency = open_all_day()
    receive(constituency, f"{DAY} 08:00")
    with transaction.atomic():
        lock_constituencies([constituency.pk])
        watching = beside(lambda: mark_silent(at("12:00")))
        wait_until_somebody_waits()
        receive(constituency, f"{DAY} 10:00")

    assert watching.result(DEADLINE_SECONDS) == []
    assert status_of(constituency) == "active"


@pytest.mark.django_db(transaction=True)
def test_what_staff_complete_meanwhile_stays_completed():
    constituency = open_all_day()
    receive(constituency, f"{DAY} 08:00")
    with transaction.atomic():
        lock_constituencies([constituency.pk])
        watching = beside(lambda: mark_silent(at("12:00")))
        wait_until_somebody_waits()
        Constituency.objects.update(status="completed")

    assert watching.result(DEADLINE_SECONDS) == []
    assert status_of(constituency) == "completed"


# Files that came late or misplaced ----------------------------------------------------


def hour_file(constituency, label, came, **fields):
    times = {"interval": at(label), "started_at": at(came)}
    return make_batch(constituency=constituency, **times, **fields)


def test_a_file_is_late_an_hour_and_a_half_after_its_hour():
    constituency = open_all_day()
    election = constituency.election
    hour_file(constituency, "08:00", "09:05")
    hour_file(constituency, "08:00", "10:30")
    late = hour_file(constituency, "08:00", "10:30:00.001")
    hour_file(open_all_day(), "08:00", "18:00")

    assert list(late_files([election.pk])) == [late]
    assert late_files([election.pk]).get().hour_ended_at == at("09:00")
    assert feed_faults([election.pk]) == {election.pk: FeedFaults(late_files=1)}


def test_lateness_is_reckoned_in_the_export_zone():
    constituency = open_all_day(make_election(export_timezone="Asia/Kolkata"))
    # 13:30 to 14:30 in India ended at 09:00 UTC.
    hour_file(constituency, "13:30", "10:30")
    late = hour_file(constituency, "13:30", "10:31")

    assert list(late_files([constituency.election_id])) == [late]


def test_files_that_were_not_loaded_are_not_late():
    constituency = open_all_day()
    hour_file(constituency, "08:00", "18:00", status="unchanged")
    make_batch(constituency=constituency, started_at=at("18:00"), kind="portal_dump")

    assert feed_faults([constituency.election_id]) == {}


def test_faults_are_counted_for_each_election(django_assert_num_queries):
    first, second = open_all_day(), open_all_day()
    hour_file(first, "08:00", "18:00", outside_interval=3)
    hour_file(first, "09:00", "10:05", outside_interval=2)
    hour_file(second, "09:00", "10:05")
    elections = [first.election_id, second.election_id]

    with django_assert_num_queries(1):
        found = feed_faults(elections)

    assert found == {
        first.election_id: FeedFaults(late_files=1, outside_files=2, outside_rows=5)
    }
