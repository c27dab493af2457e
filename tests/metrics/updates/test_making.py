"""Making updates: the most urgent first; the fault of one stays with it."""

from datetime import timedelta

import pytest
from django.db import OperationalError

from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services.updates import handlers
from tests.metrics.updates.queue import NOW, SERVICE, ask, process, statuses


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
