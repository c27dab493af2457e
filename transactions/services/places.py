"""Constituencies as the loader needs them, looked up once per import."""

from collections.abc import Iterable

from elections.models import Constituency, Election
from elections.services import ConstituencyDraft, RegistryService
from transactions.formats import ExportFile
from transactions.loader import Place

LONGEST_CODE = 255


class Places:
    """The constituencies that files name; unknown ones are created where allowed."""

    def __init__(self, election: Election | None) -> None:
        self._election = election
        self._by_contract: dict[str, Place] = {}

    def get(self, contract_id: str) -> Place | None:
        """Return the constituency of a contract that was prepared, None if unknown."""
        return self._by_contract.get(contract_id)

    def forget(self) -> None:
        """Forget what was looked up, for it may have been undone."""
        self._by_contract.clear()

    def prepare_files(self, files: Iterable[ExportFile]) -> None:
        """Look up the contracts of files, creating what their folders name."""
        self._prepare(_draft(file) for file in files if file.contract_id)

    def prepare_contracts(self, contract_ids: Iterable[str]) -> None:
        """Look up contracts that rows name, creating them below the given election."""
        self._prepare(ConstituencyDraft(contract_id) for contract_id in contract_ids)

    def _prepare(self, drafts: Iterable[ConstituencyDraft]) -> None:
        wanted = {draft.contract_id: draft for draft in drafts}
        self._look_up([c for c in wanted if c not in self._by_contract])
        missing = [d for c, d in wanted.items() if c not in self._by_contract]
        if missing:
            RegistryService().register(missing, election=self._election)
            self._look_up([draft.contract_id for draft in missing])

    def _look_up(self, contract_ids: list[str]) -> None:
        if not contract_ids:
            return
        known = Constituency.objects.filter(contract_id__in=contract_ids)
        for constituency in known.select_related("election", "region"):
            self._by_contract[constituency.contract_id] = Place(
                constituency_id=constituency.pk,
                election=constituency.election.slug,
                contract_id=constituency.contract_id,
                export_timezone=constituency.election.export_timezone,
            )


def _draft(file: ExportFile) -> ConstituencyDraft:
    layout = file.layout
    return ConstituencyDraft(
        contract_id=file.contract_id or "",
        election=layout.election,
        # Where folders tell no code, the name has to serve.
        region_code=(layout.region_code or layout.region_name or "")[:LONGEST_CODE],
        region_name=layout.region_name,
        name=layout.constituency,
    )
