"""Workers that are killed, or slow, lose no update and keep none."""

from datetime import timedelta

import pytest
from django.db import transaction

from elections.models import Constituency
from metrics.models import MetricsUpdate, UpdateStatus
from metrics.services.updates import LeaseLost, claims, handlers
from tests.beside import stand_still
from tests.metrics.updates.queue import NOW, SERVICE, ask, process, statuses


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

    def test_a_worker_whose_session_was_ended_tries_again(self, clock, monkeypatch):
        """It was stopped in mid-transaction, or the server restarted."""
        tried = []

        def stand_still_once(update, now):
            if not tried:
                stand_still()
            tried.append(update.scope)
            Constituency.objects.count()

        monkeypatch.setitem(handlers._handlers, "test", stand_still_once)
        ask("test:1")

        assert process(clock).failed == ["test:1"]
        clock.advance(seconds=3)
        assert process(clock).done == 1

        assert tried == ["test:1", "test:1"]
        assert statuses() == [("test:1", "done")]

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
