"""Pauses of the outbox: what fails waits, whoever asks again, and a person does not."""

from datetime import timedelta

import pytest
from django.db import transaction

from elections.models import Constituency, UpdateMode
from metrics.models import MetricsUpdate, UpdateTrigger
from metrics.services import Request
from metrics.services.updates import handlers
from tests.metrics.updates.queue import NOW, SERVICE, ask, process, statuses
from tests.transactions.lines import A
from transactions.deltas import HourDelta


@pytest.fixture
def place(election):
    """Return a constituency with nothing to update."""
    MetricsUpdate.objects.all().delete()
    Constituency.objects.update(metrics_updated_at=NOW)
    return Constituency.objects.get(contract_id=A)


def wait_long(election, mode):
    """Let what comes in wait for the close of the hour, or for five minutes."""
    if mode == "batch":
        election.update_mode = UpdateMode.BATCH
    else:
        election.refresh_seconds = 300
    election.save()


def commit_rows(place, clock):
    with transaction.atomic():
        SERVICE.enqueue_changes([HourDelta(place.pk, NOW)], now=clock.now)


@pytest.mark.parametrize("ahead", [1, 50, 300])
def test_an_asker_whose_clock_is_ahead_takes_no_pause_away(db, made, clock, ahead):
    ask("poison:1", now=NOW + timedelta(seconds=ahead))

    process(clock)

    # One attempt, not all five in one round.
    assert made == ["poison:1"]
    assert statuses() == [("poison:1", "failed")]


@pytest.mark.parametrize("mode", ["batch", "coalesced"])
def test_what_fails_waits_though_rows_keep_coming(place, clock, monkeypatch, mode):
    wait_long(place.election, mode)
    tried = []

    def fail(updates, now):
        tried.append((now - NOW).total_seconds())
        raise ZeroDivisionError

    monkeypatch.setitem(handlers._handlers_of_many, "constituency", fail)
    ask(f"constituency:{place.pk}", trigger=UpdateTrigger.MANUAL)
    process(clock)
    for _ in range(8):
        clock.advance(seconds=0.5)
        commit_rows(place, clock)
        process(clock)

    # At once, and after the pause of 1.6 to 2.4 seconds; the next one is twice as long.
    assert len(tried) == 2
    assert tried[1] >= 1.5


def test_a_retry_does_not_wait_for_the_hour_of_what_came_later(
    place, clock, monkeypatch
):
    wait_long(place.election, "batch")
    made = []
    monkeypatch.setitem(
        handlers._handlers_of_many,
        "constituency",
        lambda updates, now: made.extend(update.scope for update in updates),
    )
    [pk] = ask(f"constituency:{place.pk}")
    MetricsUpdate.objects.update(status="dead", attempts=5)
    commit_rows(place, clock)

    assert SERVICE.retry([pk], now=clock.now) == 1
    process(clock)

    assert made == [f"constituency:{place.pk}"]


@pytest.mark.parametrize("retried", ["earlier", "later"])
def test_a_retry_cuts_the_pause_of_its_scope_short(db, made, clock, retried):
    """Whichever of two it is: the later one takes the other up, with all its attempts."""
    [earlier] = ask("poison:1")
    MetricsUpdate.objects.update(status="dead", attempts=5)
    [later] = ask("poison:1")
    for _ in range(2):
        process(clock)
        clock.advance(seconds=40)
    process(clock)
    if retried == "later":
        MetricsUpdate.objects.filter(pk=earlier).update(
            status="failed", attempts=3, available_at=clock.now + timedelta(seconds=30)
        )
    tried, pk = len(made), {"earlier": earlier, "later": later}[retried]

    assert SERVICE.retry([pk], now=clock.now) == 1
    process(clock)

    assert len(made) == tried + 1
    assert MetricsUpdate.objects.get().attempts == 1


def test_a_person_cuts_the_pause_of_a_failure_short(db, made, clock):
    ask("poison:1")
    for _ in range(3):
        process(clock)
        clock.advance(seconds=40)
    process(clock)
    tried = len(made)
    clock.advance(seconds=1)

    process(clock)
    assert len(made) == tried

    SERVICE.request_by_hand([Request("poison:1")], now=clock.now)
    process(clock)
    assert len(made) == tried + 1
