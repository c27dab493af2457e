"""Asking the outbox: one row for a scope, no sooner than its interval."""

from datetime import timedelta

import pytest
from django.db import transaction

from elections.locks import NotInTransaction
from elections.models import Constituency, UpdateMode
from metrics.models import MetricsUpdate, UpdateTrigger
from metrics.services import Priority, Request
from tests.metrics.updates.queue import NOW, SERVICE, ask
from tests.transactions.lines import A, hour_file, issue


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


def test_priorities_are_manual_then_new_then_scheduled():
    assert Priority.MANUAL < Priority.NEW_TRANSACTION < Priority.SCHEDULED
