"""What the rules have found, and what staff made of it."""

import re
from typing import Any
from urllib.parse import urlsplit

import pghistory
import pgtrigger
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from elections.models import Constituency, Election


class Severity(models.TextChoices):
    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class AlertStatus(models.TextChoices):
    ACTIVE = "active"
    INVESTIGATING = "investigating"
    RESOLVED = "resolved"
    DISMISSED = "dismissed"
    # By the rules themselves: data that came later took its reason away.
    CLEARED = "cleared"


# Not in an address: white space and control characters.
UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029]")
OPEN = (AlertStatus.ACTIVE, AlertStatus.INVESTIGATING)
DECIDED = (AlertStatus.RESOLVED, AlertStatus.DISMISSED)


class AlertQuerySet(models.QuerySet["Alert"]):
    def open(self) -> "AlertQuerySet":
        """Return those that somebody still has to deal with."""
        return self.filter(status__in=OPEN)


class Alert(models.Model):
    """Something that should not be there: one rule, one place, one stretch of hours.

    Late data changes it, and the history keeps every version; nothing deletes one.
    """

    rule = models.CharField(max_length=8, help_text="Code of the rule, such as S01.")
    election = models.ForeignKey(
        Election, on_delete=models.PROTECT, related_name="alerts"
    )
    constituency = models.ForeignKey(
        Constituency,
        on_delete=models.PROTECT,
        null=True,
        related_name="alerts",
        help_text="Empty: the election as a whole.",
    )
    severity = models.CharField(max_length=16, choices=Severity)
    status = models.CharField(
        max_length=16, choices=AlertStatus, default=AlertStatus.ACTIVE
    )
    started_hour = models.DateTimeField(help_text="First hour concerned.")
    ended_hour = models.DateTimeField(help_text="Last hour concerned.")
    statistic = models.FloatField(null=True, help_text="What the rule computed.")
    p = models.FloatField(
        null=True, help_text="Probability by chance, of this test alone."
    )
    q = models.FloatField(
        null=True, help_text="Share of chance among all alerts reported at this level."
    )
    excess = models.FloatField(
        null=True, help_text="Ballots more (or fewer) than there should be."
    )
    evidence: "models.JSONField[Any, Any]" = models.JSONField(
        default=dict, help_text="All that is needed to compute it again."
    )
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="alerts",
    )
    reason = models.TextField(
        blank=True, help_text="Why it was resolved or dismissed, in a sentence."
    )
    version = models.BigIntegerField(
        default=1, editable=False, help_text="Grows with every change."
    )
    created_at = models.DateTimeField(help_text="When it was found.")
    changed_at = models.DateTimeField(help_text="When it changed last.")
    evaluated_at = models.DateTimeField(help_text="When the rules looked at it last.")

    objects = AlertQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "election", "constituency", "started_hour"],
                nulls_distinct=False,
                name="one_alert_per_rule_scope_and_start",
            ),
            models.CheckConstraint(
                condition=Q(severity__in=Severity.values),
                name="alert_severity_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=AlertStatus.values), name="alert_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(ended_hour__gte=F("started_hour")),
                name="alert_does_not_end_before_it_starts",
            ),
            models.CheckConstraint(
                condition=~Q(status=AlertStatus.DISMISSED) | ~Q(reason=""),
                name="dismissed_with_a_reason",
            ),
        ]
        indexes = [
            # The list of an election, the newest first; and what is open in it.
            models.Index(fields=["election", "-started_hour", "-id"]),
            models.Index(
                fields=["election", "severity"],
                condition=Q(status__in=OPEN),
                name="open_alerts",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.started_hour:%Y-%m-%d %H:%M} (alert {self.pk})"

    @property
    def is_open(self) -> bool:
        """Tell whether somebody still has to deal with it."""
        return self.status in OPEN


class AlertEvent(
    pghistory.create_event_model(  # type: ignore[misc]
        Alert,
        pghistory.InsertEvent("found", level=pgtrigger.Row),
        pghistory.UpdateEvent(
            "changed",
            row=pghistory.New,
            # Looking at it again without a difference is no history.
            condition=pghistory.AnyChange(exclude=["evaluated_at"]),
            level=pgtrigger.Row,
        ),
        exclude=["evaluated_at"],
        obj_field=pghistory.ObjForeignKey(related_name="+"),
        append_only=True,
    )
):
    """An alert as it was found, or after a change by the rules or by staff."""


class AlertNote(models.Model):
    """What somebody wrote about an alert; nobody can change it afterwards."""

    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="notes")
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    text = models.TextField(max_length=4000)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [
            pgtrigger.Protect(name="notes_stay", operation=pgtrigger.Update),
        ]

    def __str__(self) -> str:
        return f"Note {self.pk} on alert {self.alert_id}"


class RuleSetting(models.Model):
    """How one rule works in one election, where that is not as usual."""

    election = models.ForeignKey(
        Election, on_delete=models.CASCADE, related_name="rule_settings"
    )
    rule = models.CharField(max_length=8)
    is_on = models.BooleanField(
        default=True, help_text="Off: it is not evaluated, and its open alerts clear."
    )
    q = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0001), MaxValueValidator(0.2)],
        help_text="Share of its alerts that may be chance, .0001 to .2; usually .05.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["election", "rule"], name="one_setting_per_election_and_rule"
            ),
            models.CheckConstraint(
                condition=Q(q__isnull=True) | Q(q__range=(0.0001, 0.2)),
                name="q_lies_in_its_range",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} in election {self.election_id}"


class RuleSettingEvent(
    pghistory.create_event_model(  # type: ignore[misc]
        RuleSetting,
        pghistory.InsertEvent("set", level=pgtrigger.Row),
        pghistory.UpdateEvent("changed", row=pghistory.New, level=pgtrigger.Row),
        pghistory.DeleteEvent("removed", level=pgtrigger.Row),
        obj_field=pghistory.ObjForeignKey(related_name="+"),
        append_only=True,
    )
):
    """A setting of a rule after a change."""


class Evaluation(models.Model):
    """Up to when an election was evaluated last, and with what."""

    election = models.OneToOneField(
        Election, on_delete=models.CASCADE, related_name="evaluation"
    )
    evaluated_at = models.DateTimeField(
        help_text="When its data was read: what was committed later is not in it."
    )
    until = models.DateTimeField(
        null=True, help_text="End of the last hour that was evaluated."
    )
    tests = models.IntegerField(default=0, help_text="Tests of the last hour.")
    # Rule -> reason -> number of constituencies.
    unverifiable: "models.JSONField[Any, Any]" = models.JSONField(
        default=dict, help_text="Rules that could not be applied, and why."
    )
    parameters: "models.JSONField[Any, Any]" = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"Evaluation of election {self.election_id}"


class StationReport(models.Model):
    """What the post-vote rules say about one file of polling stations.

    The file itself is not kept.
    """

    election = models.ForeignKey(
        Election, on_delete=models.PROTECT, related_name="station_reports"
    )
    file_name = models.CharField(max_length=255)
    sha256 = models.BinaryField(max_length=32, help_text="Of the file as it came.")
    stations = models.IntegerField(help_text="Polling stations in the file.")
    report: "models.JSONField[Any, Any]" = models.JSONField(
        help_text="What `forensics --json` tells."
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Empty: by the command.",
    )
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = "polling-station report"
        constraints = [
            models.UniqueConstraint(
                fields=["election", "sha256"],
                name="one_station_report_per_election_and_file",
            ),
            models.CheckConstraint(
                condition=Q(stations__gt=0), name="station_report_has_stations"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} (report {self.pk})"


class DeliveryStatus(models.TextChoices):
    PENDING = "pending"
    SENT = "sent"
    # Tried in vain, and tried again later.
    FAILED = "failed"
    # Given up; staff can have it sent again.
    DEAD = "dead"


# Those that a worker takes when they are due.
TO_SEND = (DeliveryStatus.PENDING, DeliveryStatus.FAILED)


def validate_receiver(address: str) -> None:
    """Refuse what nothing can be sent to; names within a network of one's own are fine.

    Raises:
        ValidationError: says what is wrong with it.
    """
    try:
        parts = urlsplit(address)
        is_usable = parts.scheme in {"https", "http"} and parts.port != 0
    except ValueError:
        parts, is_usable = urlsplit(""), False
    if not is_usable or not parts.hostname or UNPRINTABLE.search(address):
        raise ValidationError("Use https://host/path, with a port if it needs one.")
    if parts.username is not None:
        raise ValidationError(
            "Leave name and password out: requests are signed, and everybody who sees "
            "webhooks sees the address."
        )


class Webhook(models.Model):
    """An address that is told of alerts, by signed requests."""

    name = models.CharField(max_length=120, unique=True)
    url = models.CharField(
        max_length=500,
        validators=[validate_receiver],
        verbose_name="address",
        help_text="Where to send to: https:// or http://.",
    )
    election = models.ForeignKey(
        Election,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="webhooks",
        help_text="Empty: all elections.",
    )
    least_severity = models.CharField(
        max_length=16,
        choices=Severity,
        default=Severity.INFO,
        help_text="Less grave alerts are not told, unless they were graver before.",
    )
    # Not a digest: each request is signed with it.
    secret = models.CharField(max_length=64, editable=False)
    is_on = models.BooleanField(
        default=True,
        help_text="Off: nothing new is told, and what waits is not sent. A receiver "
        "that answers 410 switches it off.",
    )
    created_at = models.DateTimeField(editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(least_severity__in=Severity.values),
                name="webhook_severity_is_known",
            ),
            models.CheckConstraint(
                condition=Q(url__startswith="https://") | Q(url__startswith="http://"),
                name="webhook_speaks_http",
            ),
            models.CheckConstraint(condition=~Q(secret=""), name="webhook_signs"),
        ]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One version of an alert on its way to a webhook: the row is the truth.

    Written in the database transaction that changed the alert.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.PROTECT, related_name="deliveries"
    )
    alert = models.ForeignKey(
        Alert,
        on_delete=models.PROTECT,
        null=True,
        related_name="deliveries",
        help_text="Empty: a test.",
    )
    version = models.BigIntegerField(null=True, help_text="Of the alert.")
    body = models.TextField(help_text="What is sent and signed, byte for byte.")
    status = models.CharField(
        max_length=16, choices=DeliveryStatus, default=DeliveryStatus.PENDING
    )
    attempts = models.IntegerField(default=0, help_text="Times it was begun.")
    # While a worker has it in hand: when it is taken for dead.
    available_at = models.DateTimeField(help_text="Not to be begun before.")
    response_code = models.SmallIntegerField(
        null=True, help_text="What the receiver answered last."
    )
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["webhook", "alert", "version"],
                name="one_delivery_per_webhook_and_version",
            ),
            models.CheckConstraint(
                condition=Q(status__in=DeliveryStatus.values),
                name="delivery_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(alert__isnull=True, version__isnull=True)
                | Q(alert__isnull=False, version__isnull=False),
                name="delivery_has_alert_and_version_or_neither",
            ),
            models.CheckConstraint(
                condition=~Q(status=DeliveryStatus.SENT) | Q(sent_at__isnull=False),
                name="what_is_sent_has_its_time",
            ),
        ]
        indexes = [
            # What a worker takes next. Finished rows are not in it.
            models.Index(
                fields=["available_at", "id"],
                condition=Q(status__in=TO_SEND),
                name="deliveries_to_send",
            ),
        ]

    def __str__(self) -> str:
        return f"Delivery {self.pk} to {self.webhook}"


class HourMoments(models.Model):
    """What lies inside one hour of a constituency, for the rules S06 to S09.

    Derived from the ledger and written by evaluations only. A ballot is one of HourlyStats,
    an act one transaction with any number of them. Milliseconds count from the hour's start.
    """

    constituency = models.ForeignKey(
        Constituency,
        on_delete=models.PROTECT,
        related_name="hour_moments",
        # The unique constraint begins with it.
        db_index=False,
    )
    hour = models.DateTimeField(
        help_text="Start of the hour in the constituency's zone."
    )
    stats_version = models.BigIntegerField(
        help_text="Version of HourlyStats that it was counted at."
    )
    issues_ballots = models.IntegerField()
    issues_acts = models.IntegerField()
    issues_dispersion = models.FloatField(
        help_text="Σ (x − mean)² / mean of the minutes, apart for each ten of them."
    )
    issues_freedom = models.SmallIntegerField(help_text="Degrees of freedom of it.")
    issues_burst_acts = models.IntegerField(
        help_text="Acts of the most surprising second."
    )
    issues_burst_second = models.SmallIntegerField()
    issues_burst_rate = models.FloatField(help_text="Acts per second around it.")
    issues_in_moment = models.IntegerField(help_text="Most acts of one millisecond.")
    issues_shared = models.IntegerField(
        help_text="Acts whose time stamp another one has, too."
    )
    issues_gap_variation = models.FloatField(
        null=True, help_text="Standard deviation by mean of the gaps between acts."
    )
    issues_longest_gap_ms = models.IntegerField(
        help_text="Without an act, from the hour's start and to its end, too."
    )
    issues_longest_gap_start_ms = models.IntegerField()
    votes_ballots = models.IntegerField()
    votes_acts = models.IntegerField()
    votes_dispersion = models.FloatField(
        help_text="Σ (x − mean)² / mean of the minutes, apart for each ten of them."
    )
    votes_freedom = models.SmallIntegerField(help_text="Degrees of freedom of it.")
    votes_burst_acts = models.IntegerField(
        help_text="Acts of the most surprising second."
    )
    votes_burst_second = models.SmallIntegerField()
    votes_burst_rate = models.FloatField(help_text="Acts per second around it.")
    votes_in_moment = models.IntegerField(help_text="Most acts of one millisecond.")
    votes_shared = models.IntegerField(
        help_text="Acts whose time stamp another one has, too."
    )
    votes_gap_variation = models.FloatField(
        null=True, help_text="Standard deviation by mean of the gaps between acts."
    )
    votes_longest_gap_ms = models.IntegerField(
        help_text="Without an act, from the hour's start and to its end, too."
    )
    votes_longest_gap_start_ms = models.IntegerField()

    class Meta:
        verbose_name_plural = "hour moments"
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "hour"], name="moments_are_counted_once"
            )
        ]

    def __str__(self) -> str:
        return f"Moments of {self.constituency_id} {self.hour:%Y-%m-%d %H:%M}"
