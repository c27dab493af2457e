"""Several at once: nothing asked for is lost, or done twice at a time."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import (
    InterfaceError,
    InternalError,
    OperationalError,
    connection,
    transaction,
)

from metrics.models import MetricsUpdate
from metrics.services import Request, lease
from metrics.services.updates import claims, handlers, making
from metrics.services.updates.making import make
from tests.beside import at_once, elsewhere
from tests.metrics.updates.queue import NOW, SERVICE, ask, process, statuses


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_work_longer_than_its_lease_is_taken_by_nobody(self, clock, monkeypatch):
        others = []

        def take_long(update, now):
            clock.advance(minutes=5)
            others.append(elsewhere(lambda: process(clock).count))

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
                others.append(elsewhere(lambda: process(clock).count))
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
            assert elsewhere(lambda: process(clock).count) == 0

        assert process(clock).done == 1

    def test_two_workers_never_have_one_update_at_once(self, made, clock):
        ask(*(f"test:{number:03}" for number in range(60)))
        barrier = threading.Barrier(4)

        def work() -> int:
            barrier.wait()
            return process(clock).done

        done = at_once(*[work] * 4)

        assert sum(done) == 60
        assert sorted(made) == [f"test:{number:03}" for number in range(60)]

    def test_loaders_that_ask_for_the_same_scopes_do_not_deadlock(self, made, clock):
        scopes = [f"test:{number:03}" for number in range(50)]
        barrier = threading.Barrier(2)

        def keep_asking(order):
            barrier.wait()
            for _ in range(20):
                ask(*order)

        at_once(lambda: keep_asking(scopes), lambda: keep_asking(scopes[::-1]))

        assert MetricsUpdate.objects.count() == 50
        assert set(MetricsUpdate.objects.values_list("requests", flat=True)) == {40}


def wait_until_renewed(clock):
    """Wait until the update in hand is locked as of now."""
    for _ in range(500):
        if MetricsUpdate.objects.filter(locked_at=clock.now).exists():
            return
        time.sleep(0.01)
    raise AssertionError("The lease was not renewed.")
