"""Pages for people: the elections at a glance, the API viewer, and what went wrong."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.csrf import csrf_failure
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

from election_monitor.api import PARAMETER_LENGTH, refuse_unusable
from elections.models import Election
from elections.queries import elections_at_a_glance
from elections.roles import may_read
from metrics import events as live_events
from transactions.queries import (
    Coverage,
    batches_to_look_at,
    coverage_by_election,
    newest_file,
)

# The API lists them all.
ELECTIONS_SHOWN = 50
# In the order in which a page names them; "interrupted" is finished by the next import.
BATCH_WORDS = ("queued", "running", "waiting", "failed", "interrupted")


@dataclass(frozen=True, slots=True)
class ElectionCard:
    """An election (from `elections_at_a_glance`) and the state of its feed."""

    election: Election
    coverage: Coverage | None
    # Pairs of word and number, of batches that are not simply loaded.
    batches: list[tuple[str, int]]


@require_safe
@cache_control(private=True, no_cache=True)
def home(request: HttpRequest) -> HttpResponse:
    """Show the elections at a glance, to whoever may read the API."""
    is_reader = may_read(request.user)
    is_staff = bool(getattr(request.user, "is_staff", False))
    # Before the figures: what comes behind this id is not in them, or does no harm.
    live_id = live_events.live_id(None) if is_reader else None
    figures = _glance(with_imports=is_staff) if is_reader else {}
    return render(
        request,
        "election_monitor/home.html",
        {"may_read": is_reader, "is_staff": is_staff, "live_id": live_id, **figures},
    )


def _glance(*, with_imports: bool) -> dict[str, Any]:
    """Return what the page shows; the state of imports is for staff alone."""
    elections = list(elections_at_a_glance()[: ELECTIONS_SHOWN + 1])
    shown = elections[:ELECTIONS_SHOWN]
    coverage = coverage_by_election(election.pk for election in shown)
    by_election, in_all = _batches() if with_imports else (defaultdict(dict), {})
    return {
        "cards": [
            ElectionCard(
                election=election,
                coverage=coverage.get(election.pk),
                batches=_in_words(by_election[election.pk]),
            )
            for election in shown
        ],
        "has_more": len(elections) > ELECTIONS_SHOWN,
        "batches": _in_words(in_all),
        "newest_file": newest_file() if with_imports else None,
    }


def _batches() -> tuple[defaultdict[int | None, dict[str, int]], dict[str, int]]:
    """Return the numbers of batches to look at, by election and over all."""
    by_election: defaultdict[int | None, dict[str, int]] = defaultdict(dict)
    in_all: defaultdict[str, int] = defaultdict(int)
    for election_id, status, number in batches_to_look_at():
        by_election[election_id][status] = number
        in_all[status] += number
    return by_election, in_all


def _in_words(numbers: dict[str, int]) -> list[tuple[str, int]]:
    return [(word, numbers[word]) for word in BATCH_WORDS if word in numbers]


class ApiSchema(SpectacularAPIView):
    """The description of the API, with parameters as strict as the API's own."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        known = dict.fromkeys(("format", "lang"), PARAMETER_LENGTH)
        refuse_unusable(request.query_params, known)


# Swagger UI writes style attributes; its start-up script comes from an address of ours.
api_viewer = csp_update({"style-src": ["'unsafe-inline'"]})(
    # Without OPTIONS, which would ask the viewer to render itself as data.
    SpectacularSwaggerSplitView.as_view(
        url_name="schema", http_method_names=["get", "head"]
    )
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refuses."""
    return _problem(request, 400, "bad_request", "The request cannot be understood.")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer who may not do this."""
    message = "You do not have permission to perform this action."
    return _problem(request, 403, "permission_denied", message)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that another site may have sent."""
    if request.path.startswith("/api/"):
        return _problem(request, 403, "csrf_failed", f"CSRF Failed: {reason}")
    return csrf_failure(request, reason)


def locked_out(
    request: HttpRequest, response: HttpResponse, credentials: object
) -> HttpResponse:
    """Answer a login that was guessed at too often; called by django-axes."""
    message = "Too many attempts to sign in. Try again later."
    answer = _problem(request, 429, "locked_out", message)
    wait: timedelta = settings.AXES_COOLOFF_TIME
    answer["Retry-After"] = str(int(wait.total_seconds()))
    return answer


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for an address where there is nothing."""
    return _problem(request, 404, "not_found", "Not found.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an error of ours, without touching database or session."""
    return _problem(request, 500, "error", "A server error occurred.")


def _problem(
    request: HttpRequest, status: int, code: str, message: str
) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": message, "code": code}, status=status)
    return HttpResponse(render_to_string(f"{status}.html"), status=status)
