"""What is asked of the simulator."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from transactions.simulator.kinds import DEFAULT_FAULTS, Injection, checked_faults

# Median and sigma of the lognormal size of a district (DOMAIN 6.1).
PRESETS = {"september": (250.0, 1.3), "federal": (350.0, 1.95)}
SMALLEST_DISTRICT, LARGEST_DISTRICT = 1, 150_000
MAIN_ZONE = "Europe/Moscow"
# The opening of the federal vote whose curve is used; fixed, so that a seed is enough.
DEFAULT_START = datetime(2026, 9, 18, 8)  # noqa: DTZ001 - wall clock of every region
MOST_DAYS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionPlan:
    """An election to simulate; two equal plans give the same bytes.

    `start` is the opening on the wall clock of the main zone (an aware instant is
    converted to it); every region opens at that wall-clock time of its own zone and
    closes 12 hours later, `days` - 1 days on. With `timezone` all regions use that zone.
    `transactions` scales the electorates until about so many rows come out.

    Raises:
        ValueError: a figure or a word makes no sense; says which.
    """

    slug: str
    name: str
    constituencies: int
    transactions: int | None = None
    days: int = 3
    start: datetime | None = None
    timezone: str | None = None
    seed: int = 0
    preset: str = "september"
    injections: tuple[Injection, ...] = ()
    faults: frozenset[str] = DEFAULT_FAULTS

    def __post_init__(self) -> None:
        _require(
            self.constituencies >= 1, "An election needs at least one constituency."
        )
        _require(
            1 <= self.days <= MOST_DAYS, f"Days must lie between 1 and {MOST_DAYS}."
        )
        _require(self.seed >= 0, "The seed must not be negative.")
        _require(
            self.transactions is None or self.transactions >= 1,
            "The number of transactions must be at least 1.",
        )
        _require(
            self.preset in PRESETS,
            f"Unknown preset {self.preset!r}. Presets: {', '.join(PRESETS)}.",
        )
        _require(
            self.days > 1 or all(item.kind != "night" for item in self.injections),
            "The injection night needs a vote of at least two days.",
        )
        checked_faults(self.faults)
        _zone(self.timezone or MAIN_ZONE)

    @property
    def opening(self) -> datetime:
        """Return the wall-clock time at which every region opens, without a zone."""
        if self.start is None:
            return DEFAULT_START
        if self.start.tzinfo is None:
            return self.start
        main = _zone(self.timezone or MAIN_ZONE)
        return self.start.astimezone(main).replace(tzinfo=None)


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"Unknown time zone {name!r}; give one like {MAIN_ZONE}."
        ) from None
