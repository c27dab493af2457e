"""Liveness and readiness, for load balancers, containers and `make run`.

Own views: those of django-health-check answer 500, name a part by its class, and know no
degraded state.
"""

from collections.abc import Callable

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_redis.exceptions import ConnectionInterrupted
from redis import RedisError

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
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
    """Say which parts work: 503 without the database, 200 but degraded without Redis.

    Without Redis answers are slower and live events late, and every figure is right:
    taking all web processes out of service would help nobody.
    """
    parts = {name: check() for name, check in CHECKS.items()}
    status = max(parts.values(), key=SEVERITY.index)
    code = 503 if status == FAILED else 200
    return JsonResponse({"status": status, **parts}, status=code)


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
        return DEGRADED
    return OK


SEVERITY = [OK, DEGRADED, FAILED]
CHECKS: dict[str, Callable[[], str]] = {"database": _database, "cache": _cache}
