"""Answers out of the cache, before the API does any work but to see who asks.

A view takes part by `answer_tags`: what its answer to a request depends on; it may say by
`answer_seconds` how long it holds where nothing changes. Its answer has to be the same for
everybody who may have it.
"""

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.http.response import HttpResponseBase
from django.utils.http import parse_etags
from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings

from elections.api.permissions import RolePermission
from elections.tags import is_about_constituencies
from metrics.api.callers import NoMachine, roles_of_machine
from metrics.cache import TTL_SECONDS, Entry, metrics_cache, metrics_key

CONTENT_TYPE, JSON_FORMAT = "application/json", "json"
FORMAT = str(api_settings.URL_FORMAT_OVERRIDE)
JSON_TYPES = {"*/*", "application/*", CONTENT_TYPE}
NO_WEIGHT = re.compile(r"q\s*=\s*0(\.0*)?")
# Below this a compressed body is not smaller by anything that counts.
COMPRESSED_FROM_BYTES = 1_400
VARY = "Accept, Accept-Encoding, Authorization, Cookie, Origin"

# Of REST framework: with its class, and what it was made with.
View = Any


class _NotKept(Exception):
    def __init__(self, response: HttpResponseBase) -> None:
        super().__init__()
        self.response = response


class AnswerCache:
    """Middleware: serves what is kept, and keeps what the views answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: View,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> HttpResponseBase | None:
        """Answer a question that takes part; leave all others to the view."""
        tags_of = getattr(getattr(view, "cls", None), "answer_tags", None)
        if tags_of is None or request.method not in {"GET", "HEAD"}:
            return None
        if not _wants_json(request, view) or not _may_read(request, view):
            return None
        encodings = _stated(request.META.get("HTTP_ACCEPT_ENCODING", ""))
        is_compressed = bool(encodings & {"gzip", "*"})
        key = metrics_key(
            "answer",
            path=request.path,
            query=request.META.get("QUERY_STRING", ""),
            is_compressed=is_compressed,
        )
        tags = tags_of(request, **kwargs)
        try:
            fetched = metrics_cache().fetch(
                key,
                lambda: _content(view, request, kwargs, is_compressed=is_compressed),
                tags=tags,
                ttl=getattr(view.cls, "answer_seconds", TTL_SECONDS),
                lag=0.0
                if is_about_constituencies(tags)
                else settings.ELECTION_LAG_SECONDS,
            )
        except _NotKept as other:
            return other.response
        return _respond(request, fetched.entry, is_hit=fetched.is_hit)


@lru_cache(maxsize=256)
def _stated(header: str) -> frozenset[str]:
    """Return what a header such as Accept names, but for what it gives no weight."""
    found = set()
    for part in header.lower().split(","):
        name, *options = (word.strip() for word in part.split(";"))
        if not any(NO_WEIGHT.fullmatch(option) for option in options):
            found.add(name)
    return frozenset(found)


def _wants_json(request: HttpRequest, view: View) -> bool:
    """Tell whether the answer is the plain one, whatever formats the view offers."""
    if (stated := request.GET.get(FORMAT)) is not None:
        return stated == JSON_FORMAT
    accepted = _stated(request.META.get("HTTP_ACCEPT", "*/*"))
    others = {renderer.media_type for renderer in view.cls.renderer_classes}
    others.discard(CONTENT_TYPE)
    return bool(accepted & JSON_TYPES) and not accepted & others


def _may_read(request: HttpRequest, view: Any) -> bool:
    """Tell whether who asks may have the answer; if not, the view says why."""
    known: Mapping[str, Any] = view.initkwargs
    permissions: Sequence[type[RolePermission]]
    permissions = known.get("permission_classes", view.cls.permission_classes)
    if "HTTP_AUTHORIZATION" not in request.META:
        if all(each.is_open() for each in permissions):
            return True
    else:
        try:
            roles = roles_of_machine(request)
        except APIException:
            return False
        except NoMachine:
            pass
        else:
            return all(each.may_read(roles) for each in permissions)
    asked = view.cls(**known)
    asked.action_map = getattr(view, "actions", None) or {}
    # As REST framework does for each request: permissions look which methods there are.
    for method, action in asked.action_map.items():
        setattr(asked, method, getattr(asked, action))
    asked.setup(request)
    asked.request = asked.initialize_request(request)
    try:
        asked.perform_authentication(asked.request)
        asked.check_permissions(asked.request)
    except APIException:
        return False
    return True


def _content(
    view: View, request: HttpRequest, kwargs: Mapping[str, Any], *, is_compressed: bool
) -> bytes:
    response: Any = view(request, **kwargs)
    if hasattr(response, "render"):
        response.render()
    if response.status_code != 200 or response.streaming:
        raise _NotKept(response)
    content: bytes = response.content
    if is_compressed and len(content) >= COMPRESSED_FROM_BYTES:
        return gzip.compress(content, compresslevel=6, mtime=0)
    return content


def _respond(request: HttpRequest, entry: Entry, *, is_hit: bool) -> HttpResponse:
    etag = f'"{entry.etag}"'
    response: HttpResponse
    if _is_known(etag, request.META.get("HTTP_IF_NONE_MATCH")):
        response = HttpResponseNotModified()
    else:
        response = HttpResponse(entry.content, content_type=CONTENT_TYPE)
        if entry.content[:2] == b"\x1f\x8b":
            response["Content-Encoding"] = "gzip"
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"
    response["X-Cache"] = "HIT" if is_hit else "MISS"
    response["Vary"] = VARY
    return response


def _is_known(etag: str, stated: str | None) -> bool:
    if stated is None:
        return False
    known = parse_etags(stated)
    return "*" in known or etag in {tag.removeprefix("W/") for tag in known}
