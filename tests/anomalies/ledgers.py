"""Small ledgers with a calm flow of ballots, for tests of whole evaluations.

    ledger = Ledger(make_open_election())
    place = ledger.add("A")                 calm from 08:00 on, as its peers are
    ledger.add("B", flow={10: 90})          ninety bulletins in the hour from 10:00
    ledger.load(tmp_path)

Times of day stand for those of `DAY`, in UTC. Numbers of an hour are drawn by chance, as
times in it are, always the same ones: an even flow would be an anomaly itself.
"""

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from elections.models import Constituency, Election
from tests.factories import make_constituency, make_election
from tests.tables import DAY
from transactions.services import import_paths

OPENS, STOPS = DAY.replace(hour=8), DAY.replace(hour=20)
# The hours with ballots; those before the last are over.
HOURS = range(8, 15)
VOTERS, BALLOTS_AN_HOUR = 600, 40
SHARE_CAST = 0.97
COLUMNS = ("contract_id", "timestamp", "tx_id", "operation", "sender", "quantity")


def make_open_election(**fields: Any) -> Election:
    """Make an election whose voting is open from 08:00 to 20:00."""
    times = {"starts_at": OPENS, "ends_at": STOPS, "timezone": "UTC"}
    return make_election(**{**times, "export_timezone": "UTC", **fields})


@dataclass(slots=True)
class Ledger:
    """What is to be loaded, and the constituencies that it is about."""

    election: Election
    rows: list[tuple[str, int, str, str, str, int | None]] = field(default_factory=list)

    def add(
        self,
        name: str,
        *,
        voters: int | None = VOTERS,
        flow: Mapping[int, int] | None = None,
        **fields: Any,
    ) -> Constituency:
        """Register a constituency and give it ballots; `flow` replaces those of hours."""
        place = make_constituency(
            election=self.election,
            contract_id=name,
            name=name,
            district=name,
            stated_registered_voters=voters,
            **{
                "issue_opens_at": OPENS,
                "issue_closes_at": STOPS,
                "voting_closes_at": STOPS + timedelta(minutes=20),
                "revoting_allowed": False,
                **fields,
            },
        )
        chance = random.Random(name)
        for hour in HOURS:
            usual = round(chance.gauss(BALLOTS_AN_HOUR, 4))
            count = (flow or {}).get(hour, usual)
            start = DAY + timedelta(hours=hour)
            for number in range(count):
                self._ballot(place, f"{name}-{hour}-{number}", start, chance)
        return place

    def act(
        self,
        place: Constituency,
        tx_id: str,
        moment: datetime,
        operation: str,
        quantity: int | None = None,
    ) -> None:
        """Add one transaction."""
        at = round(moment.timestamp() * 1000)
        key = tx_id if operation == "vote_cast" else "server"
        self.rows.append((place.contract_id, at, tx_id, operation, key, quantity))

    def _ballot(
        self, place: Constituency, name: str, start: datetime, chance: random.Random
    ) -> None:
        issued, delay = chance.uniform(0, 3_500), chance.uniform(5, 90)
        moment = start + timedelta(seconds=issued)
        self.act(place, f"i-{name}", moment, "bulletin_issued")
        if chance.random() < SHARE_CAST:
            cast = moment + timedelta(seconds=delay)
            self.act(place, f"v-{name}", cast, "vote_cast")

    def load(self, folder: Path, **options: Any) -> None:
        """Load what was added since, by the loader."""
        file = folder / f"rows-{len(list(folder.iterdir()))}.csv"
        with file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            writer.writerows(self.rows)
        import_paths([str(file)], workers=1, **options)
        self.rows.clear()
