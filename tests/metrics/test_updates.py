"""The outbox: nothing asked for is lost, done twice at once, or held up by another."""

import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.db import (
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)

from elections.locks import NotInTransaction
from elections.models import Constituency, UpdateMode
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services import MetricsUpdateService, Priority, Request, lease
from metrics.services.updates import LeaseLost, claims, handlers, making
from metrics.services.updates.making import make
from tests.transactions.lines import A, hour_file, issue

NOW = datetime(2026, 9, 18, 12, 0, tzinfo=UTC)
SERVICE = MetricsUpdateService()


@pytest.fixture
def clock():
    """A clock that tests set: `clock.now`."""

    class Clock:
        now = NOW

        def __call__(self) -> datetime:
            return self.now

        def advance(self, **delta: float) -> None:
            self.now += timedelta(**delta)

    return Clock()


@pytest.fixture
def made(monkeypatch):
    """Handle updates of kind `test` by noting them; those of kind `poison` fail."""
    notes: list[str] = []

    def note(update, now):
        notes.append(update.scope)

    def fail(update, now):
        notes.append(update.scope)
        raise ZeroDivisionError("poisoned")

    monkeypatch.setitem(handlers._handlers, "test", note)
    monkeypatch.setitem(handlers._handlers, "poison", fail)
    return notes


def ask(*scopes, trigger=UpdateTrigger.NEW_TRANSACTION, now=NOW, **options):
    with transaction.atomic():
        return SERVICE.enqueue(
            [Request(scope, **options) for scope in scopes], trigger=trigger, now=now
        )


def process(clock, limit=100):
    return SERVICE.process(limit=limit, clock=clock)


def statuses() -> list[tuple[str, str]]:
    return list(MetricsUpdate.objects.order_by("id").values_list("scope", "status"))


class TestAsking:
    def test_a_scope_has_one_pending_row_whatever_asks(self, db):
        hour = NOW.replace(hour=9)
        ask("test:1", trigger=UpdateTrigger.SCHEDULED, hours=[hour])
        ask("test:1", hours=[hour, hour + timedelta(hours=1)])

        row = MetricsUpdate.objects.get()

        assert (row.trigger, row.priority, row.requests) == ("new_transaction", 1, 2)
        assert row.hours == [hour, hour + timedelta(hours=1)]

    def test_a_less_urgent_wish_changes_nothing_of_a_manual_one(self, db):
        [asked] = ask("test:1", trigger=UpdateTrigger.MANUAL)
        [again] = ask("test:1", trigger=UpdateTrigger.SCHEDULED, delay_seconds=60)

        row = MetricsUpdate.objects.get()

        assert asked == again == row.pk
        assert (row.trigger, row.priority, row.available_at) == ("manual", 0, NOW)

    @pytest.mark.django_db(transaction=True)
    def test_outside_a_transaction_nothing_can_be_asked_for(self, db):
        with pytest.raises(NotInTransaction):
            SERVICE.enqueue([Request("test:1")], trigger="manual", now=NOW)

    def test_a_chunk_asks_for_a_refresh_of_what_it_changed(self, load):
        load(hour_file("09:00", issue("i1")))

        place = Constituency.objects.get(contract_id=A)
        row = MetricsUpdate.objects.get(scope=f"constituency:{place.pk}")

        assert (row.status, row.trigger) == ("pending", "new_transaction")
        assert [f"{hour:%H:%M}" for hour in row.hours] == ["09:00"]

    def test_a_chunk_that_is_rolled_back_asks_for_nothing(self, load):
        load(hour_file("09:00", issue("i1")), is_trial=True)

        assert not MetricsUpdate.objects.exists()


class TestCoalescing:
    @pytest.fixture
    def place(self, election):
        return Constituency.objects.get(contract_id=A)

    def pending(self) -> MetricsUpdate:
        return MetricsUpdate.objects.get(scope__startswith="constituency:")

    def enqueue(self, place, now=NOW, hour=NOW):
        from transactions.deltas import HourDelta

        with transaction.atomic():
            SERVICE.enqueue_changes([HourDelta(place.pk, hour)], now=now)

    def test_at_rest_a_refresh_is_due_at_once(self, place):
        self.enqueue(place)

        assert self.pending().available_at == NOW

    def test_a_burst_is_refreshed_once_per_interval(self, place):
        place.election.refresh_seconds = 3
        place.election.save()
        Constituency.objects.update(metrics_updated_at=NOW - timedelta(seconds=1))

        self.enqueue(place)

        assert self.pending().available_at == NOW + timedelta(seconds=2)

    def test_a_clock_that_ran_back_delays_by_one_interval_at_most(self, place):
        Constituency.objects.update(metrics_updated_at=NOW + timedelta(hours=1))

        self.enqueue(place)

        assert self.pending().available_at == NOW + timedelta(seconds=1)

    def test_in_batch_mode_a_refresh_waits_for_the_close_of_the_hour(self, place):
        place.election.update_mode = UpdateMode.BATCH
        place.election.save()

        self.enqueue(place, now=NOW + timedelta(minutes=20))

        assert self.pending().available_at == NOW + timedelta(hours=1)

    def test_in_batch_mode_hours_that_are_closed_wait_for_nothing(self, place):
        place.election.update_mode = UpdateMode.BATCH
        place.election.save()

        self.enqueue(place, now=NOW + timedelta(hours=5))

        assert self.pending().available_at == NOW + timedelta(hours=5)


@pytest.mark.django_db(transaction=True)
class TestMaking:
    def test_what_is_due_is_made_and_done(self, made, clock):
        ask("test:1", "test:2")

        result = process(clock)

        assert (result.done, result.failed) == (2, [])
        assert made == ["test:1", "test:2"]
        assert statuses() == [("test:1", "done"), ("test:2", "done")]

    def test_what_is_not_due_waits(self, made, clock):
        ask("test:1", delay_seconds=10)

        assert process(clock).count == 0
        clock.advance(seconds=10)
        assert process(clock).count == 1

    def test_manual_goes_before_new_transactions_before_scheduled(self, made, clock):
        ask("test:a", trigger=UpdateTrigger.SCHEDULED)
        ask("test:b")
        ask("test:c", trigger=UpdateTrigger.MANUAL)

        process(clock)

        assert made == ["test:c", "test:b", "test:a"]

    def test_who_has_waited_rises_so_that_nothing_starves(self, made, clock):
        ask("test:old", trigger=UpdateTrigger.SCHEDULED)
        clock.advance(minutes=3)
        ask("test:new", trigger=UpdateTrigger.MANUAL, now=clock.now)

        process(clock)

        assert made == ["test:old", "test:new"]

    def test_waiting_counts_from_when_it_was_due(self, made, clock):
        """At the close of an hour all that waited for it would go before a person."""
        ask("test:batch", delay_seconds=3_600)
        clock.advance(hours=1)
        ask("test:manual", trigger=UpdateTrigger.MANUAL, now=clock.now)

        process(clock)

        assert made == ["test:manual", "test:batch"]

    def test_of_each_scope_the_last_done_update_is_kept(self, made, clock):
        for _ in range(3):
            ask("test:1")
            process(clock)

        assert statuses() == [("test:1", "done")]

    def test_one_asked_for_by_hand_is_kept_so_that_it_can_be_seen_through(
        self, made, clock
    ):
        [by_hand] = ask("test:1", trigger=UpdateTrigger.MANUAL)
        process(clock)
        ask("test:1")
        process(clock)

        assert MetricsUpdate.objects.get(pk=by_hand).status == UpdateStatus.DONE

    def test_work_and_its_mark_are_committed_together(self, clock, monkeypatch):
        def write_then_fail(update, now):
            MetricsUpdate.objects.filter(pk=update.id).update(requests=99)
            raise RuntimeError("too late")

        monkeypatch.setitem(handlers._handlers, "test", write_then_fail)
        ask("test:1")

        process(clock)

        assert MetricsUpdate.objects.get().requests == 1


@pytest.mark.django_db(transaction=True)
class TestFailing:
    def test_a_failure_is_tried_again_with_growing_pauses_and_then_dead(
        self, made, clock
    ):
        ask("poison:1")
        pauses = []
        for _ in range(5):
            process(clock)
            row = MetricsUpdate.objects.get()
            pauses.append((row.available_at - clock.now).total_seconds())
            clock.now = row.available_at

        assert row.status == UpdateStatus.DEAD
        assert row.error.rstrip().endswith("ZeroDivisionError: poisoned")
        for pause, expected in zip(pauses, [2, 4, 8, 16, 32], strict=True):
            assert 0.8 * expected <= pause <= 1.2 * expected
        assert process(clock).count == 0

    def test_one_failing_scope_never_holds_up_another(self, made, clock):
        ask("poison:1", trigger=UpdateTrigger.MANUAL)
        ask("test:1", "test:2")

        result = process(clock)

        assert (result.done, result.failed) == (2, ["poison:1"])

    def test_an_unknown_kind_of_scope_fails_with_its_name(self, made, clock):
        ask("nonsense:1")

        process(clock)

        row = MetricsUpdate.objects.get()
        assert row.status == UpdateStatus.FAILED
        assert "Nobody knows how to update “nonsense:1”." in row.error

    @pytest.mark.parametrize(
        "error",
        [
            ValueError("a\0b"),
            ValueError("\ud800"),
            OperationalError("deadlock detected"),
        ],
    )
    def test_whatever_a_handler_raises_stays_with_its_scope(
        self, made, clock, monkeypatch, error
    ):
        """A NUL would be refused by the database, a deadlock is not its absence."""

        def fail(update, now):
            raise error

        monkeypatch.setitem(handlers._handlers, "poison", fail)
        ask("poison:1", trigger=UpdateTrigger.MANUAL)
        ask("test:1")

        process(clock)

        assert statuses() == [("poison:1", "failed"), ("test:1", "done")]

    def test_a_constituency_that_is_gone_needs_no_refresh(self, db, clock):
        ask("constituency:4711")

        assert process(clock).failed == []

    def test_new_transactions_do_not_give_a_poisoned_scope_new_attempts(
        self, made, clock
    ):
        ask("poison:1")
        for _ in range(4):
            process(clock)
            clock.now = MetricsUpdate.objects.latest("id").available_at
            ask("poison:1", now=clock.now)
        process(clock)

        assert statuses() == [("poison:1", "dead")]
        assert len(made) == 5

    def test_a_retry_gives_all_attempts_again(self, made, clock):
        [dead] = ask("poison:1")
        MetricsUpdate.objects.update(status=UpdateStatus.DEAD, attempts=5)

        assert SERVICE.retry([dead], now=clock.now) == 1
        process(clock)

        row = MetricsUpdate.objects.get()
        assert (row.status, row.attempts) == (UpdateStatus.FAILED, 1)

    def test_only_what_was_given_up_can_be_retried(self, made, clock):
        [pending] = ask("test:1")

        assert SERVICE.retry([pending], now=clock.now) == 0
        assert statuses() == [("test:1", "pending")]

    def test_success_takes_the_dead_one_of_its_scope_with_its_hours(
        self, clock, monkeypatch
    ):
        hours = []
        monkeypatch.setitem(
            handlers._handlers,
            "test",
            lambda update, now: hours.extend(update.hours),
        )
        ask("test:1", hours=[NOW])
        MetricsUpdate.objects.update(status=UpdateStatus.DEAD)
        ask("test:1", hours=[NOW + timedelta(hours=1)])

        process(clock)

        assert hours == [NOW, NOW + timedelta(hours=1)]
        assert statuses() == [("test:1", "done")]


@pytest.mark.django_db(transaction=True)
class TestKilledWorkers:
    def test_what_a_killed_worker_had_in_hand_is_due_after_its_lease(self, made, clock):
        ask("test:1")
        SERVICE.claim(limit=1, now=clock.now)

        assert process(clock).count == 0
        clock.advance(seconds=61)
        assert process(clock).done == 1

    def test_an_update_that_kills_its_workers_runs_out_of_attempts(self, made, clock):
        ask("test:1")
        for _ in range(5):
            assert SERVICE.claim(limit=1, now=clock.now)
            clock.advance(seconds=61)

        assert process(clock).count == 0
        row = MetricsUpdate.objects.get()
        assert row.status == UpdateStatus.DEAD
        assert row.error == claims.WORKER_KILLED
        assert made == []

    def test_a_worker_that_was_too_slow_undoes_its_work(self, made, clock):
        """Claim, lease over, claimed by another: the first one must not say done."""
        ask("test:1")
        [slow] = SERVICE.claim(limit=1, now=clock.now)
        clock.advance(seconds=61)
        [_] = SERVICE.claim(limit=1, now=clock.now)

        with pytest.raises(LeaseLost), transaction.atomic():
            claims.finish([slow], clock.now)

        assert statuses() == [("test:1", "processing")]

    def test_a_successor_takes_up_what_was_left_behind(self, made, clock):
        """Set back to pending beside it, the old row would break the unique index."""
        ask("test:1", hours=[NOW])
        SERVICE.claim(limit=1, now=clock.now)
        clock.advance(seconds=61)
        ask("test:1", hours=[NOW + timedelta(hours=1)], now=clock.now)

        result = process(clock)

        row = MetricsUpdate.objects.get()
        assert result.done == 1
        assert (row.status, row.requests) == ("done", 2)
        assert row.hours == [NOW, NOW + timedelta(hours=1)]

    def test_what_was_in_hand_beside_a_killer_does_not_die_with_it(self, made, clock):
        ask("test:1", "test:2")
        for _ in range(5):
            assert SERVICE.claim(limit=20, now=clock.now)
            clock.advance(minutes=2)

        process(clock)

        assert statuses() == [("test:1", "dead"), ("test:2", "done")]

    def test_what_is_merged_into_a_request_from_the_future_is_due(self, made, clock):
        """Asked on a clock that ran ahead, beside what a killed worker left behind."""
        ask("test:1", now=NOW - timedelta(minutes=5))
        SERVICE.claim(limit=1, now=NOW - timedelta(minutes=5))
        ask("test:1", now=NOW + timedelta(minutes=40))

        process(clock)

        assert made == ["test:1"]

    @pytest.mark.parametrize("is_merged", [True, False])
    def test_a_pause_by_a_clock_that_ran_ahead_is_cut_short(
        self, made, clock, monkeypatch, is_merged
    ):
        """The request is older than the step of the clock."""
        ask("poison:1")
        clock.advance(seconds=179)
        process(clock)
        clock.advance(seconds=-178)
        if is_merged:
            ask("poison:1")
        monkeypatch.setitem(
            handlers._handlers, "poison", lambda u, now: made.append(u.scope)
        )

        assert process(clock).done == 1

    def test_a_pause_by_a_right_clock_is_kept(self, made, clock):
        ask("poison:1")
        process(clock)
        clock.advance(seconds=1)

        assert (process(clock).done, process(clock).failed) == (0, [])

    def test_a_clock_that_ran_back_leaves_nothing_stuck(self, made, clock):
        ask("test:1")
        ask("test:2")
        SERVICE.claim(limit=1, now=clock.now)
        clock.advance(hours=-3)

        assert process(clock).done == 2


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_work_longer_than_its_lease_is_taken_by_nobody(self, clock, monkeypatch):
        others = []

        def take_long(update, now):
            clock.advance(minutes=5)
            others.append(in_thread(lambda: process(clock).count))

        monkeypatch.setitem(handlers._handlers, "test", take_long)
        ask("test:1")

        assert process(clock).done == 1
        assert others == [0]

    def test_what_is_computed_longer_than_its_lease_is_taken_by_nobody(
        self, clock, monkeypatch
    ):
        """They took it out of each other's hands until it was dead."""
        others, written = [], []

        def compute_long(update, now):
            for _ in range(3):
                clock.advance(seconds=45)
                wait_until_renewed(clock)
                others.append(in_thread(lambda: process(clock).count))
            return lambda update, now: written.append(update.scope)

        monkeypatch.setattr(lease, "RENEWALS_PER_LEASE", 6_000)
        monkeypatch.setitem(handlers._preparations, "test", compute_long)
        ask("test:1")

        assert process(clock).done == 1
        assert (others, written) == ([0, 0, 0], ["test:1"])

    def test_what_a_worker_lost_it_does_not_take_back(self, made, clock, monkeypatch):
        def lose(update, now):
            clock.advance(seconds=61)
            [_] = SERVICE.claim(limit=1, now=clock.now)
            return lambda update, now: made.append(update.scope)

        monkeypatch.setitem(handlers._preparations, "test", lose)
        ask("test:1")

        assert process(clock).failed == ["test:1"]
        assert made == []
        assert statuses() == [("test:1", "processing")]

    def test_a_row_that_a_late_claimer_has_locked_for_a_moment_is_made_all_the_same(
        self, made, clock, monkeypatch
    ):
        """Else it would lie there until its lease ends."""
        locked, is_seen = threading.Event(), threading.Event()

        def claim_too_late():
            with transaction.atomic():
                list(MetricsUpdate.objects.select_for_update())
                locked.set()
                assert is_seen.wait(30)
            connection.close()

        other = threading.Thread(target=claim_too_late)

        def pause(_):
            is_seen.set()
            other.join()

        def lock_first(updates):
            other.start()
            assert locked.wait(30)
            return hold(updates)

        hold = claims.hold
        monkeypatch.setattr(making, "hold", lock_first)
        monkeypatch.setattr(claims, "time", SimpleNamespace(sleep=pause))
        ask("test:1")

        assert process(clock).done == 1
        assert made == ["test:1"]

    @pytest.mark.parametrize("error", [OperationalError, InternalError, InterfaceError])
    def test_a_database_that_refuses_ends_no_renewal(self, db, monkeypatch, error):
        tries, enough = [], threading.Event()

        def renew():
            tries.append(None)
            if len(tries) == 2:
                raise error("it is no good just now")
            if len(tries) > 2:
                enough.set()

        monkeypatch.setattr(lease, "RENEWALS_PER_LEASE", 6_000)
        with lease.kept(renew):
            assert enough.wait(10)

    def test_a_clock_a_little_behind_takes_nothing_out_of_another_hand(
        self, made, clock
    ):
        ask("test:1")
        SERVICE.claim(limit=1, now=clock.now)
        clock.advance(milliseconds=-1)

        assert process(clock).count == 0

    def test_hours_of_one_that_died_meanwhile_are_kept(self, made, clock):
        ask("test:1", hours=[NOW])
        SERVICE.claim(limit=1, now=clock.now)
        ask("test:1", hours=[NOW + timedelta(hours=1)])
        [second] = SERVICE.claim(limit=1, now=clock.now)
        MetricsUpdate.objects.filter(status="processing").exclude(pk=second.id).update(
            status="dead"
        )

        assert make([second], clock).done == 1

        assert statuses() == [("test:1", "dead"), ("test:1", "done")]

    def test_new_transactions_do_not_cut_the_pause_after_a_failure_short(
        self, made, clock
    ):
        ask("poison:1")
        process(clock)
        due_at = MetricsUpdate.objects.get().available_at
        ask("poison:1")
        process(clock)
        ask("poison:1")

        assert MetricsUpdate.objects.get().available_at == due_at
        assert len(made) == 1

    def test_what_commits_while_its_scope_is_in_hand_is_not_lost(self, made, clock):
        """With DO NOTHING the loader's wish would vanish into the row in hand."""
        ask("test:1")
        with transaction.atomic():
            SERVICE.enqueue([Request("test:1")], trigger="new_transaction", now=NOW)
            # A worker comes while the loader has not committed yet.
            assert in_thread(lambda: process(clock).count) == 0

        assert process(clock).done == 1

    def test_two_workers_never_have_one_update_at_once(self, made, clock):
        ask(*(f"test:{number:03}" for number in range(60)))
        barrier = threading.Barrier(4)

        def work() -> int:
            barrier.wait()
            return process(clock).done

        done = in_threads([work] * 4)

        assert sum(done) == 60
        assert sorted(made) == [f"test:{number:03}" for number in range(60)]

    def test_loaders_that_ask_for_the_same_scopes_do_not_deadlock(self, made, clock):
        scopes = [f"test:{number:03}" for number in range(50)]
        barrier = threading.Barrier(2)

        def keep_asking(order):
            barrier.wait()
            for _ in range(20):
                ask(*order)

        in_threads([lambda: keep_asking(scopes), lambda: keep_asking(scopes[::-1])])

        assert MetricsUpdate.objects.count() == 50
        assert set(MetricsUpdate.objects.values_list("requests", flat=True)) == {40}


def wait_until_renewed(clock):
    """Wait until the update in hand is locked as of now."""
    for _ in range(500):
        if MetricsUpdate.objects.filter(locked_at=clock.now).exists():
            return
        time.sleep(0.01)
    raise AssertionError("The lease was not renewed.")


def in_thread(do):
    return in_threads([do])[0]


def in_threads(jobs):
    """Run each job in a thread with a connection of its own; return their answers."""
    answers, errors = [None] * len(jobs), []

    def run(index, job):
        try:
            answers[index] = job()
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    if errors:
        raise errors[0]
    return answers


def test_priorities_are_manual_then_new_then_scheduled():
    assert Priority.MANUAL < Priority.NEW_TRANSACTION < Priority.SCHEDULED
