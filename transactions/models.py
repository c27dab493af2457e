"""The ledger, and what is known of every file that was loaded into it."""

from typing import Any, Self

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from elections.models import Constituency
from transactions.operations import Operation, Outcome


def _choices(words: type[Operation] | type[Outcome]) -> list[tuple[int, str]]:
    return [(word.value, word.label.replace("_", " ")) for word in words]


ISSUE_OR_VOTE = Q(operation__in=[Operation.BULLETIN_ISSUED, Operation.VOTE_CAST])
ACCEPTED_VOTE = Q(operation=Operation.VOTE_CAST, outcome=Outcome.ACCEPTED)

# What may change in a row of the ledger: whether it holds, and what follows from that.
MUTABLE = ["rolled_back", "position", "counted"]


def refuse_truncate() -> pgtrigger.Trigger:
    """Return a trigger that keeps a table from being emptied.

    A row trigger does not see TRUNCATE.
    """
    return pgtrigger.Trigger(
        name="refuse_truncate",
        operation=pgtrigger.Truncate,
        level=pgtrigger.Statement,
        when=pgtrigger.Before,
        func="RAISE EXCEPTION 'The ledger is append-only: % refuses TRUNCATE', TG_TABLE_NAME;",
    )


class Transaction(models.Model):
    """One transaction of the ledger, without its cipher text. Append-only.

    Its identity is the contract and the id, never the time: a rewritten time stamp
    would be counted twice.
    """

    pk = models.CompositePrimaryKey("constituency_id", "tx_id")
    # A real foreign key costs a third of the load rate, and the loader has locked the
    # row it points at.
    constituency = models.ForeignKey(
        Constituency, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    tx_id = models.TextField(db_collation="C")
    timestamp = models.DateTimeField(help_text="Set by the sender, to the millisecond.")
    operation = models.SmallIntegerField(choices=_choices(Operation))
    outcome = models.SmallIntegerField(choices=_choices(Outcome))
    quantity = models.IntegerField(
        help_text="Ballots of an issue; voters added (or removed, negative) by a list."
    )
    sender = models.BinaryField(null=True, help_text="Digest of the sender's key.")
    recipients = models.BinaryField(
        null=True, help_text="Digests of the voters of an issue, 16 bytes each."
    )
    polling_station = models.TextField(
        blank=True, help_text="Region code and number of the polling station."
    )
    payload = models.BinaryField(
        null=True,
        help_text="Digest of params and diff; null where the source has none.",
    )
    batch = models.ForeignKey(
        "ImportBatch", on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    position = models.BigIntegerField(
        help_text="Place of the statement that holds, see transactions.positions."
    )
    rolled_back = models.BooleanField()
    counted = models.BooleanField(
        help_text="Adds to bulletins issued or votes cast: of several accepted votes of "
        "a key only the first by (timestamp, id)."
    )

    class Meta:
        constraints = [
            # Also the way from a vote to the one of the same key that counts.
            models.UniqueConstraint(
                fields=["constituency", "sender"],
                condition=Q(counted=True, operation=Operation.VOTE_CAST),
                name="one_counted_vote_per_key",
            ),
            models.CheckConstraint(
                condition=Q(counted=False)
                | Q(rolled_back=False, outcome=Outcome.ACCEPTED),
                name="only_accepted_transactions_count",
            ),
        ]
        indexes = [
            # The votes that could take the place of a rolled-back one.
            models.Index(
                fields=["constituency", "sender"],
                condition=ACCEPTED_VOTE & Q(counted=False),
                name="uncounted_votes_by_key",
            ),
            # The few rows that say when a contract opened, closed and who is on it.
            models.Index(
                fields=["constituency", "operation"],
                condition=~ISSUE_OR_VOTE,
                name="ledger_other_operations",
            ),
            # Search by time; costs next to nothing to keep, unlike a B-tree.
            BrinIndex(fields=["timestamp"], name="ledger_by_time"),
        ]
        triggers = [
            pgtrigger.Protect(name="refuse_delete", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="refuse_update",
                operation=pgtrigger.Update,
                # `pk` is no column: its two parts are compared themselves.
                condition=pgtrigger.AnyChange(exclude=[*MUTABLE, "pk"]),
            ),
            refuse_truncate(),
        ]

    def __str__(self) -> str:
        return self.tx_id


class BatchKind(models.TextChoices):
    PORTAL_HOUR = "portal_hour", "hourly export"
    PORTAL_DUMP = "portal_dump", "whole-contract dump"
    PLAIN_CSV = "plain_csv", "plain columns, CSV"
    PLAIN_JSON_LINES = "plain_json_lines", "plain columns, JSON lines"
    PLAIN_PARQUET = "plain_parquet", "plain columns, Parquet"
    UNKNOWN = "unknown", "not recognised"
    SIMULATION = "simulation", "simulated live feed"
    RETRY = "retry", "corrected lines"
    API = "api", "posted to the API"
    UPLOAD = "upload", "upload"


class BatchStatus(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    LOADED = "loaded"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class ImportBatchQuerySet(models.QuerySet["ImportBatch"]):
    """Filters of batches."""

    def without_uploads(self) -> Self:
        """Leave out the batches that only add up others."""
        return self.exclude(kind=BatchKind.UPLOAD)


class ImportBatch(models.Model):
    """One file (or one delivery) and what became of its lines.

    An upload is a batch itself, so that one id tells all of it: its counters are the sums
    of its members, which are the files found in it. Who adds up batches leaves one of
    the two out (`ImportBatch.objects.without_uploads()`).
    """

    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="members",
        help_text="The upload that brought the file.",
    )
    kind = models.CharField(max_length=24, choices=BatchKind)
    name = models.TextField(help_text="Path and member as the source names them.")
    contract_id = models.TextField(
        blank=True, help_text="As the file's name claims; empty for many contracts."
    )
    constituency = models.ForeignKey(
        Constituency, on_delete=models.PROTECT, null=True, related_name="batches"
    )
    interval = models.DateTimeField(
        null=True,
        help_text="Start of the hour in the file's name: a label, its zone is unknown.",
    )
    sha256 = models.BinaryField(
        null=True, help_text="Of the CSV member, not of the zip around it."
    )
    size_bytes = models.BigIntegerField(default=0)
    rows_read = models.IntegerField(default=0)
    accepted = models.IntegerField(default=0)
    duplicate = models.IntegerField(default=0)
    conflicting = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    vanished = models.IntegerField(
        default=0, help_text="Rows of the version before that are gone."
    )
    outside_interval = models.IntegerField(
        default=0, help_text="Rows whose time lies outside the hour of the name."
    )
    source_path = models.TextField(
        blank=True,
        help_text="Where the content is kept while the batch is queued or waiting.",
    )
    chunks = models.IntegerField(default=0, help_text="Committed pieces of the file.")
    status = models.CharField(max_length=16, choices=BatchStatus)
    error_code = models.CharField(max_length=64, blank=True)
    error = models.TextField(blank=True, help_text="A sentence that says what to do.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    objects = ImportBatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "import batches"
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    rows_read=F("accepted")
                    + F("duplicate")
                    + F("conflicting")
                    + F("rejected")
                ),
                name="every_row_read_is_accounted_for",
            ),
            models.CheckConstraint(
                condition=Q(status__in=BatchStatus.values),
                name="batch_status_is_known",
            ),
        ]
        indexes = [
            # Was this content loaded before? Did a later batch settle this one?
            models.Index(fields=["contract_id", "sha256"], name="batches_by_content"),
            # Is anything running, waiting or in trouble?
            models.Index(
                fields=["status"],
                condition=~Q(status__in=[BatchStatus.LOADED, BatchStatus.UNCHANGED]),
                name="batches_to_look_at",
            ),
            # The files of an upload.
            models.Index(
                fields=["parent"],
                condition=Q(parent__isnull=False),
                name="members_of_uploads",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.name}"


class Upload(models.Model):
    """An uploaded file on its way to the ledger: what its batch does not tell."""

    batch = models.OneToOneField(
        ImportBatch, on_delete=models.CASCADE, primary_key=True, related_name="upload"
    )
    # A slug and no foreign key: a simulated election can be deleted.
    election = models.TextField(
        blank=True, help_text="Slug: unknown contracts are created below it."
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    files = models.IntegerField(default=0, help_text="Files found in it.")
    attempts = models.IntegerField(default=0, help_text="Times its loading was begun.")
    sent_at = models.DateTimeField(help_text="When a worker was last asked to load it.")

    def __str__(self) -> str:
        return f"upload {self.batch_id}"


class RollbackEvent(models.Model):
    """A transaction of the ledger was rolled back, or came back. Append-only."""

    constituency = models.ForeignKey(
        Constituency, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    tx_id = models.TextField(db_collation="C")
    rolled_back = models.BooleanField(help_text="The state after this event.")
    position = models.BigIntegerField(help_text="Of the statement that decided it.")
    batch = models.ForeignKey(
        ImportBatch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    recorded_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["constituency", "tx_id"], name="rollbacks_of_a_transaction"
            ),
        ]
        triggers = [
            pgtrigger.Protect(
                name="refuse_change", operation=pgtrigger.Delete | pgtrigger.Update
            ),
            refuse_truncate(),
        ]

    def __str__(self) -> str:
        return f"{self.tx_id} {'rolled back' if self.rolled_back else 'came back'}"


class FeedHour(models.Model):
    """One version of the export file of one constituency and hour."""

    constituency = models.ForeignKey(
        Constituency, on_delete=models.PROTECT, related_name="feed_hours"
    )
    interval = models.DateTimeField(help_text="Start of the hour in the file's name.")
    version = models.IntegerField(help_text="1 for the version loaded first.")
    batch = models.ForeignKey(ImportBatch, on_delete=models.PROTECT)
    sha256 = models.BinaryField()
    row_hashes = models.BinaryField(
        help_text="First 8 bytes of the SHA-256 of each transaction id, in any order."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "interval", "version"],
                name="one_feed_hour_per_version",
            )
        ]

    def __str__(self) -> str:
        return f"{self.interval:%Y-%m-%d %H:%M} version {self.version}"


class RejectedRow(models.Model):
    """A line that could not be read, kept until staff deal with it."""

    batch = models.ForeignKey(
        ImportBatch, on_delete=models.PROTECT, related_name="rejected_rows"
    )
    line = models.IntegerField()
    code = models.CharField(max_length=64, help_text="The reason, for programs.")
    message = models.TextField(help_text="The reason, for people.")
    raw = models.TextField(help_text="The line as it came, long ones cut.")
    is_cut = models.BooleanField(
        default=False, help_text="`raw` is not the whole line."
    )
    resolved_by = models.ForeignKey(
        ImportBatch,
        on_delete=models.PROTECT,
        null=True,
        related_name="resolved_rows",
        help_text="The batch that loaded the corrected line.",
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["batch"],
                condition=Q(resolved_by__isnull=True),
                name="rejected_rows_to_look_at",
            ),
        ]

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class ConflictKind(models.TextChoices):
    CONTENT = "content", "other content under the same id"
    STATE = "state", "an outranked statement disagrees"


class ConflictingRow(models.Model):
    """A line about a known transaction that says something else of it."""

    batch = models.ForeignKey(
        ImportBatch, on_delete=models.PROTECT, related_name="conflicting_rows"
    )
    line = models.IntegerField()
    kind = models.CharField(max_length=16, choices=ConflictKind)
    constituency = models.ForeignKey(
        Constituency, on_delete=models.PROTECT, related_name="conflicting_rows"
    )
    tx_id = models.TextField(db_collation="C")
    stored_batch = models.ForeignKey(
        ImportBatch,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="+",
        help_text="The batch whose version counts.",
    )
    stored: "models.JSONField[Any, Any]" = models.JSONField(
        help_text="The version that counts."
    )
    incoming: "models.JSONField[Any, Any]" = models.JSONField(
        help_text="The version of this line."
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["constituency", "tx_id"], name="conflicts_of_a_transaction"
            ),
        ]

    def __str__(self) -> str:
        return self.tx_id


class VanishedRow(models.Model):
    """A transaction that an earlier version of an hour file had and this one lacks."""

    batch = models.ForeignKey(
        ImportBatch, on_delete=models.PROTECT, related_name="vanished_rows"
    )
    constituency = models.ForeignKey(
        Constituency, on_delete=models.PROTECT, related_name="vanished_rows"
    )
    tx_id = models.TextField(
        db_collation="C", help_text="Still in the ledger: nothing is removed."
    )
    earlier = models.ForeignKey(
        FeedHour, on_delete=models.PROTECT, help_text="The version that has the row."
    )

    def __str__(self) -> str:
        return self.tx_id


class ContractTerms(models.Model):
    """What a createContract transaction laid down for its constituency."""

    constituency = models.ForeignKey(
        Constituency, on_delete=models.PROTECT, related_name="terms"
    )
    tx_id = models.TextField(db_collation="C")
    revoting_allowed = models.BooleanField()
    registrar_key = models.BinaryField(null=True, max_length=16)
    issue_opens_at = models.DateTimeField(null=True)
    issue_closes_at = models.DateTimeField(null=True)
    voting_closes_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "contract terms"
        constraints = [
            models.UniqueConstraint(
                fields=["constituency", "tx_id"], name="terms_are_stated_once"
            )
        ]

    def __str__(self) -> str:
        return self.tx_id


class WaitingBatch(ImportBatch):
    """A file whose contract nobody has registered yet, as staff work through them."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "waiting file"
        verbose_name_plural = "waiting files"


class Ledger(Constituency):
    """A constituency as the owner of its transactions: a page of the admin.

    Transaction itself cannot be registered there: its key is composite.
    """

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "ledger"
        verbose_name_plural = "ledger"
