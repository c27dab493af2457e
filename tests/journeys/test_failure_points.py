"""Seven ways to fail, and what is true afterwards; docs/operations.md tells staff."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from elections.models import Constituency
from metrics import events
from metrics.models import MetricsUpdate, UpdateStatus
from metrics.services import (
    ConstituencyMetricsService,
    HourlyStatsService,
    MetricsUpdateService,
    Request,
    verify,
    wake_up,
)
from tests.beside import at_once
from tests.factories import make_staff
from tests.transactions.conftest import (
    election,
    figures_stay_exact,
    load,
    two_contracts,
    write,
)
from tests.transactions.lines import BROKEN, A, B, hour_file, issue, vote
from transactions.models import RejectedRow

__all__ = ["election", "figures_stay_exact", "load", "two_contracts", "write"]

pytestmark = pytest.mark.django_db(transaction=True)

FILE = hour_file("09:00", issue("i1"), vote("v1"))
NOWHERE = "unix:///nonexistent/redis.sock"


def work_off(clock=timezone.now):
    return MetricsUpdateService().process(limit=100, clock=clock)


def totals() -> list[tuple[int, int]]:
    rows = Constituency.objects.order_by("contract_id")
    return list(rows.values_list("bulletins_issued", "votes_cast"))


def test_1_the_database_is_lost_in_mid_calculation(load, monkeypatch):
    """The session ends inside the refresh; seconds later it is made on a new one."""
    load(FILE)
    refresh, lost = ConstituencyMetricsService.refresh_many, []

    def lose_the_first(self, constituency_ids, *, now):
        answer = refresh(self, constituency_ids, now=now)
        if not lost:
            lost.append(True)
            with pytest.raises(OperationalError), connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            raise OperationalError("the connection is lost")
        return answer

    monkeypatch.setattr(ConstituencyMetricsService, "refresh_many", lose_the_first)

    work_off()
    assert Constituency.objects.get().metrics_updated_at is None
    in_some_seconds = timezone.now() + timedelta(seconds=5)
    result = work_off(clock=lambda: in_some_seconds)

    assert result.failed == []
    assert Constituency.objects.get().metrics_updated_at is not None


def test_2_invalid_data_is_kept_with_its_reason_and_the_rest_is_counted(load):
    summary = load(hour_file("09:00", issue("i1"), BROKEN, vote("v1")))

    assert (summary.accepted, summary.rejected) == (2, 1)
    assert totals() == [(1, 1)]
    assert RejectedRow.objects.get().message


def test_3_what_cannot_be_calculated_is_null(load, clock_back):
    """No register, no completed hour, and a clock behind the ledger."""
    load(FILE)

    work_off(clock=clock_back)

    place = Constituency.objects.get()
    metrics = ConstituencyMetricsService().total_metrics(place)
    assert place.metrics_updated_at == clock_back()
    assert metrics.participation_rate is None
    assert metrics.vote_velocity_trend is None
    assert metrics.votes_cast == 1


def test_3_an_update_that_raises_holds_up_no_other(load, two_contracts, monkeypatch):
    load(FILE, hour_file("09:00", issue("i2"), contract_id=B))
    poisoned = Constituency.objects.get(contract_id=A).pk
    refresh = ConstituencyMetricsService.refresh_many

    def divide_by_zero(self, constituency_ids, *, now):
        if poisoned in constituency_ids:
            raise ZeroDivisionError
        return refresh(self, constituency_ids, now=now)

    monkeypatch.setattr(ConstituencyMetricsService, "refresh_many", divide_by_zero)

    result = work_off()

    assert result.failed == [f"constituency:{poisoned}"]
    assert Constituency.objects.get(contract_id=B).metrics_updated_at is not None


def test_4_without_redis_everything_is_counted_and_nothing_fails(
    load, settings, monkeypatch, no_breakers
):
    settings.EVENTS_REDIS_URL = NOWHERE
    events._client.cache_clear()
    monkeypatch.setattr(wake_up, "current_app", BrokenBroker())

    load(FILE)
    result = work_off()

    assert totals() == [(1, 1)]
    assert result.failed == []
    assert list(verify()) == []


def test_5_an_update_outlives_its_worker(load):
    load(FILE)
    now = timezone.now()
    MetricsUpdateService().claim(limit=1, now=now)

    result = work_off(clock=lambda: now + timedelta(seconds=61))

    assert result.done >= 1
    assert Constituency.objects.get().metrics_updated_at is not None


def test_6_under_high_load_api_batches_are_told_to_come_later(load, client):
    load(FILE)
    MetricsUpdate.objects.update(available_at=timezone.now() - timedelta(minutes=2))
    client.force_login(make_staff())
    body = {"transactions": []}

    answer = client.post("/api/v1/transactions/", body, content_type="application/json")

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 60


def test_6_the_readiness_page_names_the_queue(load, client):
    load(FILE)
    assert client.get("/health/ready/").json()["queue"] == "ok"
    MetricsUpdate.objects.update(available_at=timezone.now() - timedelta(minutes=2))

    answer = client.get("/health/ready/")

    assert answer.status_code == 503
    assert answer.json()["queue"] == "failed"


def test_7_recounts_and_refreshes_beside_each_other_change_nothing(load):
    load(FILE)
    place = Constituency.objects.get()

    def recount():
        for _ in range(5):
            HourlyStatsService().aggregate_hourly_stats_for_election(
                "duma", now=timezone.now()
            )

    def refresh():
        for _ in range(5):
            MetricsUpdateService().request_by_hand(
                [Request(f"constituency:{place.pk}")], now=timezone.now()
            )
            work_off()

    at_once(recount, refresh, recount, refresh)

    assert totals() == [(1, 1)]
    assert not MetricsUpdate.objects.filter(
        status__in=[UpdateStatus.FAILED, UpdateStatus.DEAD]
    ).exists()


@pytest.fixture
def clock_back():
    """Return a clock that stands before everything in the ledger."""
    moment = timezone.now() - timedelta(days=5_000)
    return lambda: moment


@pytest.fixture
def no_breakers(monkeypatch):
    """Close the breakers before the test, and leave none open behind it."""
    for module in (events, wake_up):
        monkeypatch.setattr(module, "_breaker", type(module._breaker)(pause_seconds=0))
    yield
    events._client.cache_clear()


class BrokenBroker:
    """A Celery app whose broker is away."""

    def send_task(self, name, **_):
        from kombu.exceptions import OperationalError as BrokerAway

        raise BrokerAway("connection refused")
