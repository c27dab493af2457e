"""The verbs of the registry: find or create what export files name."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Max, Min
from slugify import slugify

from elections.locks import Lock, lock_until_commit
from elections.models import Constituency, Election, Region, name_key
from elections.signals import registry_changed

SLUG_LENGTH = 80


@dataclass(frozen=True, slots=True)
class ConstituencyDraft:
    """What a file's place in its tree says of its contract; None where it is silent."""

    contract_id: str
    election: str | None = None
    region_code: str | None = None
    region_name: str | None = None
    name: str | None = None


class RegistryService:
    """Extends the registry by what export files name."""

    def ensure_election(self, *, slug: str) -> Election:
        """Return the election with this slug, creating it where it is new."""
        election, _ = Election.objects.get_or_create(slug=slug, defaults={"name": slug})
        return election

    def register(
        self, drafts: Sequence[ConstituencyDraft], *, election: Election | None = None
    ) -> None:
        """Create the constituencies that are new, below `election` or the one they name.

        A draft that names no election is left out where none is given.
        """
        usable = [draft for draft in drafts if election or draft.election]
        with transaction.atomic():
            lock_until_commit(Lock.REGISTRY)
            new = self._unknown(usable)
            regions = self._regions(new)
            elections = {} if election else self._elections(new)
            created = Constituency.objects.bulk_create(
                Constituency(
                    contract_id=draft.contract_id,
                    election=election or elections[name_key(draft.election or "")],
                    region=regions.get(draft.region_code or ""),
                    name=draft.name or draft.contract_id,
                    district=draft.name or "",
                )
                for draft in new
            )
            if created:
                places = [(each.election.slug, each.contract_id) for each in created]
                registry_changed.send(sender=RegistryService, places=places)

    def widen_windows(self, slugs: Iterable[str]) -> None:
        """Let elections whose times are left to the ledger span their constituencies."""
        elections = Election.objects.filter(slug__in=slugs, window_source="ledger")
        told = elections.annotate(
            opens=Min("constituencies__issue_opens_at"),
            closes=Max("constituencies__voting_closes_at"),
        )
        for pk, opens, closes in told.order_by("id").values_list(
            "id", "opens", "closes"
        ):
            if opens and closes and closes <= opens:
                # A contract with impossible dates; the election cannot end by it.
                closes = None
            times = {"starts_at": opens, "ends_at": closes}
            if elections.filter(pk=pk).exclude(**times).update(**times):
                registry_changed.send(sender=RegistryService, places=())

    def _unknown(self, drafts: Sequence[ConstituencyDraft]) -> list[ConstituencyDraft]:
        by_id = {draft.contract_id: draft for draft in drafts}
        known = Constituency.objects.filter(contract_id__in=by_id)
        for contract_id in known.values_list("contract_id", flat=True):
            del by_id[contract_id]
        return list(by_id.values())

    def _regions(self, drafts: Sequence[ConstituencyDraft]) -> dict[str, Region]:
        names = {d.region_code: d.region_name for d in drafts if d.region_code}
        Region.objects.bulk_create(
            (Region(code=code, name=name or code) for code, name in names.items()),
            ignore_conflicts=True,
        )
        return {region.code: region for region in Region.objects.filter(code__in=names)}

    def _elections(self, drafts: Sequence[ConstituencyDraft]) -> dict[str, Election]:
        """Return the elections that drafts name, by the key of the normalised name.

        Of several elections with one name the newest is meant.
        """
        names = {name_key(d.election): d.election for d in drafts if d.election}
        known = Election.objects.filter(name_key__in=names).order_by("id")
        elections = {election.name_key: election for election in known}
        for key, name in names.items():
            if key not in elections:
                elections[key] = Election.objects.create(
                    name=name, slug=self._free_slug(name)
                )
        return elections

    def _free_slug(self, name: str) -> str:
        base = slugify(name, max_length=SLUG_LENGTH, word_boundary=True) or "election"
        taken = set(
            Election.objects.filter(slug__startswith=base).values_list(
                "slug", flat=True
            )
        )
        candidates = (base, *(f"{base}-{n}" for n in range(2, len(taken) + 3)))
        return next(slug for slug in candidates if slug not in taken)
