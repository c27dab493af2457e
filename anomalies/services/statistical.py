"""The statistical rules, held against the flow of one election."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from anomalies.rules.casting import cast_outages
from anomalies.rules.counts import Floats
from anomalies.rules.episodes import (
    WARNING_Q,
    Episode,
    catch_ups,
    episodes,
    flow_excesses,
    gap_excesses,
    night_excesses,
    severity,
)
from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.panels import Ints, Panel
from anomalies.rules.shares import Shares, abandonment, turnout
from anomalies.rules.system import dispersion_shock, regional_sync, total_flow
from anomalies.rules.verdicts import (
    Series,
    Test,
    anomaly_scores,
    constituency_p,
    false_discovery,
)
from anomalies.rules.within import Moments
from anomalies.services.evidence import (
    flow_evidence,
    gap_evidence,
    night_evidence,
    number,
    software,
)
from anomalies.services.panels import FOREVER, Panels
from anomalies.services.within import WITHIN, Levels, WithinHours

ISSUED, CAST = "bulletins_issued", "votes_cast"
BOTH = "both"
CAUGHT_UP = (
    "Caught up: with what came afterwards, nothing is missing and nothing too many."
)
ARRIVE_AGAIN = (
    "Votes arrive again; {returned:,.0f} of {missing:,.0f} missing ones came in the hour "
    "after."
)

# Percentage points that nobody would look for in a result are for information.
NOTABLE_POINTS = 0.5

Evidence = Callable[[Panels, Series, str, int, int], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Terms:
    """Which rules are off in an election, and the share of chance of the others."""

    off: frozenset[str] = frozenset()
    q: Mapping[str, float] | None = None

    def level(self, rule: str) -> float:
        """Return the largest q that the rule reports."""
        return (self.q or {}).get(rule, WARNING_Q)


class StatisticalRules:
    """Judges all hours of an election at once: no hour knows of a later one."""

    def __init__(
        self,
        panels: Panels,
        *,
        election_id: int,
        terms: Terms | None = None,
        moments: Mapping[str, Moments] | None = None,
    ) -> None:
        self.panels, self.election_id = panels, election_id
        self.terms = terms or Terms()
        # None: nobody knows what lies inside the hours, and S06 to S09 say nothing.
        self.moments = moments

    @cached_property
    def series(self) -> dict[str, Series]:
        """Return both series with the rules of flow applied."""
        return {
            name: Series.judged(panel) for name, panel in self.panels.panels.items()
        }

    @cached_property
    def within(self) -> WithinHours | None:
        """Return the rules that look inside the hours; None without moments."""
        if self.moments is None:
            return None
        return WithinHours(
            self.panels,
            self.series,
            self.moments,
            election_id=self.election_id,
            off=self.terms.off,
        )

    @property
    def issued(self) -> Panel:
        """Return the bulletins."""
        return self.panels.panels[ISSUED]

    @cached_property
    def shares(self) -> dict[str, Shares]:
        """Return what is not cast, and the turnout, up to the last hour."""
        issued, cast = (self._so_far(name) for name in (ISSUED, CAST))
        among = {
            "groups": self.issued.groups,
            "electorates": self.issued.electorates,
        }
        return {
            "S11": abandonment(issued=issued, cast=cast, **among),
            "S12": turnout(
                cast=cast, voters=self.issued.voters, elapsed=self._elapsed, **among
            ),
        }

    def _so_far(self, name: str) -> Floats:
        """Return the ballots up to the last hour; NaN where an hour is not known."""
        panel = self.panels.panels[name]
        hours = np.arange(panel.counts.shape[1])
        is_due = (hours >= panel.opens[:, None]) & (hours <= panel.closes[:, None])
        is_complete = (panel.is_known | ~is_due).all(axis=1)
        return np.where(is_complete, panel.counts.sum(axis=1), np.nan)

    @property
    def _elapsed(self) -> Floats:
        """Return the part of the time of voting that is over; 0 where nobody tells."""
        panel = self.issued
        length = panel.closes - panel.opens + 1
        over = self.panels.columns - panel.opens
        is_told = panel.closes < FOREVER
        part: Floats = np.where(is_told, over / np.maximum(length, 1), 0.0)
        return np.clip(part, 0.0, 1.0)

    @cached_property
    def tests(self) -> dict[Test, Floats]:
        """Return the tests of all rules that are on."""
        found: dict[Test, Floats] = {}
        for name, series in self.series.items():
            found |= series.tests(name)
        for rule, shares in self.shares.items():
            p = np.full(self.issued.counts.shape, np.nan)
            p[:, -1] = shares.p
            found[Test(rule, BOTH)] = p
        if self.within:
            found |= self.within.tests()
        return {test: p for test, p in found.items() if test.rule not in self.terms.off}

    @cached_property
    def q(self) -> dict[Test, Floats]:
        """Return q of each test, among all of its hour."""
        return false_discovery(self.tests)

    @property
    def test_count(self) -> int:
        """Return the number of tests of the last hour."""
        return int(self._test_counts[-1])

    @cached_property
    def _test_counts(self) -> Ints:
        counts = [np.zeros(self.panels.columns, dtype=np.int64)]
        counts += [np.count_nonzero(~np.isnan(p), axis=0) for p in self.tests.values()]
        return np.asarray(np.sum(counts, axis=0), dtype=np.int64)

    @cached_property
    def p(self) -> Floats:
        """Return one p-value per constituency."""
        if not self.tests:
            return np.full(len(self.panels.ids), np.nan)
        return constituency_p(self.tests)

    @property
    def scores(self) -> Floats:
        """Return the score of each constituency; NaN where there was no test."""
        return anomaly_scores(self.p)

    def flagged_rules(self) -> Ints:
        """Return how many rules report each constituency and hour."""
        counts = np.zeros(self.issued.counts.shape, dtype=np.int64)
        for rule in {test.rule for test in self.q}:
            of_rule = [q for test, q in self.q.items() if test.rule == rule]
            counts += (np.stack(of_rule) <= self.terms.level(rule)).any(axis=0)
        return counts

    def findings(self) -> Iterator[Finding]:
        """Yield what the rules report, of constituencies and of the whole election."""
        for name, series in self.series.items():
            yield from self._of_series(name, series)
        yield from self._of_shares()
        yield from self._of_all()
        if self.within:
            reported = {rule: self.terms.level(rule) for rule in WITHIN}
            yield from self.within.findings(Levels(self.q, self.tests, reported))

    def unverifiable(self) -> Iterator[Unverifiable]:
        """Yield the constituencies of which rules could say nothing in the last hour."""
        flow, is_open = self.series[ISSUED].flow, self.issued.is_open
        for row in np.flatnonzero(is_open[:, -1] & np.isnan(flow.p[:, -1])):
            yield Unverifiable(
                rule="S01", constituency=int(self.panels.ids[row]), reason="no_peers"
            )
        for rule, shares in self.shares.items():
            for row in np.flatnonzero(np.isnan(shares.p)):
                yield Unverifiable(
                    rule=rule,
                    constituency=int(self.panels.ids[row]),
                    reason="not_comparable",
                )
        if self.within:
            yield from self.within.unverifiable()

    def _of_series(self, name: str, series: Series) -> Iterator[Finding]:
        first_clock = series.panel.first_clock
        flows = self._episodes("S01", name, flow_excesses(series.flow))
        for episode in catch_ups(flows, series.flow.sums):
            yield self._finding(episode, name, series, flow_evidence)
        nights = self._episodes("S02", name, night_excesses(series.flow, first_clock))
        for episode in nights:
            yield self._finding(episode, name, series, night_evidence)
        for episode in self._episodes("S15", name, gap_excesses(series.gaps)):
            yield self._finding(episode, name, series, gap_evidence)

    def _episodes(self, rule: str, name: str, excesses: Any) -> list[Episode]:
        if rule in self.terms.off:
            return []
        q = self.q[Test(rule, name)]
        return episodes(rule=rule, q=q, excesses=excesses, level=self.terms.level(rule))

    def _finding(
        self, episode: Episode, name: str, series: Series, evidence: Evidence
    ) -> Finding:
        row, test = episode.constituency, Test(episode.rule, name)
        hours = np.arange(episode.start, episode.end + 1)
        worst = int(hours[np.nanargmin(self.q[test][row, hours])])
        voters = float(series.panel.voters[row])
        shown = evidence(self.panels, series, name, row, worst)
        if episode.joint is not None:
            shown["catch_up"] = {
                "counted": episode.joint.counted,
                "expected": episode.joint.expected,
                "p": episode.joint.p,
                "is_catch_up": episode.is_catch_up,
            }
        return Finding(
            rule=episode.rule,
            election=self.election_id,
            constituency=int(self.panels.ids[row]),
            started_hour=self.panels.hour(episode.since),
            ended_hour=self.panels.hour(episode.until),
            severity=severity(episode, voters=voters),
            statistic=_strongest(series, row, worst) if episode.rule == "S01" else None,
            p=float(self.tests[test][row, worst]),
            q=float(self.q[test][row, worst]),
            excess=episode.excess,
            closed=CAUGHT_UP if episode.is_catch_up else "",
            evidence=shown | self._tick(worst),
        )

    def _tick(self, hour: int) -> dict[str, Any]:
        """Return what q was computed from, and with what."""
        return {"tests": int(self._test_counts[hour]), "software": software()}

    def _of_shares(self) -> Iterator[Finding]:
        last = self.panels.columns - 1
        for rule, shares in self.shares.items():
            if rule in self.terms.off:
                continue
            q = self.q[Test(rule, BOTH)][:, last]
            for row in np.flatnonzero(q <= self.terms.level(rule)):
                yield self._share(rule, shares, int(row), float(q[row]), last)

    def _share(
        self, rule: str, shares: Shares, row: int, q: float, last: int
    ) -> Finding:
        points = float(shares.points[row])
        hour = self.panels.hour(last)
        return Finding(
            rule=rule,
            election=self.election_id,
            constituency=int(self.panels.ids[row]),
            started_hour=hour,
            ended_hour=hour,
            severity=Severity.WARNING
            if abs(points) >= NOTABLE_POINTS
            else Severity.INFO,
            statistic=points,
            p=float(shares.p[row]),
            q=q,
            excess=float(shares.excess[row]),
            evidence={
                "method": "twice the smaller tail of a beta-binomial of these trials, "
                "rate and correlation rho",
                "successes": float(shares.successes[row]),
                "trials": float(shares.trials[row]),
                "rate": float(shares.rate[row]),
                "rho": float(shares.rho[row]),
                "lower": float(shares.lower[row]),
                "upper": float(shares.upper[row]),
                "points": points,
                **self._tick(last),
            },
        )

    def _of_all(self) -> Iterator[Finding]:
        """Yield what strikes many at once: never laid to a constituency."""
        series = self.series[CAST]
        if "S03" not in self.terms.off:
            # Of the hour in which voting ends only minutes are left.
            total = total_flow(replace(series.panel, closes=series.panel.closes - 1))
            for hour in np.flatnonzero(total.is_flagged):
                yield self._system(
                    "S03",
                    int(hour),
                    float(total.z[hour]),
                    float(total.counted[hour] - total.expected[hour]),
                    {
                        "counted": float(total.counted[hour]),
                        "expected": float(total.expected[hour]),
                    },
                )
        if "S04" not in self.terms.off:
            yield from self._regions(series)
        if "S16" not in self.terms.off:
            yield from self._outages()
        if "S05" not in self.terms.off:
            shock = dispersion_shock(series.flow, series.panel)
            for hour in np.flatnonzero(shock.is_flagged):
                yield self._system(
                    "S05",
                    int(hour),
                    float(shock.z[hour]),
                    None,
                    {
                        "compared": int(shock.compared[hour]),
                        "above_99": int(shock.above[hour]),
                        "above_99_p": float(shock.above_p[hour]),
                    },
                )

    def _outages(self) -> Iterator[Finding]:
        issued, cast = (
            self.panels.panels[name].known_counts.sum(axis=0) for name in (ISSUED, CAST)
        )
        for outage in cast_outages(issued, cast):
            closed = ARRIVE_AGAIN.format(
                returned=outage.returned, missing=outage.missing
            )
            yield Finding(
                rule="S16",
                election=self.election_id,
                constituency=None,
                started_hour=self.panels.hour(outage.start),
                ended_hour=self.panels.hour(outage.end),
                severity=Severity.WARNING,
                statistic=outage.cast / outage.issued,
                excess=-outage.missing,
                closed=closed if outage.is_over else "",
                evidence={**asdict(outage), "software": software()},
            )

    def _regions(self, series: Series) -> Iterator[Finding]:
        """Yield one finding per hour, with all regions that move in it."""
        sync = regional_sync(series.flow, series.panel, regions=self.panels.regions)
        for hour in np.flatnonzero(sync.is_flagged.any(axis=0)):
            places = np.flatnonzero(sync.is_flagged[:, hour])
            strongest = places[np.abs(sync.z[places, hour]).argmax()]
            regions = [
                {
                    "region": int(sync.regions[place]),
                    "districts": int(sync.members[place, hour]),
                    "z": float(sync.z[place, hour]),
                    "p": float(sync.p[place, hour]),
                }
                for place in places
            ]
            z = float(sync.z[strongest, hour])
            yield self._system("S04", int(hour), z, None, {"regions": regions})

    def _system(
        self,
        rule: str,
        hour: int,
        statistic: float,
        excess: float | None,
        shown: dict[str, Any],
    ) -> Finding:
        moment = self.panels.hour(hour)
        return Finding(
            rule=rule,
            election=self.election_id,
            constituency=None,
            started_hour=moment,
            ended_hour=moment,
            severity=Severity.WARNING,
            statistic=statistic,
            excess=excess,
            evidence={"series": CAST, **shown, "software": software()},
        )


def _strongest(series: Series, row: int, hour: int) -> float | None:
    """Return the score of the window that is the most surprising."""
    scores = series.flow.scores[:, row, hour]
    return number(scores[np.nanargmax(np.abs(scores))])
