"""The update queue over HTTP: what waits, what failed, and the manual trigger."""

from typing import Any

import django_filters  # type: ignore[import-untyped]
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import (
    HTTP_202_ACCEPTED,
    HTTP_404_NOT_FOUND,
    HTTP_409_CONFLICT,
)

from elections.api.permissions import MayOperate
from elections.api.schema import answer, question, shown_as
from elections.api.strict import StrictSerializer
from elections.clock import database_now
from elections.models import Constituency, Election
from metrics import update_queries
from metrics.api import examples
from metrics.models import MetricsUpdate, UpdateStatus, UpdateTrigger
from metrics.services import MetricsUpdateService
from metrics.services import Request as UpdateRequest

# What a person may ask for, and how its scope begins.
ASKABLE = {
    "constituency": (Constituency, "contract_id"),
    "election": (Election, "slug"),
}


class NotGivenUp(APIException):
    """The update is neither failed nor dead, so there is nothing to retry."""

    status_code = HTTP_409_CONFLICT
    default_code = "not_given_up"
    default_detail = "Only an update that is failed or dead can be retried."


@shown_as(answer(examples.UPDATE))
class UpdateSerializer(serializers.ModelSerializer[MetricsUpdate]):
    trigger = serializers.ChoiceField(choices=UpdateTrigger.choices)
    status = serializers.ChoiceField(choices=UpdateStatus.choices)
    error = serializers.SerializerMethodField(
        help_text="What went wrong last. The admin shows the traceback."
    )

    class Meta:
        model = MetricsUpdate
        fields = [
            "id",
            "scope",
            "trigger",
            "priority",
            "status",
            "requests",
            "attempts",
            "requested_at",
            "available_at",
            "finished_at",
            "error",
        ]

    def get_error(self, update: MetricsUpdate) -> str:
        """Return the last line of the traceback, without the places it went through."""
        return update.error.strip().rpartition("\n")[2]


@shown_as(question(examples.MANUAL_UPDATE))
class ManualUpdateSerializer(StrictSerializer):
    """One of the two: the slug of an election, or the contract id of a constituency."""

    election = serializers.CharField(required=False, max_length=120)
    constituency = serializers.CharField(required=False, max_length=128)

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        if len(attrs) != 1:
            message = "Name either an election or a constituency."
            raise serializers.ValidationError(message, code="one_of_two")
        return attrs

    def scope(self) -> str:
        """Return the scope to update.

        Raises:
            NotFound: nobody knows what is named.
        """
        [(kind, public_id)] = self.validated_data.items()
        model, field = ASKABLE[kind]
        found = model._default_manager.filter(**{field: public_id}).values_list("pk")
        if (row := found.first()) is None:
            raise NotFound(f"There is no {kind} “{public_id}”.", f"unknown_{kind}")
        return f"{kind}:{row[0]}"


class UpdateFilterSet(django_filters.FilterSet):  # type: ignore[misc]
    status = django_filters.ChoiceFilter(choices=UpdateStatus.choices)
    trigger = django_filters.ChoiceFilter(choices=UpdateTrigger.choices)
    scope = django_filters.CharFilter()


class UpdateViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[MetricsUpdate],
):
    """The update queue, the newest first; for operators."""

    queryset = update_queries.updates()
    serializer_class = UpdateSerializer
    filterset_class = UpdateFilterSet
    permission_classes = [MayOperate]
    lookup_value_regex = r"[0-9]{1,18}"
    search_fields = ["scope"]
    ordering = ["-id"]
    ordering_fields = {
        name: name for name in ("id", "priority", "requested_at", "available_at")
    }

    @extend_schema(
        request=ManualUpdateSerializer,
        responses={HTTP_202_ACCEPTED: UpdateSerializer, HTTP_404_NOT_FOUND: None},
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Ask for an update by hand; a pending one of the same scope becomes manual."""
        wanted = ManualUpdateSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        [update_id] = MetricsUpdateService().request_by_hand(
            [UpdateRequest(wanted.scope())], now=database_now()
        )
        update = MetricsUpdate.objects.get(pk=update_id)
        return Response(self.get_serializer(update).data, status=HTTP_202_ACCEPTED)

    @extend_schema(
        request=None,
        responses={HTTP_202_ACCEPTED: UpdateSerializer, HTTP_409_CONFLICT: None},
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make an update that failed or was given up due at once."""
        update = self.get_object()
        if not MetricsUpdateService().retry([update.pk], now=database_now()):
            raise NotGivenUp
        # A worker may have merged it into a later one of its scope already.
        still_there = MetricsUpdate.objects.filter(
            scope=update.scope, pk__gte=update.pk
        )
        asked = still_there.earliest("pk")
        return Response(self.get_serializer(asked).data, status=HTTP_202_ACCEPTED)
