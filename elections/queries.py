"""Reads of the registry, named by what they return."""

from datetime import datetime

from django.db.models import Count, F, FloatField, Max, Q, QuerySet, Sum
from django.db.models.functions import Cast, Coalesce, NullIf

from elections.models import Constituency, Election, ElectionQuerySet, Region

TOTALS = [
    "bulletins_issued",
    "votes_cast",
    "revotes",
    "transaction_count",
    "failed_count",
]
HAS_REGISTER = Q(constituencies__registered_voters__isnull=False)
PARTICIPATION_RATE = (
    Cast(Sum("constituencies__votes_cast", filter=HAS_REGISTER), FloatField())
    * 100
    / NullIf(Sum("constituencies__registered_voters"), 0)
)
# As live events tell it: it grows with each of its constituencies.
VERSION = Coalesce(Sum("constituencies__version"), 0)


def regions() -> "QuerySet[Region]":
    """Return all regions by code."""
    return Region.objects.order_by("code")


def elections() -> ElectionQuerySet:
    """Return all elections by slug, with status, totals and `as_of`.

    A sum over constituencies counts ballots, not people. `register_entries` is the sum
    of the registers that are known, null where none is; `participation_rate` takes the
    votes of those same constituencies only.
    """
    totals = {name: Coalesce(Sum(f"constituencies__{name}"), 0) for name in TOTALS}
    return (
        Election.objects.with_status()
        .annotate(
            **totals,
            register_entries=Sum("constituencies__registered_voters"),
            register_constituency_count=Count("constituencies", filter=HAS_REGISTER),
            participation_rate=PARTICIPATION_RATE,
            constituency_count=Count("constituencies"),
            as_of=Max("constituencies__last_transaction_at"),
            version=VERSION,
        )
        .order_by("slug")
    )


def elections_at_a_glance() -> ElectionQuerySet:
    """Return all elections as `elections` does: active first, then the newest."""
    # The words sort as wanted: active, completed, upcoming.
    newest_first = F("starts_at").desc(nulls_last=True)
    return elections().order_by(F("status"), newest_first, "slug")


def constituencies() -> "QuerySet[Constituency]":
    """Return all constituencies by contract id, with their election and region."""
    rows = Constituency.objects.select_related("election", "region")
    return rows.order_by("contract_id")


def as_of_by_election(chosen: "QuerySet[Constituency]") -> dict[int, datetime]:
    """Return the newest ledger time of each election that has one of these members.

    Of the whole election, not of the chosen; elections without any are left out.
    """
    members = Constituency.objects.filter(
        election__in=chosen.order_by().values("election"),
        last_transaction_at__isnull=False,
    )
    newest = members.values("election").annotate(as_of=Max("last_transaction_at"))
    return dict(newest.order_by("election").values_list("election", "as_of"))
