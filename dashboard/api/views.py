"""Tickets to the live stream."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from dashboard.addresses import stream_url
from dashboard.tickets import Ticket, expires_at, issue
from elections.api.permissions import MayListen
from elections.api.schema import answer, question, shown_as
from elections.api.strict import StrictSerializer
from elections.models import Election
from elections.roles import Role, has_role


@shown_as(question({"election": "duma-2026"}))
class WantedTicketSerializer(StrictSerializer):
    election = serializers.CharField(
        required=False,
        allow_null=True,
        max_length=120,
        help_text="Slug of the election to follow; left out, the totals of all elections.",
    )

    def validate_election(self, slug: str | None) -> str | None:
        if slug is not None and not Election.objects.filter(slug=slug).exists():
            message = f"There is no election “{slug}”."
            raise ValidationError([ErrorDetail(message, code="does_not_exist")])
        return slug


@shown_as(
    answer(
        {
            "ticket": "WyJkdW1hLTIwMjYiLGZhbHNlXQ:1uQ2Xb:9T3v…",
            "url": "/live/elections/duma-2026/",
            "expires_at": "2026-09-18T12:55:00Z",
        }
    )
)
class TicketSerializer(serializers.Serializer[Any]):
    ticket = serializers.CharField()
    url = serializers.CharField(
        help_text="Address of the stream: add `?ticket=`, and `&after=` to resume. "
        "Relative where the stream has the host of the API."
    )
    expires_at = serializers.DateTimeField(
        help_text="A stream has to be opened by then; it may last longer."
    )


class TicketView(APIView):
    """A ticket to the live stream of an election, or of all elections' totals.

    Whoever may read totals gets one. What happens in single constituencies is told to
    holders with the observer role only.
    """

    permission_classes = [MayListen]

    @extend_schema(request=WantedTicketSerializer, responses=TicketSerializer)
    def post(self, request: Request) -> Response:
        wanted = WantedTicketSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        election = wanted.validated_data.get("election")
        # Most minutes of a constituency hold one voter: these events are not public.
        ticket = Ticket(election, has_role(request.user, Role.OBSERVER))
        answer = {
            "ticket": issue(ticket),
            "url": stream_url(election),
            "expires_at": expires_at(timezone.now()),
        }
        headers = {"Cache-Control": "no-store"}
        return Response(TicketSerializer(answer).data, headers=headers)
