"""The one sanctioned delete: a simulated election with all its rows."""

from collections.abc import Callable, Iterator

import pgtrigger
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from anomalies.models import (
    Alert,
    AlertEvent,
    AlertNote,
    Evaluation,
    HourMoments,
    RuleSetting,
    RuleSettingEvent,
    StationReport,
    Webhook,
    WebhookDelivery,
)
from elections.locks import Lock, lock_constituencies, lock_until_commit
from elections.models import (
    Constituency,
    ConstituencyEvent,
    Election,
    ElectionEvent,
)
from metrics.models import (
    Discrepancy,
    ElectionMinute,
    HourlyStats,
    MetricsUpdate,
    MinuteStats,
)
from metrics.services.freshness import forget_everything
from transactions.models import (
    BatchKind,
    ConflictingRow,
    ContractTerms,
    FeedHour,
    ImportBatch,
    RejectedRow,
    RollbackEvent,
    Transaction,
    VanishedRow,
)

# The ledger and the history refuse deletes; only this module lifts that, inside one transaction.
GUARDS = [
    "transactions.Transaction:refuse_delete",
    "transactions.RollbackEvent:refuse_change",
    "elections.ConstituencyEvent:append_only",
    "elections.ElectionEvent:append_only",
    "anomalies.AlertEvent:append_only",
    "anomalies.RuleSettingEvent:append_only",
]
# Kinds of rows that belong to an election.
KINDS = 27
# Updates of the queue name what they are about: kind:id.
ELECTION_SCOPES = ["election", "totals", "series", "history", "evaluate"]


class NotSimulated(ValueError):
    """The election is real: nothing of it is ever deleted."""


def delete_simulated_election(
    slug: str, *, on_done: Callable[[], object] = lambda: None
) -> dict[str, int]:
    """Delete the election and return how many rows of each kind that were.

    `on_done` is called after each of the `KINDS` of rows.

    Raises:
        Election.DoesNotExist: no election has this slug.
        NotSimulated: it is a real one.
    """
    # Before it holds up those who count a real one.
    election = _simulated(Election.objects.all(), slug)
    # In this order: it asks the database at its end, which a failed transaction refuses.
    with pgtrigger.ignore(*GUARDS), transaction.atomic():
        # First, as the worker does: it meets the election's row only when it commits.
        lock_until_commit(Lock.SERIES, election.pk)
        lock_until_commit(Lock.ALERTS, election.pk)
        election = _simulated(Election.objects.select_for_update(), slug)
        ids = Constituency.objects.filter(election=election).values_list(
            "id", flat=True
        )
        lock_constituencies(ids)
        deleted = {}
        for rows in _rows(election, list(ids)):
            deleted[rows.model._meta.label_lower] = rows._raw_delete(rows.db)
            on_done()
        forget_everything()
        return deleted


def _simulated(elections: "QuerySet[Election]", slug: str) -> Election:
    election = elections.get(slug=slug)
    if not election.is_simulated:
        raise NotSimulated(f"{slug} is a real election: nothing of it is deleted.")
    return election


def _rows(election: Election, ids: list[int]) -> Iterator["QuerySet[Model]"]:
    """Yield what belongs to the election, what points at something before it."""
    batches = ImportBatch.objects.filter(constituency_id__in=ids) | (
        ImportBatch.objects.filter(
            kind=BatchKind.SIMULATION, name__endswith=f" {election.slug}"
        )
    )
    batch_ids = list(batches.values_list("id", flat=True))
    scopes = [f"constituency:{constituency_id}" for constituency_id in ids]
    scopes += [f"{kind}:{election.pk}" for kind in ELECTION_SCOPES]
    yield MetricsUpdate.objects.filter(scope__in=scopes)
    alerts = Alert.objects.filter(election=election)
    settings = RuleSetting.objects.filter(election=election)
    webhooks = Webhook.objects.filter(election=election)
    yield WebhookDelivery.objects.filter(Q(alert__in=alerts) | Q(webhook__in=webhooks))
    yield webhooks
    yield AlertNote.objects.filter(alert__in=alerts)
    yield AlertEvent.objects.filter(pgh_obj__in=alerts)
    yield alerts
    yield RuleSettingEvent.objects.filter(pgh_obj__in=settings)
    yield settings
    yield Evaluation.objects.filter(election=election)
    yield StationReport.objects.filter(election=election)
    yield HourMoments.objects.filter(constituency_id__in=ids)
    yield Discrepancy.objects.filter(constituency_id__in=ids)
    yield ElectionMinute.objects.filter(election=election)
    yield MinuteStats.objects.filter(constituency_id__in=ids)
    yield HourlyStats.objects.filter(constituency_id__in=ids)
    yield VanishedRow.objects.filter(constituency_id__in=ids)
    yield ConflictingRow.objects.filter(constituency_id__in=ids)
    yield RejectedRow.objects.filter(batch_id__in=batch_ids)
    yield FeedHour.objects.filter(constituency_id__in=ids)
    yield ContractTerms.objects.filter(constituency_id__in=ids)
    yield RollbackEvent.objects.filter(constituency_id__in=ids)
    yield Transaction.objects.filter(constituency_id__in=ids)
    yield ImportBatch.objects.filter(id__in=batch_ids)
    yield ConstituencyEvent.objects.filter(pgh_obj_id__in=ids)
    yield ElectionEvent.objects.filter(pgh_obj_id=election.pk)
    yield Constituency.objects.filter(id__in=ids)
    yield Election.objects.filter(id=election.pk)
