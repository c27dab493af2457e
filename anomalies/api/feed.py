"""What changed last among the alerts of an election, for feed readers."""

import hashlib
import re
import uuid
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.utils.feedgenerator import Atom1Feed
from drf_orjson_renderer.renderers import ORJSONRenderer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from anomalies import queries
from anomalies.api import examples
from anomalies.models import Alert
from anomalies.wording import sentence, title
from elections.api.permissions import AlertAccess
from elections.models import Election

ENTRIES = 100
# Ids are made from it, so it never changes.
NAMESPACE = uuid.UUID("8d1f1a39-0a57-4a6b-9e0d-6c3f6f0a2f11")
# Of a feed without entries; the present would be a change at every request.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# What XML 1.0 cannot hold, whichever way it is written.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class AtomRenderer(BaseRenderer):
    """Names the format in negotiation; the view writes it."""

    media_type, format, charset = "application/atom+xml", "atom", "utf-8"


class AlertFeed(Atom1Feed):
    """Atom with the whole sentence as plain text, and a time that stands still."""

    def latest_post_date(self) -> datetime:
        times = [item["updateddate"] for item in self.items]
        return max(times, default=NEVER)

    def add_item_elements(self, handler: Any, item: dict[str, Any]) -> None:
        super().add_item_elements(handler, item)
        handler.addQuickElement("content", item["content"], {"type": "text"})


class AlertFeedView(GenericAPIView[Election]):
    queryset = Election.objects.order_by("slug")
    lookup_field = "slug"
    permission_classes = [AlertAccess]
    renderer_classes = [AtomRenderer]
    # One election: parameters of lists are unknown here.
    detail = True

    @extend_schema(
        examples=[
            OpenApiExample(
                "Answer", value=examples.FEED, media_type=AtomRenderer.media_type
            )
        ],
        responses={(200, AtomRenderer.media_type): OpenApiTypes.STR, 304: None},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Return the 100 alerts that changed last as an Atom feed, with an ETag.

        An entry keeps its id for ever; `updated` grows with each version of the alert.
        """
        election = self.get_object()
        http: HttpRequest = request._request
        content = _feed(election, http).encode()
        response = HttpResponse(content, content_type=Atom1Feed.content_type)
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        response["ETag"] = etag
        response["Cache-Control"] = "private, no-cache"
        return get_conditional_response(http, etag=etag, response=response) or response

    def finalize_response(
        self, request: Request, response: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Write an error as JSON: it is no feed."""
        if isinstance(response, Response):
            request.accepted_renderer = ORJSONRenderer()
            request.accepted_media_type = ORJSONRenderer.media_type
        return super().finalize_response(request, response, *args, **kwargs)


def _feed(election: Election, request: HttpRequest) -> str:
    address = request.build_absolute_uri
    simulated = " (simulated)" if election.is_simulated else ""
    feed = AlertFeed(
        title=_clean(f"Alerts: {election.name}{simulated}"),
        link=address(f"{reverse('alerts-list')}?election={election.slug}"),
        description=None,
        language="en",
        author_name="Election Monitor",
        feed_url=address(request.path),
        feed_guid=_urn(f"election {election.pk} {election.slug}"),
    )
    for alert in queries.latest_changes(election.pk, limit=ENTRIES):
        place = alert.constituency
        register = place.registered_voters if place else None
        feed.add_item(
            title=_clean(_headline(alert)),
            link=address(reverse("alerts-detail", args=[alert.pk])),
            # Would be HTML; `content` is plain.
            description=None,  # type: ignore[arg-type]
            pubdate=alert.created_at,
            updateddate=alert.changed_at,
            # Ids start at 1 in every installation, moments do not.
            unique_id=_urn(f"alert {alert.pk} {alert.created_at.isoformat()}"),
            categories=[alert.rule, alert.severity, alert.status],
            content=_clean(sentence(alert, voters=register)),
        )
    return feed.writeString("utf-8")


def _headline(alert: Alert) -> str:
    place = alert.constituency.name if alert.constituency else "the whole election"
    return (
        f"{alert.rule} {title(alert.rule)}: {place} ({alert.severity}, {alert.status})"
    )


def _urn(name: str) -> str:
    return uuid.uuid5(NAMESPACE, name).urn


def _clean(text: str) -> str:
    """Return a text with a sign in place of each character that XML cannot hold."""
    return NOT_XML.sub("�", text)
