"""The queue as its tests use it."""

from datetime import UTC, datetime

from django.db import transaction

from metrics.models import MetricsUpdate, UpdateTrigger
from metrics.services import MetricsUpdateService, Request

NOW = datetime(2026, 9, 18, 12, 0, tzinfo=UTC)
SERVICE = MetricsUpdateService()


def ask(*scopes, trigger=UpdateTrigger.NEW_TRANSACTION, now=NOW, **options):
    with transaction.atomic():
        return SERVICE.enqueue(
            [Request(scope, **options) for scope in scopes], trigger=trigger, now=now
        )


def process(clock, limit=100):
    return SERVICE.process(limit=limit, clock=clock)


def statuses() -> list[tuple[str, str]]:
    return list(MetricsUpdate.objects.order_by("id").values_list("scope", "status"))
