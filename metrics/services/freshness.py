"""Answers in the cache end with the commit that makes them old."""

from collections.abc import Collection, Iterable

from django.db import transaction

from elections.models import Constituency
from elections.tags import tags_of
from metrics.cache import metrics_cache

Places = Iterable[tuple[str, str]]


def forget_places(places: Places) -> None:
    """End what is kept of constituencies, (election's slug, contract id), and all above.

    After the commit, never before: whoever computed in between would keep the old figure.
    """
    forget_tags(tags_of(places))


def forget_constituencies(ids: Collection[int]) -> None:
    """Do as `forget_places`, by the ids of the constituencies; one query."""
    known = Constituency.objects.filter(pk__in=ids)
    forget_places(known.values_list("election__slug", "contract_id").order_by())


def forget_tags(tags: Iterable[str]) -> None:
    """End what is kept under these tags once the open transaction is committed."""
    forgotten = list(tags)

    def forget() -> None:
        metrics_cache().invalidate(forgotten)

    transaction.on_commit(forget, robust=True)


def forget_everything() -> None:
    """End all that is kept once the open transaction is committed."""
    transaction.on_commit(metrics_cache().invalidate_all, robust=True)
