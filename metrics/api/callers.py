"""What a machine may do, kept for a moment: each of its requests shows its token."""

import time

import orjson
from django.http import HttpRequest
from rest_framework.request import Request

from elections.api.authentication import TokenAuthentication
from elections.roles import Role, roles_of
from elections.tags import ACCOUNTS
from metrics.cache import metrics_cache, metrics_key

# What changes a token or its owner ends this at once. A change past Django, or the death
# of a process between its commit and that, is seen after as long.
KEPT_SECONDS = 10.0


class NoMachine(Exception):
    """The request does not show a token."""


def roles_of_machine(request: HttpRequest) -> frozenset[Role]:
    """Return the roles of whoever owns the token that a request shows.

    Raises:
        NoMachine: it shows none.
        AuthenticationFailed: nobody has this token, it has ended, or its owner may not
            sign in.
    """
    shown = request.META.get("HTTP_AUTHORIZATION", "")
    known = metrics_cache().fetch(
        metrics_key("machine", authorization=shown),
        lambda: _ask(request),
        tags=[ACCOUNTS],
        ttl=KEPT_SECONDS,
        is_counted=False,
    )
    ends_at, roles = orjson.loads(known.entry.content)
    if ends_at is not None and ends_at <= time.time():
        # It says so itself that the token has ended.
        ends_at, roles = orjson.loads(_ask(request))
    return frozenset(Role(role) for role in roles)


def _ask(request: HttpRequest) -> bytes:
    found = TokenAuthentication().authenticate(Request(request))
    if found is None:
        raise NoMachine
    owner, token = found
    ends_at = token.expiry.timestamp() if token.expiry else None
    return orjson.dumps([ends_at, sorted(roles_of(owner))])
