"""Alerts over HTTP: observers read them, analysts deal with them."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED, HTTP_409_CONFLICT

from anomalies import queries
from anomalies.api.filters import AlertFilterSet
from anomalies.api.serializers import (
    AlertSerializer,
    ChangeSerializer,
    EvaluationSerializer,
    EvidenceSerializer,
    FullAlertSerializer,
    NewNoteSerializer,
    NoteSerializer,
)
from anomalies.models import Alert
from anomalies.services import (
    AlertChanged,
    AlertService,
    ImpossibleTransition,
    ReasonMissing,
)
from elections.api.permissions import AlertAccess
from elections.clock import database_now
from elections.models import Election


class Outdated(APIException):
    """Somebody was faster."""

    status_code = HTTP_409_CONFLICT
    default_code = "alert_changed"


class EvaluationView(GenericAPIView[Any]):
    queryset = Election.objects.order_by("slug")
    lookup_field = "slug"
    permission_classes = [AlertAccess]
    serializer_class = EvaluationSerializer
    # One election: parameters of lists are unknown here.
    detail = True

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return up to when an election was judged, and what could not be.

        No alert of a rule means nothing where the rule could not be applied.
        """
        election = self.get_object()
        evaluation = queries.last_evaluation(election)
        return Response(self.get_serializer(evaluation).data)


class AlertViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Alert],
):
    """Alerts, those of the latest hours first; for observers."""

    queryset = queries.alerts()
    serializer_class = AlertSerializer
    filterset_class = AlertFilterSet
    permission_classes = [AlertAccess]
    lookup_value_regex = r"[0-9]{1,18}"
    search_fields = ["rule", "constituency__name", "constituency__contract_id"]
    ordering = ["-started_hour"]
    ordering_fields = {
        name: name
        for name in (
            *("id", "started_hour", "ended_hour", "severity", "q", "excess"),
            "changed_at",
        )
    }

    @extend_schema(responses=FullAlertSerializer)
    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return an alert with its notes and its history."""
        return Response(self._in_full(self.get_object()))

    @extend_schema(
        request=ChangeSerializer,
        responses={200: FullAlertSerializer, HTTP_409_CONFLICT: None},
    )
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Assign an alert, investigate, resolve, dismiss with a reason, or reopen it."""
        alert = self.get_object()
        wanted = ChangeSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        try:
            AlertService().change(
                alert.pk,
                by=request.user,  # type: ignore[arg-type]
                now=database_now(),
                **wanted.validated_data,
            )
        except AlertChanged as error:
            raise Outdated(str(error)) from error
        except ImpossibleTransition as error:
            raise ValidationError(
                {"status": [str(error)]}, code="impossible_transition"
            ) from error
        except ReasonMissing as error:
            raise ValidationError({"reason": [str(error)]}, code="required") from error
        return Response(self._in_full(self.get_object()))

    @extend_schema(request=NewNoteSerializer, responses={201: NoteSerializer})
    @action(detail=True, methods=["post"])
    def notes(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Write a note on an alert; nobody can change it afterwards."""
        alert = self.get_object()
        wanted = NewNoteSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        note = AlertService().add_note(
            alert.pk,
            author=request.user,  # type: ignore[arg-type]
            text=wanted.validated_data["text"],
            now=database_now(),
        )
        return Response(NoteSerializer(note).data, status=HTTP_201_CREATED)

    @extend_schema(responses=EvidenceSerializer)
    @action(detail=True, methods=["get"])
    def evidence(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Return an alert with the figures and files it came from, as a file."""
        alert = self.get_object()
        package = {
            "alert": alert,
            "hours": queries.hours_of(alert),
            "files": queries.files_of(alert),
        }
        name = f"alert-{alert.pk}-version-{alert.version}.json"
        return Response(
            EvidenceSerializer(package).data,
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _in_full(self, alert: Alert) -> dict[str, Any]:
        return dict(FullAlertSerializer(alert).data)
