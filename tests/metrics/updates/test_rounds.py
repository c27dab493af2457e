"""Rounds of the worker: what is made together, in which order, and for how long."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import connection, transaction
from structlog.testing import capture_logs

from elections.locks import Lock, alone, lock_constituencies
from elections.models import Constituency
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services.updates import handlers, making, service
from metrics.services.updates.making import make
from metrics.update_queries import queue_age
from tests.beside import at_once, elsewhere
from tests.metrics.updates.queue import NOW, SERVICE, ask, process, statuses


@pytest.mark.django_db(transaction=True)
class TestMakingManyTogether:
    @pytest.fixture(autouse=True)
    def together(self, monkeypatch):
        """Handle updates of kind `many` together; a key of "bad" fails all."""
        self.calls: list[list[str]] = []

        def note(updates, now):
            keys = [update.key for update in updates]
            self.calls.append(keys)
            if "bad" in keys:
                raise ZeroDivisionError("poisoned")

        monkeypatch.setitem(handlers._handlers_of_many, "many", note)

    def test_those_of_one_kind_are_made_at_once(self, made, clock):
        ask("many:1", "many:2", "test:1", "test:2")

        assert process(clock).done == 4
        assert self.calls == [["1", "2"]]
        assert made == ["test:1", "test:2"]

    def test_the_fault_of_one_stays_with_it(self, clock):
        ask("many:1", "many:2", "many:bad")

        result = process(clock)

        assert (result.done, result.failed) == (2, ["many:bad"])
        assert self.calls == [["1", "2", "bad"], ["1"], ["2"], ["bad"]]
        row = MetricsUpdate.objects.get(scope="many:bad")
        assert (row.status, row.attempts) == (UpdateStatus.FAILED, 1)
        assert "poisoned" in row.error

    def test_one_that_another_worker_has_meanwhile_is_left_to_it(self, clock):
        ask("many:1", "many:2")
        first, second = SERVICE.claim(limit=2, now=clock.now)
        MetricsUpdate.objects.filter(pk=first.id).update(locked_at=NOW - timedelta(1))
        [_] = SERVICE.claim(limit=2, now=clock.now)

        result = make([first, second], clock)

        assert (result.done, result.failed) == (1, ["many:1"])
        assert self.calls == [["2"]]
        assert statuses() == [("many:1", "processing"), ("many:2", "done")]

    def test_one_that_is_locked_for_long_holds_up_no_other(self, two_contracts, clock):
        """Nor does it lock another out: loaders of that one go on."""
        first, second = Constituency.objects.order_by("pk").values_list("pk", flat=True)
        ask(f"constituency:{first}", f"constituency:{second}")
        held = threading.Event()

        def hold():
            with transaction.atomic():
                lock_constituencies([second])
                held.set()
                for _ in range(300):
                    time.sleep(0.02)
                    done = Constituency.objects.filter(metrics_updated_at__isnull=False)
                    if refreshed := list(done.values_list("pk", flat=True)):
                        return refreshed
                return []

        def work():
            assert held.wait(30)
            return process(clock).done

        assert at_once(hold, work) == [[first], 2]
        scopes = MetricsUpdate.objects.filter(scope__startswith="constituency:")
        assert set(scopes.values_list("status", flat=True)) == {UpdateStatus.DONE}

    def test_many_that_are_locked_wait_hardly_longer_than_one(
        self, two_contracts, clock, monkeypatch
    ):
        places = list(Constituency.objects.order_by("pk").values_list("pk", flat=True))
        ask(*(f"constituency:{pk}" for pk in places))
        waits, limit = [], making._wait_no_longer_than

        def wait_shortly(seconds):
            waits.append(seconds)
            limit(0.05)

        monkeypatch.setattr(making, "_wait_no_longer_than", wait_shortly)
        with transaction.atomic():
            lock_constituencies(places)
            elsewhere(lambda: process(clock))

        assert waits == [1.0, 0.1, 0.1]

    def test_what_fails_together_is_told(self, clock):
        ask("many:1", "many:bad")

        with capture_logs() as logs:
            process(clock)

        assert [log["event"] for log in logs] == [
            "Updates failed together",
            "Update failed",
        ]
        error = MetricsUpdate.objects.get(scope="many:bad").error
        assert error.count("Traceback") == 1

    def test_two_of_one_constituency_are_both_done_with_their_hours(
        self, election, clock
    ):
        """One that was given up and is retried, and its successor."""
        [place] = Constituency.objects.values_list("pk", flat=True)
        scope, later = f"constituency:{place}", NOW + timedelta(hours=1)
        [old] = ask(scope, hours=[NOW])
        MetricsUpdate.objects.update(status=UpdateStatus.DEAD)
        ask(scope, hours=[later])
        SERVICE.retry([old], now=clock.now)

        together = SERVICE.claim(limit=2, now=clock.now)
        assert make(together, clock).done == 2

        series = MetricsUpdate.objects.get(scope=f"series:{election.pk}")
        assert series.hours == [NOW, later]

    @pytest.mark.parametrize("attempts", [0, 2])
    def test_one_that_is_locked_is_put_off_and_loses_no_attempt(
        self, election, clock, monkeypatch, attempts
    ):
        """Somebody may hold it for an hour: that is no fault of the update."""
        monkeypatch.setattr(making, "LOCK_SECONDS", 0.1)
        [place] = Constituency.objects.values_list("pk", flat=True)
        MetricsUpdate.objects.all().delete()
        ask(f"constituency:{place}")
        MetricsUpdate.objects.update(status=UpdateStatus.FAILED, attempts=attempts)
        with transaction.atomic():
            lock_constituencies([place])
            for _ in range(2 * settings.UPDATE_ATTEMPTS):
                assert elsewhere(lambda: process(clock).failed) == []
                update = MetricsUpdate.objects.get()
                assert (update.status, update.attempts) == ("failed", attempts)
                assert update.available_at == clock.now + timedelta(seconds=2)
                clock.advance(seconds=2)
            assert update.error == "What it needs is locked."

        assert process(clock).done == 1
        assert Constituency.objects.get().metrics_updated_at is not None


@pytest.mark.django_db(transaction=True)
class TestRounds:
    @pytest.mark.parametrize("kind", ["history", "evaluate"])
    def test_what_takes_long_comes_last_of_those_claimed_together(
        self, made, clock, monkeypatch, kind
    ):
        def note(update, now):
            made.append(update.scope)

        monkeypatch.setitem(handlers._handlers, "history", note)
        monkeypatch.setitem(handlers._preparations, "evaluate", lambda *_: note)
        ask(f"{kind}:1", trigger=UpdateTrigger.MANUAL)
        ask("test:1", "test:2")

        assert process(clock).done == 3
        assert made == ["test:1", "test:2", f"{kind}:1"]

    def test_after_half_a_minute_nothing_more_is_begun(self, made, clock, monkeypatch):
        """Its time limit is for one that hangs, not for many that take long."""
        times = SimpleNamespace(now=0.0, monotonic=lambda: times.now)

        def take_long(update, now):
            made.append(update.scope)
            times.now += 16

        monkeypatch.setattr(service, "time", times)
        monkeypatch.setitem(handlers._handlers, "long", take_long)
        ask("long:1", "long:2", "long:3")

        assert process(clock).is_cut
        assert made == ["long:1", "long:2"]
        last = MetricsUpdate.objects.get(scope="long:3")
        assert (last.status, last.attempts) == (UpdateStatus.FAILED, 0)
        # At once: in another round.
        assert not process(clock).is_cut
        assert made == ["long:1", "long:2", "long:3"]

    def test_what_another_worker_has_is_not_computed(self, made, clock, monkeypatch):
        def prepare(update, now):
            made.append(update.scope)
            return lambda update, now: None

        monkeypatch.setitem(handlers._preparations, "long", prepare)
        ask("long:1")
        [lost] = SERVICE.claim(limit=1, now=clock.now)
        clock.advance(seconds=61)
        [_] = SERVICE.claim(limit=1, now=clock.now)

        assert make([lost], clock).failed == ["long:1"]
        assert made == []
        assert statuses() == [("long:1", "processing")]

    @pytest.mark.parametrize("kind", ["history", "evaluate"])
    def test_of_what_takes_long_one_is_made_at_a_time(
        self, made, clock, monkeypatch, kind
    ):
        """Else no process is left for what is live."""

        def note(update, now):
            made.append(update.scope)

        def meet(update, now):
            note(update, now)
            ask(f"{kind}:2", "test:1")
            elsewhere(lambda: process(clock))
            return note

        monkeypatch.setitem(handlers._handlers, "history", note)
        monkeypatch.setitem(handlers._preparations, "evaluate", lambda *_: note)
        monkeypatch.setitem(handlers._preparations, "first", meet)
        monkeypatch.setattr(handlers, "_last", {"first", "history", "evaluate"})
        ask("first:1")

        assert process(clock).done == 1
        assert made == ["first:1", "test:1", "first:1"]
        waiting = MetricsUpdate.objects.get(scope=f"{kind}:2")
        assert (waiting.status, waiting.attempts) == ("failed", 0)
        clock.advance(seconds=1)
        process(clock)
        assert made[3:] == [f"{kind}:2"]

    def test_what_was_computed_is_written_once_its_lock_is_free(
        self, election, made, clock, monkeypatch
    ):
        """Between two tries whoever waits for its other locks has them."""
        [place] = Constituency.objects.values_list("pk", flat=True)

        def prepare(update, now):
            made.append("computed")
            return write

        def write(update, now):
            lock_constituencies([place])
            made.append("written")

        def pause(_):
            made.append("locked")
            if made.count("locked") == 2:
                others.rollback()

        monkeypatch.setattr(making, "LOCK_SECONDS", 0.05)
        monkeypatch.setattr(making, "time", SimpleNamespace(sleep=pause))
        monkeypatch.setattr(handlers, "_last", {"long"})
        monkeypatch.setitem(handlers._preparations, "long", prepare)
        MetricsUpdate.objects.all().delete()
        ask("long:1")
        others = connection.copy()
        try:
            others.set_autocommit(False)
            with others.cursor() as cursor:
                cursor.execute("SELECT FROM elections_constituency FOR UPDATE")

            assert process(clock).done == 1
        finally:
            others.close()
        assert made == ["computed", "locked", "locked", "written"]

    def test_others_are_woken_before_what_takes_long(self, made, clock, monkeypatch):
        """What is due soon may have been left to this process."""
        monkeypatch.setattr(making, "wake_worker", lambda: made.append("woken"))
        monkeypatch.setattr(handlers, "_last", {"test"})
        ask("test:1")

        process(clock)

        assert made == ["woken", "test:1"]

    def test_what_is_put_off_again_and_again_becomes_urgent(
        self, made, clock, monkeypatch
    ):
        """Else one that follows another takes the turn of all the others for ever."""
        monkeypatch.setattr(handlers, "_last", {"test"})
        ask("test:waiting", trigger=UpdateTrigger.SCHEDULED)
        with alone(Lock.LONG_UPDATE):
            for _ in range(3):
                elsewhere(lambda: process(clock))
                clock.advance(minutes=1)
        ask("test:new", now=clock.now)

        process(clock)

        assert made == ["test:waiting", "test:new"]

    def test_what_takes_long_does_not_make_the_queue_look_old(self, clock, monkeypatch):
        """Nobody has to wait for it, and the feed least of all."""
        ages = []

        def take_long(update, now):
            clock.advance(minutes=5)
            ages.append(elsewhere(lambda: queue_age(clock.now)))

        monkeypatch.setitem(handlers._handlers, "long", take_long)
        ask("long:1")
        process(clock)
        assert ages == [timedelta()]

        ask("long:2", now=clock.now)
        SERVICE.claim(limit=1, now=clock.now)
        clock.advance(minutes=5)
        assert queue_age(clock.now) == timedelta(minutes=5)
