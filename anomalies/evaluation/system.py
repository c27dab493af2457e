"""S03 to S05, S16 and S17 on simulated elections: what strikes many at once."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from anomalies.evaluation.cases import Calm, Case, at_usual_q
from anomalies.evaluation.effects import ELECTIONS
from anomalies.evaluation.worlds import SERIES, Election, Laboratory
from anomalies.rules.casting import CastOutage, cast_outages
from anomalies.rules.counts import Floats
from anomalies.rules.jumps import BIN_MINUTES, BINS, jumps
from anomalies.rules.panels import Ints, Truths
from anomalies.rules.system import dispersion_shock, regional_sync, total_flow
from anomalies.rules.verdicts import Series
from transactions.simulator.times import MINUTE

REGION_RISES, PEERS_RISES = (0.25, 0.50), (0.50, 1.0)
PEER_SHARE = 0.35
# A drop of all, and a rise, in one hour.
TOTAL_FACTORS = (0.5, 2.0)
OUTAGE_HOURS = 3
BIN = BIN_MINUTES * MINUTE
# What those of September 2026 had more than the five minutes before.
JUMPS_2026 = (0.75, 1.10)
FIRST_DAY, LATER_DAYS = "first day", "later days"
DAY = 24
DAYS = 3
SECOND_DAY, THIRD_DAY = "second day", "third day"
# Hours from the opening in which something may happen.
DAYTIME = range(1, 9)


class SystemJudge:
    """Judges the elections of one laboratory by the rules that look at all at once."""

    def __init__(self, laboratory: Laboratory) -> None:
        self.laboratory, self.clean = laboratory, laboratory.clean

    def calm(self) -> Iterator[Calm]:
        """Tell how many hours each rule reports in an election where nothing happened."""
        cast = Series(self.clean.panels[SERIES[1]])
        total = total_flow(cast.panel)
        shock = dispersion_shock(cast.flow, cast.panel)
        events = {
            "S03": int(total.is_flagged.sum()),
            "S04": int(self._is_region_flagged(cast).any(axis=0).sum()),
            "S05": int(shock.is_flagged.sum()),
            "S16": len(_outages(self.clean)),
            "S17": self._false_jumps(),
        }
        for rule, number in events.items():
            preset, false = self.laboratory.preset, at_usual_q(number)
            yield Calm(preset, rule, ELECTIONS, places=1, judged=1, false=false)

    @cached_property
    def _bins(self) -> dict[str, Floats]:
        """Return both series of the whole election per five minutes."""
        hours = self.clean.panels[SERIES[0]].counts.shape[1]
        return {name: _five_minutes(self.clean, name, hours) for name in SERIES}

    def _jumps(self, bins: dict[str, Floats]) -> list[int]:
        """Return the five minutes at which S17 reports a jump."""
        panel = self.clean.panels[SERIES[0]]
        return [event[0].place for event in jumps(bins, panel)]

    def _false_jumps(self) -> int:
        generated = self._generated_jumps()
        found = self._jumps(self._bins)
        return sum(not _is_near(place, generated) for place in found)

    def _generated_jumps(self) -> list[int]:
        """Return the five minutes in which every election of the generator has a jump."""
        world = self.laboratory.world
        return [(start - world.first_hour_ms) // BIN for start, _ in world.jumps]

    def _jump_cases(self, rng: np.random.Generator) -> Iterator[Case]:
        found = self._jumps(self._bins)
        for place in self._generated_jumps():
            yield self._jump_case("+39 to 57 % in five minutes", place, found)
        for day in range(DAYS):
            hour = self._opens + DAY * day + int(rng.choice(DAYTIME))
            place = hour * BINS + int(rng.integers(BINS))
            rise = rng.uniform(*JUMPS_2026)
            bins = {name: counts.copy() for name, counts in self._bins.items()}
            for counts in bins.values():
                counts[place] = np.rint(counts[place] * (1 + rise))
            what = "+75 to 110 % in five minutes, as in 2026"
            yield self._jump_case(what, place, self._jumps(bins))

    def _jump_case(self, what: str, place: int, found: list[int]) -> Case:
        is_first = place < (self._opens + DAY) * BINS
        size = FIRST_DAY if is_first else LATER_DAYS
        delay = 0 if _is_near(place, found) else None
        return Case(self.laboratory.preset, "S17", what, size, delay)

    def _total_cases(self, rng: np.random.Generator) -> Iterator[Case]:
        """Change the votes of all in an hour of each day that has one before it."""
        everybody = np.arange(len(self.clean.panels[SERIES[1]].counts))
        for day, size in enumerate((SECOND_DAY, THIRD_DAY), 1):
            hour = self._opens + DAY * day + int(rng.choice(DAYTIME))
            for factor in TOTAL_FACTORS:
                cast = self._raised(factor - 1, everybody, hour)
                change = f"{100 * (factor - 1):+.0f} %".replace("-", "−")
                is_found = bool(total_flow(cast.panel).is_flagged[hour])
                what, delay = f"{change} everywhere", 0 if is_found else None
                yield Case(self.laboratory.preset, "S03", what, size, delay)

    def cases(self) -> Iterator[Case]:
        """Strike a region, the peers, and the whole platform, on each day."""
        yield from self._jump_cases(self.laboratory.rng(17))
        yield from self._total_cases(self.laboratory.rng(3))
        rng = self.laboratory.rng(4)
        for day in range(DAYS):
            hour = self._opens + DAY * day + int(rng.choice(DAYTIME))
            size = LATER_DAYS if day else FIRST_DAY
            for rule, what, is_found in self._struck(hour, rng):
                delay = 0 if is_found else None
                yield Case(self.laboratory.preset, rule, what, size, delay)

    @property
    def _opens(self) -> int:
        """Return the column in which voting opens where most vote."""
        return int(self._largest(self.clean.panels[SERIES[0]].opens))

    def _largest(self, numbers: Ints) -> int:
        found, sizes = np.unique(numbers, return_counts=True)
        return int(found[sizes.argmax()])

    def _struck(
        self, hour: int, rng: np.random.Generator
    ) -> Iterator[tuple[str, str, bool]]:
        """Yield rule, injection, and whether the rule found it in its hour."""
        panel = self.clean.panels[SERIES[0]]
        is_peer = panel.opens == self._opens
        regions = self.laboratory.regions
        region = self._largest(regions[is_peer])
        for rise in REGION_RISES:
            cast = self._raised(rise, np.flatnonzero(regions == region), hour)
            is_named = bool(self._is_region_flagged(cast)[region, hour])
            yield "S04", f"+{100 * rise:.0f} % in one region", is_named
        chosen = rng.permutation(np.flatnonzero(is_peer))
        chosen = chosen[: round(PEER_SHARE * len(chosen))]
        for rise in PEERS_RISES:
            cast = self._raised(rise, chosen, hour)
            shock = dispersion_shock(cast.flow, cast.panel)
            is_found = bool(shock.is_flagged[hour])
            yield "S05", f"+{100 * rise:.0f} % at 35 % of the peers", is_found
        for is_delivered, what in (
            (True, "come in the hour after"),
            (False, "are lost"),
        ):
            outages = _outages(self._without_votes(hour, is_delivered=is_delivered))
            is_found = any(
                found.start < hour + OUTAGE_HOURS and found.end >= hour
                for found in outages
            )
            yield "S16", f"votes of 3 hours {what}", is_found

    def _is_region_flagged(self, cast: Series) -> Truths:
        regions = self.laboratory.regions
        return regional_sync(cast.flow, cast.panel, regions=regions).is_flagged

    def _raised(self, rise: float, rows: Ints, hour: int) -> Series:
        """Return the votes with more in one hour, as far as registers go."""
        panel = self.clean.panels[SERIES[1]]
        counts, issued = panel.counts.copy(), self.clean.panels[SERIES[0]].counts
        more = np.rint(rise * counts[rows, hour])
        idle = np.maximum(panel.voters[rows] - issued[rows].sum(axis=1), 0)
        counts[rows, hour] += np.minimum(more, idle).astype(np.int64)
        return Series(replace(panel, counts=counts))

    def _without_votes(self, start: int, *, is_delivered: bool) -> Election:
        """Accept no votes for three hours; they come in the hour after, or never."""
        counts = {name: panel.counts for name, panel in self.clean.panels.items()}
        end = start + OUTAGE_HOURS
        cast = counts[SERIES[1]].copy()
        if is_delivered:
            cast[:, end] += cast[:, start:end].sum(axis=1)
        cast[:, start:end] = 0
        return self.clean.with_counts({**counts, SERIES[1]: cast}, ())


def _is_near(place: int, places: list[int]) -> bool:
    return any(abs(place - other) <= 1 for other in places)


def _five_minutes(election: Election, series: str, hours: int) -> Floats:
    """Return the ballots of all constituencies together, per five minutes."""
    found = np.zeros(hours * BINS)
    for acts in election.acts.values():
        place = acts[series].ms // BIN
        is_inside = (place >= 0) & (place < len(found))
        found += np.bincount(
            place[is_inside], acts[series].ballots[is_inside], len(found)
        )
    return found


def _outages(election: Election) -> list[CastOutage]:
    issued, cast = (election.panels[name].known_counts.sum(axis=0) for name in SERIES)
    return cast_outages(issued, cast)
