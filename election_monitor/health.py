"""Liveness and readiness, for load balancers, containers and `make run`.

Own views: those of django-health-check answer 500 and name a part by its class.
"""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_redis.exceptions import ConnectionInterrupted
from redis import RedisError

from elections.clock import database_now
from metrics.update_queries import queue_age

OK, FAILED = "ok", "failed"
PROBE_KEY = "health"
PROBE_SECONDS = 10


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Say that the process is up; asks nothing of any service."""
    return JsonResponse({"status": OK})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Say which parts work, and answer 503 while one of them does not.

    A process is never killed for it: a restart mends neither database nor Redis.
    """
    parts = {name: check() for name, check in CHECKS.items()}
    has_failed = FAILED in parts.values()
    return JsonResponse(
        {"status": FAILED if has_failed else OK, **parts},
        status=503 if has_failed else 200,
    )


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return FAILED
    return OK


def _cache() -> str:
    try:
        cache.set(PROBE_KEY, 1, timeout=PROBE_SECONDS)
    except (ConnectionInterrupted, RedisError, OSError):
        return FAILED
    return OK


def _queue() -> str:
    """Say whether updates are made: their workers may all be gone."""
    longest = timedelta(seconds=settings.BACK_PRESSURE_SECONDS)
    try:
        return OK if queue_age(database_now()) <= longest else FAILED
    except DatabaseError:
        return FAILED


CHECKS: dict[str, Callable[[], str]] = {
    "database": _database,
    "cache": _cache,
    "queue": _queue,
}
