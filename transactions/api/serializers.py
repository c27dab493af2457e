"""Shapes of rows posted, of uploads, and of what became of them."""

from typing import Any

from rest_framework import serializers

from elections.api.schema import answer, question, shown_as
from elections.models import Constituency, Election
from transactions.api import examples
from transactions.models import (
    BatchKind,
    BatchStatus,
    ConflictingRow,
    ConflictKind,
    ImportBatch,
    RejectedRow,
    VanishedRow,
)
from transactions.operations import Operation, Outcome


class PostedRowSerializer(serializers.Serializer[Any]):
    """One statement about one transaction. Describes only: the loader's reader reads it.

    Further keys are ignored.
    """

    constituency = serializers.CharField(max_length=128, help_text="Contract id.")
    tx_id = serializers.CharField(max_length=128)
    timestamp = serializers.CharField(
        help_text="ISO 8601 with offset, or milliseconds since 1970."
    )
    operation = serializers.CharField(
        help_text="One of: "
        + ", ".join(operation.label for operation in Operation)
        + ". Any other is kept as other."
    )
    outcome = serializers.ChoiceField(
        choices=[outcome.label for outcome in Outcome],
        required=False,
        allow_null=True,
        help_text="How the contract answered; accepted where it is left out.",
    )
    quantity = serializers.IntegerField(
        required=False,
        allow_null=True,
        help_text="Ballots of an issue, 1 where it is left out; voters that a list adds "
        "or removes.",
    )
    sender = serializers.CharField(
        required=False,
        allow_null=True,
        help_text="Key of the sender; only a digest is kept. Of several votes of one "
        "key the first counts.",
    )
    uik = serializers.CharField(
        required=False, allow_null=True, help_text="Polling station."
    )
    rolled_back = serializers.BooleanField(
        required=False,
        allow_null=True,
        help_text="Whether the transaction is cancelled.",
    )
    position = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=2**53 - 1,
        help_text="Place among the statements about this transaction, 1 where it is "
        "left out. The highest holds; on a tie, rolled back holds.",
    )


@shown_as(question(examples.POSTED_ROWS))
class PostedRowsSerializer(serializers.Serializer[Any]):
    transactions = PostedRowSerializer(many=True)


class RefusalSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(
        source="line", help_text="Of the row in the request, from 0."
    )
    code = serializers.CharField()
    message = serializers.CharField()

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {
            "index": instance.line - 1,
            "code": instance.code,
            "message": instance.message,
        }


@shown_as(answer(examples.POSTED_ANSWER))
class PostedAnswerSerializer(serializers.Serializer[Any]):
    batch = serializers.IntegerField(
        source="batch_id", help_text="Id of the batch, see imports/{id}/."
    )
    accepted = serializers.IntegerField(source="summary.accepted")
    duplicate = serializers.IntegerField(source="summary.duplicate")
    conflicting = serializers.IntegerField(source="summary.conflicting")
    rejected = RefusalSerializer(many=True, source="rejections")


class UploadSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(
        allow_empty_file=True,
        help_text="An export file or a zip archive of them, under the name it was "
        "published with.",
    )
    election = serializers.SlugField(
        required=False,
        allow_blank=True,
        help_text="Slug of an election: unknown contracts are created below it.",
    )

    def validate_election(self, slug: str) -> Election | None:
        """Return the election that is named, if one is."""
        election = Election.objects.filter(slug=slug).first()
        if slug and election is None:
            message = "No election has this slug."
            raise serializers.ValidationError(message, code="does_not_exist")
        return election


@shown_as(answer(examples.IMPORT_BATCH))
class ImportBatchSerializer(serializers.ModelSerializer[ImportBatch]):
    """A file, an upload or a request, and what became of its rows.

    `rows_read` is always accepted + duplicate + conflicting + rejected. The counters of an
    upload are the sums of its files, which name it as their `upload`.
    """

    kind = serializers.ChoiceField(choices=BatchKind.choices)
    status = serializers.ChoiceField(choices=BatchStatus.choices)
    upload = serializers.IntegerField(
        source="parent_id", allow_null=True, help_text="The upload that brought it."
    )
    constituency = serializers.SerializerMethodField(
        help_text="Contract id; null where there are several, or none is told."
    )
    election = serializers.SerializerMethodField()
    files = serializers.SerializerMethodField(
        help_text="Of an upload: the files found in it; null before they were looked for."
    )
    files_done = serializers.SerializerMethodField(
        help_text="Of an upload: the files dealt with so far."
    )

    class Meta:
        model = ImportBatch
        fields = [
            "id",
            "kind",
            "name",
            "status",
            "error_code",
            "error",
            "upload",
            "files",
            "files_done",
            "constituency",
            "election",
            "interval",
            "rows_read",
            "accepted",
            "duplicate",
            "conflicting",
            "rejected",
            "vanished",
            "outside_interval",
            "size_bytes",
            "started_at",
            "finished_at",
        ]

    def get_constituency(self, batch: ImportBatch) -> str | None:
        """Return the contract that is registered, or that the name claims."""
        if batch.constituency is not None:
            return batch.constituency.contract_id
        return batch.contract_id or None

    def get_election(self, batch: ImportBatch) -> str | None:
        """Return the election of the constituency, or the one the upload names."""
        if batch.constituency is not None:
            return batch.constituency.election.slug
        is_upload = batch.kind == BatchKind.UPLOAD
        return (batch.upload.election or None) if is_upload else None

    def get_files(self, batch: ImportBatch) -> int | None:
        """Return the number of files of an upload."""
        is_upload = batch.kind == BatchKind.UPLOAD
        return (batch.upload.files or None) if is_upload else None

    def get_files_done(self, batch: ImportBatch) -> int | None:
        """Return how many files of an upload have a verdict."""
        done: int | None = getattr(batch, "files_done", None)
        return done if batch.kind == BatchKind.UPLOAD else None


@shown_as(answer(examples.REJECTED_ROW))
class RejectedRowSerializer(serializers.ModelSerializer[RejectedRow]):
    """A row that could not be loaded, as it came."""

    file = serializers.CharField(source="batch.name")
    is_resolved = serializers.SerializerMethodField(
        help_text="Whether a corrected row was loaded."
    )

    class Meta:
        model = RejectedRow
        fields = [
            "id",
            "batch",
            "file",
            "line",
            "code",
            "message",
            "raw",
            "is_cut",
            "is_resolved",
        ]

    def get_is_resolved(self, row: RejectedRow) -> bool:
        """Return whether a later batch stands for the row."""
        return row.resolved_by_id is not None


class RowOfConstituency(serializers.Serializer[Any]):
    constituency = serializers.SlugRelatedField[Constituency](
        slug_field="contract_id", read_only=True
    )
    file = serializers.CharField(source="batch.name")


@shown_as(answer(examples.CONFLICTING_ROW))
class ConflictingRowSerializer(
    RowOfConstituency, serializers.ModelSerializer[ConflictingRow]
):
    """A row that says something else of a known transaction; `stored` counts."""

    kind = serializers.ChoiceField(choices=ConflictKind.choices)
    stored = serializers.DictField()
    incoming = serializers.DictField()

    class Meta:
        model = ConflictingRow
        fields = [
            "id",
            "batch",
            "file",
            "line",
            "kind",
            "constituency",
            "tx_id",
            "stored_batch",
            "stored",
            "incoming",
        ]


@shown_as(answer(examples.VANISHED_ROW))
class VanishedRowSerializer(
    RowOfConstituency, serializers.ModelSerializer[VanishedRow]
):
    """A transaction that an earlier version of the file had; it stays in the ledger."""

    earlier_batch = serializers.IntegerField(source="earlier.batch_id")
    earlier_version = serializers.IntegerField(source="earlier.version")

    class Meta:
        model = VanishedRow
        fields = [
            "id",
            "batch",
            "file",
            "constituency",
            "tx_id",
            "earlier_batch",
            "earlier_version",
        ]
