"""Who gets a stream, and how everybody else is told why not."""

import asyncio
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.http.request import validate_host
from django.http.response import HttpResponseBase

from dashboard import tickets
from dashboard.live.feeds import Feeds, Unavailable
from dashboard.live.replays import Replays
from dashboard.live.streams import Stream
from metrics import events

logger = structlog.get_logger(__name__)

COME_BACK_SECONDS = 5
# A cached stream is no stream; nginx would collect events before it passes them on.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
METHODS = "GET, OPTIONS"

_feeds = Feeds()
_replays = Replays()


class Refusal(Exception):
    """The stream is not given; the message is for people, the code for programs."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


async def stream(request: HttpRequest, election: str | None = None) -> HttpResponseBase:
    """Answer with the events of an election, or with the totals of all."""
    if request.method == "OPTIONS":
        return _with_headers(request, HttpResponse(status=204))
    try:
        _refuse_method(request)
        ticket = _ticket(request, election)
        return _with_headers(request, await _stream(request, ticket))
    except Refusal as refusal:
        return _with_headers(request, _refused(refusal))


async def health(request: HttpRequest) -> HttpResponse:
    """Say that the process is up, and how many listen; asks nothing of any service."""
    answer = {"status": "ok", "listeners": _feeds.listener_count}
    return JsonResponse(answer, headers=HEADERS)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that Django itself refuses."""
    return _refused(Refusal(400, "bad_request", "The request cannot be understood."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer for an address where there is nothing."""
    return _refused(Refusal(404, "not_found", "Not found."))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an error of ours."""
    return _refused(Refusal(500, "error", "A server error occurred."))


async def _stream(
    request: HttpRequest, ticket: tickets.Ticket
) -> StreamingHttpResponse:
    if _feeds.listener_count >= settings.LIVE_LISTENERS:
        message = f"{settings.LIVE_LISTENERS} listeners are as many as there can be."
        raise Refusal(503, "too_many_listeners", message)
    is_overview = ticket.election is None
    name = events.OVERVIEW if is_overview else events.stream_name(str(ticket.election))
    _end_streams_on_sigterm()
    try:
        feed = await _feeds.up(name)
    except Unavailable as error:
        message = "Live events cannot be read at the moment."
        raise Refusal(503, "unavailable", message) from error
    # From here to the listener's place in the feed nothing may be waited for.
    following = Stream(
        feed,
        feeds=_feeds,
        replays=_replays,
        # Sent by browsers that reconnect, with the address they began with.
        after=request.headers.get("Last-Event-ID") or request.GET.get("after") or None,
        sees_constituencies=ticket.sees_constituencies,
    )
    return StreamingHttpResponse(
        following.blocks(), content_type="text/event-stream; charset=utf-8"
    )


def _refuse_method(request: HttpRequest) -> None:
    if request.method != "GET":
        raise Refusal(405, "method_not_allowed", f"Use {METHODS}.")


def _ticket(request: HttpRequest, election: str | None) -> tickets.Ticket:
    """Return the ticket of a request, which has to be for `election`."""
    text = request.GET.get("ticket")
    if not text:
        message = "Add ?ticket=…: POST /api/v1/live/ticket/ gives one."
        raise Refusal(401, "ticket_missing", message)
    try:
        ticket = tickets.read(text)
    except tickets.ExpiredTicket as error:
        message = "The ticket has expired: get a new one."
        raise Refusal(403, "ticket_expired", message) from error
    except tickets.BadTicket as error:
        message = "The ticket is not one of ours."
        raise Refusal(403, "ticket_invalid", message) from error
    if ticket.election != election:
        message = "The ticket is for another stream."
        raise Refusal(403, "ticket_of_another_stream", message)
    return ticket


def _refused(refusal: Refusal) -> HttpResponse:
    """Return a refusal; a browser's EventSource gives up on any, and its page asks anew."""
    answer = {"detail": str(refusal), "code": refusal.code}
    response = JsonResponse(answer, status=refusal.status)
    # Else Django logs an error for each listener while Redis is away.
    response._has_been_logged = True  # type: ignore[attr-defined]
    if refusal.status == 401:
        response["WWW-Authenticate"] = "Ticket"
    if refusal.status == 405:
        response["Allow"] = METHODS
    if refusal.status == 503:
        response["Retry-After"] = str(COME_BACK_SECONDS)
    return response


def _with_headers(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    for name, value in HEADERS.items():
        response[name] = value
    response["Vary"] = "Origin"
    origin = request.headers.get("Origin")
    if origin and _is_allowed(origin):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Methods"] = METHODS
        response["Access-Control-Allow-Headers"] = "Last-Event-ID, Cache-Control"
        response["Access-Control-Expose-Headers"] = "Retry-After"
    return response


def _is_allowed(origin: str) -> bool:
    """Tell whether pages of an origin may listen: those listed, and our own pages.

    No cookie is read here, the ticket alone opens a stream; so the port does not matter.
    """
    if origin in settings.CORS_ALLOWED_ORIGINS:
        return True
    try:
        host = urlsplit(origin).netloc.rpartition("@")[2]
    except ValueError:
        # What begins like an IPv6 address and is none.
        return False
    return validate_host(_without_port(host), settings.ALLOWED_HOSTS)


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if port.isdigit() else host


def _end_streams_on_sigterm() -> None:
    """End open streams at once when the server is told to stop.

    uvicorn waits for them until its time-out, and then logs each as an error. Its own
    handler is there before the first request, and still has its turn.
    """
    before: Any = signal.getsignal(signal.SIGTERM)
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and callable(before) and not isinstance(before, _EndStreams):
        signal.signal(signal.SIGTERM, _EndStreams(before))


class _EndStreams:
    """A signal handler that has another one behind it."""

    def __init__(self, before: Callable[[int, FrameType | None], Any]) -> None:
        self._before = before
        self._loop = asyncio.get_running_loop()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        # Not here: the signal may have come in the middle of anything.
        self._loop.call_soon_threadsafe(_feeds.end)
        self._before(number, frame)
