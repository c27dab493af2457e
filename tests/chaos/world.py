"""A small election that is all corners: its files, its API batches, and what is true of it.

No two lines about one transaction differ, since of two contents of one id the first one
loaded counts and nobody knows which loader comes first. Everything else that an export
can show is there: rollbacks that stand, return, come first and come in later hours,
revotes in any order, refusals, register changes, broken lines, hour files that grow and
are published again without a row, whole-contract dumps, rows posted without a payload.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson

from elections.models import Election, Region
from elections.services import ConstituencyDraft, RegistryService
from tests.oracle import File, Recount, recount
from tests.transactions.lines import (
    BROKEN,
    content,
    contract,
    fail,
    issue,
    other,
    register,
    rollback_of,
    vote,
    without_result,
)

ONE_HOUR = timedelta(hours=1)
# Hours beyond the retention of minutes, whose series is counted from the ledger.
PAST_HOURS = 30
ZONES = ["Europe/Moscow", "Asia/Kathmandu", "Europe/Kaliningrad"]
SLUG = "chaos"


@dataclass(frozen=True)
class Size:
    """How much there is to load."""

    constituencies: int
    hours: int
    past_hours: int
    versions: int


LONG = Size(constituencies=20, hours=12, past_hours=2, versions=4)
SHORT = Size(constituencies=8, hours=6, past_hours=0, versions=3)


@dataclass(frozen=True)
class Batch:
    """Rows posted in one request, and the same as lines, by contract."""

    rows: list[dict[str, object]]
    lines: dict[str, list[bytes]]

    def files(self) -> list[File]:
        """Return what the oracle reads in its stead: rows name no hour, like dumps."""
        return [File("posted", c, None, lines) for c, lines in self.lines.items()]


@dataclass
class Contract:
    """What happened in one constituency so far."""

    id: str
    rng: random.Random
    # Every line about a transaction, as it stands in any file.
    told: list[bytes] = field(default_factory=list)
    count: int = 0

    def hour(self, start: datetime) -> list[bytes]:
        """Return the lines of the file of one hour."""
        lines: list[bytes] = []
        for _ in range(self.rng.randint(3, 9)):
            lines += self._event(start)
        return lines

    def ballot(self, start: datetime) -> tuple[str, int, str]:
        """Return id, time and key of a new vote."""
        return self._new_id(), self._moment(start), f"key{self.rng.randint(1, 30)}"

    def _event(self, start: datetime) -> list[bytes]:
        kind = self.rng.random()
        if kind < 0.12 and self.told:
            return [rollback_of(self.rng.choice(self.told))]
        if kind < 0.20 and self.told:
            return [self.rng.choice(self.told)]
        if kind < 0.23:
            return [BROKEN]
        line = self._new(start)
        self.told.append(line)
        if kind < 0.30:
            return [line, rollback_of(line)]
        if kind < 0.36:
            return [line, rollback_of(line), line]
        if kind < 0.42:
            return [rollback_of(line), line]
        return [line]

    def _new(self, start: datetime) -> bytes:
        tx_id, ms, key = self.ballot(start)
        users = " ".join(f"u{number}" for number in range(self.rng.randint(1, 3)))
        makers = [
            lambda: vote(tx_id, ms, key=key),
            lambda: issue(tx_id, ms, to=users),
            lambda: fail(vote(tx_id, ms, key=key)),
            lambda: without_result(issue(tx_id, ms, to=users)),
            lambda: register(tx_id, ms, add=self.rng.randint(1, 9)),
            lambda: register(tx_id, ms, remove=1),
            lambda: other(tx_id, ms),
        ]
        [make] = self.rng.choices(makers, weights=[10, 6, 1, 1, 1, 0.5, 1])
        return make()

    def _new_id(self) -> str:
        self.count += 1
        return f"tx{self.count:05}"

    def _moment(self, start: datetime) -> int:
        """Return a time of the hour, or of the one before: rows can be late."""
        late = 3_600_000 if self.rng.random() < 0.1 else 0
        # Coarse, so that two fall into one millisecond now and then.
        offset = self.rng.choice([0, 3_599_999, self.rng.randrange(3_600) * 1_000])
        return round(start.timestamp() * 1000) + offset - late


class World:
    """All that is delivered; the same seed and hour give the same bytes."""

    def __init__(self, *, seed: int, size: Size, now: datetime) -> None:
        rng = random.Random(seed)
        this_hour = now.replace(minute=0, second=0, microsecond=0)
        starts = [this_hour - n * ONE_HOUR for n in range(size.hours, 0, -1)]
        past = [this_hour - (PAST_HOURS + n) * ONE_HOUR for n in range(size.past_hours)]
        self.contracts = [
            Contract(contract(50_000 + number), random.Random(rng.random()))
            for number in range(size.constituencies)
        ]
        self.zones = {
            one.id: ZoneInfo(ZONES[number % len(ZONES)])
            for number, one in enumerate(self.contracts)
        }
        self.files = self._hour_files([*past[::-1], *starts], size, rng)
        self.batches = [self._batch(start, rng) for start in starts for _ in range(3)]
        for file in self._copies(rng) + self._dumps(rng):
            self.files.insert(rng.randrange(len(self.files)), file)

    @cached_property
    def counted(self) -> Recount:
        """Return what the oracle counts."""
        posted = [file for batch in self.batches for file in batch.files()]
        return recount([*self.files, *posted], self.zones)

    def register(self) -> Election:
        """Create the election, its regions and its constituencies."""
        election = Election.objects.create(
            slug=SLUG, name=SLUG, timezone="UTC", export_timezone="UTC"
        )
        for zone in ZONES:
            Region.objects.create(code=zone, name=zone, timezone=zone)
        drafts = [
            ConstituencyDraft(contract_id, region_code=zone.key)
            for contract_id, zone in self.zones.items()
        ]
        RegistryService().register(drafts, election=election)
        return election

    def publish(self, folder: Path, *, share: float) -> None:
        """Write the first files and batches, up to this share of them."""
        for number, file in enumerate(self.files[: round(share * len(self.files))]):
            _write(folder / "published" / f"{number:05}" / file.name, content(file))
        for number, batch in enumerate(
            self.batches[: round(share * len(self.batches))]
        ):
            rows = orjson.dumps(batch.rows)
            _write(folder / "posted" / f"{number:05}.json", rows)

    def _hour_files(
        self, starts: list[datetime], size: Size, rng: random.Random
    ) -> list[File]:
        """Return every version of every hour, nearly in the order of publication."""
        dated = []
        for place, start in enumerate(starts):
            for one in self.contracts:
                versions = _versions(one.hour(start), size.versions, rng)
                for version, lines in enumerate(versions):
                    when = place + version / size.versions + rng.uniform(0, 0.7)
                    dated.append((when, _hour_file(one.id, start, lines)))
        return [file for _, file in sorted(dated, key=lambda pair: pair[0])]

    def _dumps(self, rng: random.Random) -> list[File]:
        chosen = rng.sample(self.contracts, len(self.contracts) // 4)
        return [
            File(f"{one.id}_dump.csv", one.id, None, list(one.told)) for one in chosen
        ]

    def _batch(self, start: datetime, rng: random.Random) -> Batch:
        """Return votes of several constituencies, some of which hour files have too."""
        batch = Batch([], {})
        for one in rng.sample(self.contracts, min(4, len(self.contracts))):
            ballots = [one.ballot(start) for _ in range(rng.randint(1, 3))]
            lines = [vote(tx_id, ms, key=key) for tx_id, ms, key in ballots]
            batch.lines[one.id] = lines
            batch.rows.extend(_row(one.id, *ballot) for ballot in ballots)
        return batch

    def _copies(self, rng: random.Random) -> list[File]:
        """Return hour files of some of what is posted as well."""
        posted = [pair for batch in self.batches for pair in batch.lines.items()]
        chosen = rng.sample(posted, len(posted) // 2)
        # In hours that no other file is of.
        day = datetime(2026, 1, 1, tzinfo=UTC)
        return [
            _hour_file(contract_id, day + number * ONE_HOUR, lines)
            for number, (contract_id, lines) in enumerate(chosen)
        ]


def _versions(lines: list[bytes], count: int, rng: random.Random) -> list[list[bytes]]:
    """Return a file as it grows; the last version lacks a row now and then."""
    cuts = sorted(rng.randint(1, len(lines)) for _ in range(count - 1))
    versions = [lines[:cut] for cut in cuts] + [list(lines)]
    if rng.random() < 0.15:
        gone = rng.choice(lines)
        versions.append([line for line in lines if line != gone])
    return versions


def _hour_file(contract_id: str, start: datetime, lines: list[bytes]) -> File:
    label = f"{start:%Y-%m-%d_%H%M}-{start + ONE_HOUR:%H%M}"
    return File(f"{contract_id}_{label}.csv", contract_id, start, lines)


def _row(contract_id: str, tx_id: str, ms: int, key: str) -> dict[str, object]:
    return {
        "constituency": contract_id,
        "tx_id": tx_id,
        "timestamp": ms,
        "operation": "vote_cast",
        "sender": key,
    }


def _write(path: Path, text: bytes) -> None:
    """Write a file so that nobody sees half of it."""
    whole = path if path.suffix == ".json" else path.parent
    if whole.exists():
        return
    # Hidden, and beside: the folder appears with its file in it.
    scratch = whole.parent.parent / f"new-{whole.name}"
    whole.parent.mkdir(exist_ok=True)
    if whole is path:
        scratch.write_bytes(text)
    else:
        scratch.mkdir()
        (scratch / path.name).write_bytes(text)
    scratch.rename(whole)
