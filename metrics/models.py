"""What the ledger adds up to."""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models

from elections.models import Constituency, Election


class HourlyStats(models.Model):
    """What one constituency did in one hour, equal to the ledger at every commit."""

    election = models.ForeignKey(
        Election, on_delete=models.PROTECT, related_name="hourly_stats"
    )
    constituency = models.ForeignKey(
        Constituency,
        on_delete=models.PROTECT,
        related_name="hourly_stats",
        # The unique constraint begins with it.
        db_index=False,
    )
    hour = models.DateTimeField(
        help_text="Start of the hour in the constituency's zone."
    )
    timestamp = models.DateTimeField(help_text="When this row changed last.")
    # Signed: PostgreSQL checks the proposed row of an upsert before it
    # resolves the conflict, so a rolled-back vote (−1) would be refused.
    bulletins_issued = models.BigIntegerField(
        default=0, help_text="Ballots handed out."
    )
    votes_cast = models.BigIntegerField(
        default=0, help_text="Accepted votes, one per voter key."
    )
    revotes = models.BigIntegerField(
        default=0, help_text="Further accepted votes by a key that has voted."
    )
    transaction_count = models.BigIntegerField(
        default=0, help_text="Transactions of any kind that are not rolled back."
    )
    failed_count = models.BigIntegerField(
        default=0, help_text="Transactions that the contract refused."
    )
    participation_rate = models.FloatField(
        null=True,
        help_text="Votes cast in this hour per 100 registered voters.",
    )
    anomaly_count = models.IntegerField(default=0, help_text="Rules with a finding.")
    version = models.BigIntegerField(default=1, help_text="Grows with every change.")

    class Meta:
        verbose_name_plural = "hourly statistics"
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "hour"], name="one_row_per_constituency_hour"
            ),
        ]
        indexes = [
            # The hours of an election, in order.
            models.Index(fields=["election", "hour"], name="stats_by_election_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.constituency_id} {self.hour:%Y-%m-%d %H:%M}"


class RegisterOfConstituency(Constituency):
    """A constituency as the owner of the rates that depend on its register."""

    class Meta:
        proxy = True
        triggers = [
            # Whoever changes the register (a list on the ledger, staff, a bulk import):
            # the rates of all its hours change in the same database transaction.
            pgtrigger.Trigger(
                name="rewrite_participation",
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(
                    old__registered_voters__df=pgtrigger.F("new__registered_voters")
                ),
                func="""
                    UPDATE metrics_hourlystats
                    SET participation_rate =
                            votes_cast * 100.0::float8 / NULLIF(NEW.registered_voters, 0),
                        version = version + 1
                    WHERE constituency_id = NEW.id;
                    RETURN NEW;
                """,
            )
        ]


class MinuteStats(models.Model):
    """What one constituency did in one minute of the last hours, exact at every commit.

    Only minutes inside the retention are written, and older ones are pruned: loading an
    old election does not write a row for each of its minutes.
    """

    constituency = models.ForeignKey(
        Constituency,
        on_delete=models.PROTECT,
        related_name="minute_stats",
        # The unique constraint begins with it.
        db_index=False,
        # The loader holds its lock, and checking it costs a quarter of the rate.
        db_constraint=False,
    )
    minute = models.DateTimeField(help_text="Start of the minute.")
    bulletins_issued = models.BigIntegerField(default=0)
    votes_cast = models.BigIntegerField(default=0)
    revotes = models.BigIntegerField(default=0)
    transaction_count = models.BigIntegerField(default=0)
    failed_count = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "minute statistics"
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "minute"],
                name="one_row_per_constituency_minute",
            ),
        ]
        indexes = [
            # Pruning, and the minutes of whole elections.
            models.Index(fields=["minute"], name="minute_stats_by_minute"),
        ]

    def __str__(self) -> str:
        return f"{self.constituency_id} {self.minute:%Y-%m-%d %H:%M}"


class ElectionMinute(models.Model):
    """What all constituencies of an election did in one minute, of any past hour.

    Written by the worker for whole hours, never by loaders: it would be the one row that
    all of them wait for.
    """

    election = models.ForeignKey(
        Election,
        on_delete=models.PROTECT,
        related_name="minutes",
        # The unique constraint begins with it.
        db_index=False,
    )
    minute = models.DateTimeField(help_text="Start of the minute.")
    bulletins_issued = models.BigIntegerField(default=0)
    votes_cast = models.BigIntegerField(default=0)
    revotes = models.BigIntegerField(default=0)
    transaction_count = models.BigIntegerField(default=0)
    failed_count = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["election", "minute"], name="one_row_per_election_minute"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.election_id} {self.minute:%Y-%m-%d %H:%M}"


class UpdateTrigger(models.TextChoices):
    NEW_TRANSACTION = "new_transaction"
    SCHEDULED = "scheduled"
    MANUAL = "manual"


class UpdateStatus(models.TextChoices):
    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"


class MetricsUpdate(models.Model):
    """An update that has to be made, or was: the row is the truth, Celery runs it.

    Written in the database transaction that made the update necessary. A scope has one
    pending row at most; what is asked for meanwhile is merged into it.
    """

    scope = models.CharField(
        max_length=160,
        help_text="What to update, as kind:key, such as constituency:17.",
    )
    trigger = models.CharField(max_length=16, choices=UpdateTrigger)
    priority = models.SmallIntegerField(help_text="The smaller the sooner.")
    hours = ArrayField(
        models.DateTimeField(),
        default=list,
        blank=True,
        help_text="Starts of the hours that changed.",
    )
    requests = models.IntegerField(
        default=1, help_text="Requests merged into this one."
    )
    status = models.CharField(
        max_length=16, choices=UpdateStatus, default=UpdateStatus.PENDING
    )
    attempts = models.IntegerField(default=0, help_text="Times it was begun.")
    requested_at = models.DateTimeField(help_text="When it was asked for first.")
    available_at = models.DateTimeField(help_text="Not to be begun before.")
    lease_token = models.UUIDField(
        null=True, blank=True, help_text="Of the worker that has it in hand."
    )
    locked_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, help_text="Traceback of the last failure.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope"],
                condition=models.Q(status="pending"),
                name="one_pending_update_per_scope",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=UpdateStatus.values),
                name="update_status_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(trigger__in=UpdateTrigger.values),
                name="update_trigger_is_known",
            ),
        ]
        indexes = [
            # What the workers claim. Finished rows are not in it.
            models.Index(
                fields=["available_at"],
                condition=models.Q(status__in=["pending", "processing", "failed"]),
                name="updates_to_do",
            ),
            # Those of one scope, the newest last.
            models.Index(fields=["scope", "status"], name="updates_of_scope"),
        ]

    def __str__(self) -> str:
        return f"{self.scope} ({self.status})"


class Discrepancy(models.Model):
    """A published figure that differed from what it is counted from: an alarm for staff."""

    constituency = models.ForeignKey(
        Constituency, on_delete=models.PROTECT, related_name="discrepancies"
    )
    hour = models.DateTimeField(null=True, help_text="Empty: a total over all hours.")
    figure = models.CharField(max_length=64)
    stored = models.TextField(blank=True, help_text="Empty: unknown.")
    counted = models.TextField(blank=True, help_text="Empty: unknown.")
    found_by = models.CharField(max_length=16, help_text="refresh or verify.")
    found_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was found to be right again."
    )

    class Meta:
        verbose_name_plural = "discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "hour", "figure"],
                condition=models.Q(resolved_at=None),
                nulls_distinct=False,
                name="one_open_discrepancy_per_figure",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.constituency_id} {self.figure}"


class KeptAnswers(Election):
    """The cache as a page of the admin; it has no rows."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = verbose_name_plural = "cache"
