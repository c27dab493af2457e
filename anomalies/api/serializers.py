"""Alerts as the API shows them, and what can be asked of them."""

from typing import Any

from django.contrib.auth import get_user_model
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from anomalies import queries
from anomalies.api import examples
from anomalies.models import (
    Alert,
    AlertEvent,
    AlertNote,
    AlertStatus,
    Evaluation,
    Severity,
)
from anomalies.wording import sentence, title, why_unverifiable
from elections.api.schema import answer, question, shown_as
from elections.api.strict import StrictSerializer

LONGEST_NOTE = 4_000
LONGEST_REASON = 1_000


@shown_as(answer(examples.ALERT))
class AlertSerializer(serializers.ModelSerializer[Alert]):
    """Something that should not be there; `evidence` computes it again."""

    sentence = serializers.SerializerMethodField(
        help_text="What was seen, how sure that is, and plain reasons it can have."
    )
    rule = serializers.CharField(help_text="Code of the rule, see docs/methods.md.")
    severity = serializers.ChoiceField(choices=Severity.choices)
    status = serializers.ChoiceField(choices=AlertStatus.choices)
    election: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    constituency: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="contract_id",
        read_only=True,
        allow_null=True,
        help_text="Contract id; null: the election as a whole.",
    )
    assigned_to: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = Alert
        fields = [
            *("id", "rule", "severity", "status", "election", "constituency"),
            *(
                "sentence",
                "started_hour",
                "ended_hour",
                "statistic",
                "p",
                "q",
                "excess",
            ),
            *("evidence", "assigned_to", "reason", "version"),
            *("created_at", "changed_at"),
        ]

    def get_sentence(self, alert: Alert) -> str:
        """Return the alert in words."""
        place = alert.constituency
        return sentence(alert, voters=place.registered_voters if place else None)


class UnverifiableSerializer(serializers.Serializer[Any]):
    """A rule that could not be applied."""

    rule = serializers.CharField(help_text="Code of the rule, see docs/methods.md.")
    reason = serializers.CharField(help_text="Stable code, such as `files_missing`.")
    constituencies = serializers.IntegerField(
        allow_null=True, help_text="How many; null: none could be judged."
    )
    sentence = serializers.CharField(help_text="The same in words.")


@shown_as(answer(examples.EVALUATION))
class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """The last evaluation of an election; times are null before the first."""

    election: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    evaluated_at = serializers.DateTimeField(allow_null=True, read_only=True)
    unverifiable = serializers.SerializerMethodField(
        help_text="Rules that could not be applied, everywhere or in places."
    )

    class Meta:
        model = Evaluation
        fields = ["election", "evaluated_at", "until", "tests", "unverifiable"]

    @extend_schema_field(UnverifiableSerializer(many=True))
    def get_unverifiable(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        """Return the rules in the order of their codes, each with its reasons."""
        return [
            {
                "rule": rule,
                "reason": reason,
                "constituencies": constituencies or None,
                "sentence": f"{title(rule)}: {why_unverifiable(reason, constituencies)}.",
            }
            for rule, reasons in sorted(evaluation.unverifiable.items())
            for reason, constituencies in sorted(reasons.items())
        ]


@shown_as(answer(examples.NOTE))
class NoteSerializer(serializers.ModelSerializer[AlertNote]):
    author: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = AlertNote
        fields = ["author", "text", "created_at"]


class VersionSerializer(serializers.ModelSerializer[AlertEvent]):
    """An alert as it was after one change."""

    change = serializers.CharField(
        source="pgh_label", help_text="`found`, or `changed`."
    )
    at = serializers.DateTimeField(source="pgh_created_at")
    by = serializers.SerializerMethodField(
        help_text="Who changed it; null: the rules themselves."
    )
    assigned_to: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )

    class Meta:
        model = AlertEvent
        fields = [
            *("change", "at", "by", "severity", "status", "started_hour", "ended_hour"),
            *("p", "q", "excess", "assigned_to", "reason", "version"),
        ]

    def get_by(self, event: Any) -> str | None:
        """Return the name of the user whose request changed the alert."""
        context = event.pgh_context
        return context.metadata.get("username") if context else None


@shown_as(answer(examples.ALERT_IN_FULL))
class FullAlertSerializer(AlertSerializer):
    """An alert with its notes, the oldest first, and its history."""

    notes = serializers.SerializerMethodField()
    history = serializers.SerializerMethodField()

    class Meta(AlertSerializer.Meta):
        fields = [*AlertSerializer.Meta.fields, "notes", "history"]

    def get_notes(self, alert: Alert) -> list[dict[str, Any]]:
        """Return the notes."""
        return list(NoteSerializer(queries.notes(alert.pk), many=True).data)

    def get_history(self, alert: Alert) -> list[dict[str, Any]]:
        """Return every version of the alert."""
        return list(VersionSerializer(queries.history(alert.pk), many=True).data)


@shown_as(question(examples.CHANGE))
class ChangeSerializer(StrictSerializer):
    """What staff change of an alert; what is left out stays."""

    version = serializers.IntegerField(
        min_value=1, help_text="The version that the change was decided on."
    )
    status = serializers.ChoiceField(
        choices=AlertStatus.choices,
        required=False,
    )
    reason = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=LONGEST_REASON,
        help_text="A sentence; needed to dismiss.",
    )
    assigned_to: "serializers.SlugRelatedField[Any]" = serializers.SlugRelatedField(
        slug_field="username",
        queryset=get_user_model().objects.filter(is_active=True),
        required=False,
        allow_null=True,
        help_text="Name of a user; null: nobody.",
    )


@shown_as(question(examples.NEW_NOTE))
class NewNoteSerializer(StrictSerializer):
    text = serializers.CharField(max_length=LONGEST_NOTE)


class EvidenceHourSerializer(serializers.Serializer[Any]):
    constituency = serializers.CharField(source="contract_id")
    hour = serializers.DateTimeField()
    bulletins_issued = serializers.IntegerField()
    votes_cast = serializers.IntegerField()


class EvidenceFileSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    interval = serializers.DateTimeField(help_text="The hour in its name.")
    version = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Of the CSV in it.")


@shown_as(answer(examples.PACKAGE))
class EvidenceSerializer(serializers.Serializer[Any]):
    """An alert with the figures and files that it came from."""

    alert = FullAlertSerializer()
    hours = EvidenceHourSerializer(many=True)
    files = EvidenceFileSerializer(many=True)
