"""How many requests a minute a caller may make, by role."""

import logging
import time
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.cache import cache
from django_redis.exceptions import ConnectionInterrupted
from redis import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from election_monitor.clients import client_address
from election_monitor.environment import Rate
from elections.roles import Role, roles_of
from metrics.breaker import Breaker

if TYPE_CHECKING:
    # Its classes are made from the settings, which name the class of this module.
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)
# Strangers, and users without a role.
ANONYMOUS = "anonymous"
# A Redis that hangs holds one request for its time-out, not each of them.
breaker = Breaker(pause_seconds=2)


class RoleThrottle(BaseThrottle):
    """Counts the requests of a caller in periods of the clock.

    One number per caller in the cache. The class of rest_framework keeps the time of
    every request instead: ten kilobytes to and fro for each one of an operator.
    """

    def allow_request(self, request: Request, view: "APIView") -> bool:
        role, rate = _most_generous(request.user)
        if rate is None:
            return True
        now = time.time()
        self._wait = rate.seconds - now % rate.seconds
        period = int(now // rate.seconds)
        return _used(f"throttle:{role}:{_caller(request)}:{period}", rate) <= (
            rate.requests
        )

    def wait(self) -> float:
        """Return the seconds until the next period."""
        return self._wait


def _most_generous(user: object) -> tuple[str, Rate | None]:
    """Return the role whose rate holds for `user`, and that rate; None is no limit."""
    rates: dict[str, Rate | None] = settings.THROTTLE_RATES
    if not any(rates.values()):
        return ANONYMOUS, None
    own = [role.value for role in Role if role in roles_of(user)] or [ANONYMOUS]
    return max(
        ((role, rates[role]) for role in own),
        key=lambda pair: pair[1].per_second if pair[1] else float("inf"),
    )


def _caller(request: Request) -> str:
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{client_address(request._request)}"


def _used(key: str, rate: Rate) -> int:
    """Count one more request, and return how many there were; 0 without Redis."""
    if breaker.is_open:
        return 0
    try:
        cache.add(key, 0, timeout=rate.seconds)
        return int(cache.incr(key))
    except ValueError:
        # The period ended, or the key was evicted, between the two.
        return 0
    except (ConnectionInterrupted, RedisError, OSError):
        breaker.open()
        logger.warning("Requests are not counted: Redis does not answer.")
        return 0
