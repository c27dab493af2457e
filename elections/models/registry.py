"""Who votes, where, when: regions, elections and their constituencies."""

import hashlib
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Cast, Coalesce, Now, NullIf

from elections.names import normalise

# Files of the time zone database that name no place; the loader cannot cut hours by them.
NO_ZONES = {"Factory", "localtime"}


def known_timezones() -> set[str]:
    """Return the names of all zones in which hours can be cut."""
    return available_timezones() - NO_ZONES


def validate_timezone(name: str) -> None:
    """Refuse a zone that the time zone database does not know, or that is none."""
    if name not in known_timezones():
        raise ValidationError(
            f"“{name}” is no time zone. Use a name such as Europe/Moscow.",
            code="unknown_timezone",
        )


def validate_instant(moment: datetime) -> None:
    """Refuse a time that no election of this century has."""
    if not 2000 <= moment.year < 2100:
        raise ValidationError(
            "The time must lie in the years 2000 to 2099.", code="absurd_time"
        )


# A contract id is part of addresses, so it has no characters that divide them.
validate_contract_id = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9_.:~-]*\Z",
    "Use letters, digits and _ . : ~ - only, beginning with a letter or digit.",
    code="unusable_contract_id",
)


def name_key(name: str) -> str:
    """Return the digest under which names that differ in spacing or quotes meet.

    A digest, because real names are longer than an index entry may be.
    """
    return hashlib.sha256(normalise(name).encode()).hexdigest()


class Region(models.Model):
    """A region of the electoral system, with the zone its days are cut in."""

    code = models.CharField(
        max_length=255,
        unique=True,
        help_text="Code in the electoral system (Perm is 90), not the constitution's.",
    )
    name = models.TextField(help_text="As published.")
    timezone = models.CharField(
        max_length=64,
        blank=True,
        validators=[validate_timezone],
        help_text="Such as Asia/Yekaterinburg. Empty: the election's zone.",
    )

    def __str__(self) -> str:
        return f"{self.code} – {self.name}"


class ElectionStatus(models.TextChoices):
    UPCOMING = "upcoming"
    ACTIVE = "active"
    COMPLETED = "completed"


class UpdateMode(models.TextChoices):
    REALTIME = "realtime", "realtime: while transactions arrive"
    BATCH = "batch", "batch: when an hour has closed"


class ElectionQuerySet(models.QuerySet["Election"]):
    def with_status(self) -> "ElectionQuerySet":
        """Annotate `status`: staff's word, else what the clock says."""
        by_clock = Case(
            When(starts_at__gt=Now(), then=Value(ElectionStatus.UPCOMING)),
            When(ends_at__lte=Now(), then=Value(ElectionStatus.COMPLETED)),
            default=Value(ElectionStatus.ACTIVE),
            output_field=models.CharField(),
        )
        stated = NullIf("status_override", Value(""))
        return self.annotate(status=Coalesce(stated, by_clock))


class Election(models.Model):
    """One vote, across all its regions and constituencies."""

    slug = models.SlugField(
        max_length=120, unique=True, help_text="Public id, used in addresses."
    )
    name = models.TextField(help_text="As published, of any length.")
    name_key = models.CharField(max_length=64, editable=False, db_index=True)
    kind = models.CharField(
        max_length=64, blank=True, help_text="Such as federal, regional, municipal."
    )
    timezone = models.CharField(
        max_length=64,
        default="Europe/Moscow",
        validators=[validate_timezone],
        help_text="Zone of the election's own series, and of regions without one.",
    )
    export_timezone = models.CharField(
        max_length=64,
        default="Europe/Moscow",
        validators=[validate_timezone],
        help_text="Zone of the hours in the names of export files. It decides which "
        "files are missing, never what is counted.",
    )
    starts_at = models.DateTimeField(
        null=True,
        blank=True,
        validators=[validate_instant],
        help_text="Empty until staff or the ledger tell.",
    )
    ends_at = models.DateTimeField(
        null=True,
        blank=True,
        validators=[validate_instant],
        help_text="Empty until staff or the ledger tell.",
    )
    window_source = models.CharField(
        max_length=16,
        choices=[("ledger", "the ledger"), ("staff", "staff")],
        default="ledger",
        editable=False,
        help_text="Who said when the election starts and ends.",
    )
    status_override = models.CharField(
        max_length=16,
        blank=True,
        choices=ElectionStatus,
        help_text="Empty: the status follows from the two times.",
    )
    description = models.TextField(blank=True)
    update_mode = models.CharField(
        max_length=16,
        choices=UpdateMode,
        default=UpdateMode.REALTIME,
        help_text="When derived metrics follow. Counts are exact at every moment anyway.",
    )
    refresh_seconds = models.PositiveSmallIntegerField(
        default=1,
        help_text="In realtime mode one constituency is refreshed this often at most.",
    )
    is_simulated = models.BooleanField(
        default=False, editable=False, help_text="Made by simulate_election, not real."
    )

    objects = ElectionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="election_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(status_override__in=["", *ElectionStatus.values]),
                name="election_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(update_mode__in=UpdateMode.values),
                name="election_update_mode_is_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.name_key = name_key(self.name)
        if (fields := kwargs.get("update_fields")) is not None:
            kwargs["update_fields"] = {*fields, "name_key"}  # type: ignore[misc]
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def status_at(self, moment: datetime) -> ElectionStatus:
        """Return staff's word, else what the two times say of `moment`."""
        if self.status_override:
            return ElectionStatus(self.status_override)
        if self.starts_at and moment < self.starts_at:
            return ElectionStatus.UPCOMING
        if self.ends_at and moment >= self.ends_at:
            return ElectionStatus.COMPLETED
        return ElectionStatus.ACTIVE


class ConstituencyStatus(models.TextChoices):
    ACTIVE = "active"
    OFFLINE = "offline"
    COMPLETED = "completed"


class RegisterSource(models.TextChoices):
    LEDGER = "ledger", "voters' lists on the ledger"
    CATALOGUE = "catalogue", "catalogue of constituencies"
    STAFF = "staff", "entered by staff"
    UNKNOWN = "unknown"


HAS_LISTS = Q(voters_list_count__gt=0)
REGISTERED_VOTERS = Case(
    When(HAS_LISTS, then=F("ledger_registered_voters")),
    default=F("stated_registered_voters"),
    output_field=models.BigIntegerField(),
)


def counter(help_text: str) -> "models.BigIntegerField[int, int]":
    """Return a field that only the services write.

    Signed: PostgreSQL checks the proposed row of an upsert before it resolves the
    conflict, so an increment of −1 would be refused by an unsigned column.
    """
    return models.BigIntegerField(default=0, editable=False, help_text=help_text)


class Constituency(models.Model):
    """One ballot of one district, which is one smart contract of the ledger."""

    contract_id = models.CharField(
        max_length=128,
        unique=True,
        db_collation="C",
        validators=[validate_contract_id],
        help_text="Address of the smart contract; the public id.",
    )
    election = models.ForeignKey(
        Election, on_delete=models.PROTECT, related_name="constituencies"
    )
    region = models.ForeignKey(
        Region,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="constituencies",
    )
    district = models.TextField(blank=True, help_text="District, as published.")
    ballot_kind = models.CharField(
        max_length=64, blank=True, help_text="Which ballot of the district: list, …"
    )
    name = models.TextField(help_text="As published, of any length.")
    status = models.CharField(
        max_length=16, choices=ConstituencyStatus, default=ConstituencyStatus.ACTIVE
    )

    stated_registered_voters = models.PositiveIntegerField(
        null=True,
        blank=True,
        verbose_name="registered voters (stated)",
        help_text="Counts where the ledger carries no voters' list. Empty: unknown.",
    )
    stated_registered_voters_source = models.CharField(
        max_length=16,
        choices=[
            (RegisterSource.STAFF, RegisterSource.STAFF.label),
            (RegisterSource.CATALOGUE, RegisterSource.CATALOGUE.label),
        ],
        default=RegisterSource.STAFF,
    )
    ledger_registered_voters = counter(
        "Voters added, restored and not removed, by the lists on the ledger."
    )
    voters_list_count = counter("Accepted voters' lists on the ledger.")
    registered_voters = models.GeneratedField(
        expression=REGISTERED_VOTERS,
        output_field=models.BigIntegerField(null=True),
        db_persist=True,
        help_text="People on the register; null where nobody knows.",
    )
    registered_voters_source = models.GeneratedField(
        expression=Case(
            When(HAS_LISTS, then=Value(RegisterSource.LEDGER)),
            When(
                stated_registered_voters__isnull=False,
                then=F("stated_registered_voters_source"),
            ),
            default=Value(RegisterSource.UNKNOWN),
            output_field=models.CharField(max_length=16),
        ),
        output_field=models.CharField(max_length=16, choices=RegisterSource),
        db_persist=True,
    )

    revoting_allowed = models.BooleanField(
        null=True, editable=False, help_text="By the contract; null: not known yet."
    )
    issue_opens_at = models.DateTimeField(null=True, editable=False)
    issue_closes_at = models.DateTimeField(null=True, editable=False)
    voting_closes_at = models.DateTimeField(null=True, editable=False)
    registrar_key = models.BinaryField(
        null=True,
        editable=False,
        max_length=16,
        help_text="Digest of the key that may issue bulletins.",
    )

    bulletins_issued = counter("Ballots handed out.")
    votes_cast = counter("Votes accepted, one per voter key.")
    revotes = counter("Further accepted votes by a key that has voted.")
    transaction_count = counter("Transactions that are not rolled back.")
    failed_count = counter("Transactions that the contract refused.")
    last_transaction_at = models.DateTimeField(
        null=True, editable=False, help_text="Newest ledger time loaded."
    )
    participation_rate = models.GeneratedField(
        expression=Cast("votes_cast", models.FloatField())
        * 100
        / NullIf(REGISTERED_VOTERS, 0),
        output_field=models.FloatField(null=True),
        db_persist=True,
        help_text="Votes cast per 100 registered voters; may exceed 100.",
    )
    anomaly_count = counter("Hours with a finding, over all rules.")
    anomaly_score = models.FloatField(null=True, editable=False, help_text="0 to 1.")
    metrics_updated_at = models.DateTimeField(null=True, editable=False)
    version = models.BigIntegerField(
        default=1, editable=False, help_text="Grows with every change of a total."
    )

    class Meta:
        verbose_name_plural = "constituencies"
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=ConstituencyStatus.values),
                name="constituency_status_is_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.contract_id})"

    @property
    def zone(self) -> tzinfo:
        """Return the zone in which hours and days of this constituency are cut."""
        return ZoneInfo(self.timezone)

    @property
    def timezone(self) -> str:
        """Return the name of the zone: the region's, else the election's."""
        return (self.region and self.region.timezone) or self.election.timezone
