"""S06 to S09 as findings: what the hours of an election have inside."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np

from anomalies.rules.counts import Floats, poisson_upper
from anomalies.rules.episodes import (
    LONGEST_GAP,
    WARNING_EFFECT,
    Episode,
    Excesses,
    hour_excesses,
)
from anomalies.rules.findings import Finding, Severity, Unverifiable
from anomalies.rules.panels import Ints
from anomalies.rules.verdicts import Test
from anomalies.rules.within import (
    LARGEST_SHARED,
    Evenness,
    Moments,
    Run,
    Silences,
    bursts,
    equal_runs,
    even_gaps,
    evenness,
    gap_limits,
    shared_share,
    silences,
)
from anomalies.services.evidence import software
from anomalies.services.statistical.family import Family, Judged

WITHIN = ("S06", "S07", "S08", "S09")


class WithinRules(Family):
    """Judges both series of an election by their moments."""

    rules = WITHIN

    @property
    def is_blind(self) -> bool:
        """Tell whether what lies inside the hours was not counted."""
        return self.observed.moments is None

    @property
    def moments(self) -> Mapping[str, Moments]:
        """Return what lies inside the hours, of both series."""
        return self.observed.moments or {}

    @cached_property
    def shared(self) -> float:
        """Return the share of time stamps that two acts of a contract have."""
        return shared_share(*self.moments.values())

    @property
    def is_by_blocks(self) -> bool:
        """Tell whether time stamps are those of blocks: they say nothing of acts then."""
        return self.shared >= LARGEST_SHARED

    @cached_property
    def evenness(self) -> dict[str, Evenness]:
        """Return S06 of both series."""
        return {
            name: evenness(moments, self.series[name].panel)
            for name, moments in self.moments.items()
        }

    @cached_property
    def silences(self) -> dict[str, Silences]:
        """Return S09 of both series."""
        return {
            name: silences(moments, self.series[name].flow, self.series[name].panel)
            for name, moments in self.moments.items()
        }

    def tests(self, rule: str) -> dict[Test, Floats]:
        """Return the tests that join the score, of S06 and S08."""
        if rule == "S06":
            return {Test(rule, name): even.p for name, even in self.evenness.items()}
        if rule == "S08" and not self.is_by_blocks:
            return {
                Test(rule, name): bursts(moments, self.series[name].panel)
                for name, moments in self.moments.items()
            }
        return {}

    def unverifiable(self, rule: str) -> Iterator[Unverifiable]:
        """Return the rules that cannot do with the time stamps of the election."""
        if rule in {"S07", "S08"} and self.is_by_blocks:
            yield Unverifiable(
                rule=rule, constituency=None, reason="time_stamps_shared"
            )

    def findings(self, rule: str, judged: Judged) -> Iterator[Finding]:
        """Return what the rule reports."""
        if rule == "S06":
            yield from self._even(judged)
        elif rule == "S08" and not self.is_by_blocks:
            yield from self._bursts(judged)
        elif rule == "S07":
            yield from self._runs()
            if not self.is_by_blocks:
                yield from self._gaps()
        elif rule == "S09":
            yield from self._silences()

    def _even(self, judged: Judged) -> Iterator[Finding]:
        for name, even in self.evenness.items():
            test = Test("S06", name)
            hours = np.arange(self.panels.columns)
            lengths = np.asarray(even.windows)[even.strongest]
            windows = Excesses(
                np.ones(even.p.shape), np.maximum(hours + 1 - lengths, 0)
            )
            for episode in judged.episodes(test, windows):
                yield self._even_finding(name, even, episode, judged)

    def _even_finding(
        self, name: str, even: Evenness, episode: Episode, judged: Judged
    ) -> Finding:
        row, test = episode.constituency, Test("S06", name)
        worst = judged.worst(test, episode)
        at = (even.strongest[row, worst], row, worst)
        index = float(even.dispersion[at] / even.freedom[at])
        hours = slice(episode.since, episode.until + 1)
        ballots = float(np.nansum(self.moments[name].ballots[row, hours]))
        regular = max(0.0, 1 - index)
        return self.finding(
            "S06",
            row,
            episode.since,
            episode.until,
            severity=self._severity(row, regular * ballots),
            statistic=index,
            **judged.at(test, row, worst),
            evidence={
                "series": name,
                "method": "p of a window: lower tail of chi-square at D, the sum over "
                "blocks of ten minutes of (x - mean)^2 / mean of ballots a minute; "
                "p: Cauchy combination of the windows, each at most .99",
                "hour": self.hour(worst).isoformat(),
                "windows": [
                    {
                        "hours": length,
                        "D": float(even.dispersion[place, row, worst]),
                        "df": float(even.freedom[place, row, worst]),
                        "p": float(even.p_by_window[place, row, worst]),
                    }
                    for place, length in enumerate(even.windows)
                ],
                "ballots": ballots,
                # Of a Poisson flow with an even one in it, D / df is the share of the first.
                "regular_share": regular,
                **judged.tick(worst),
            },
        )

    def _bursts(self, judged: Judged) -> Iterator[Finding]:
        for name, moments in self.moments.items():
            test = Test("S08", name)
            beyond = moments.burst_acts - moments.burst_rate
            for episode in judged.episodes(test, hour_excesses(beyond)):
                row, worst = episode.constituency, judged.worst(test, episode)
                acts = float(moments.burst_acts[row, worst])
                rate = float(moments.burst_rate[row, worst])
                yield self.finding(
                    "S08",
                    row,
                    episode.since,
                    episode.until,
                    severity=self._severity(row, acts),
                    statistic=acts,
                    **judged.at(test, row, worst),
                    excess=acts - rate,
                    evidence={
                        "series": name,
                        "method": "p = 1 - (1 - P(Poisson(lambda) >= k))^3600, lambda: "
                        "the largest of the rates per second of the minute, of the ten "
                        "minutes around and of the hour, without the second itself, "
                        "one more",
                        "hour": self.hour(worst).isoformat(),
                        "second": int(moments.burst_second[row, worst]),
                        "k": acts,
                        "lambda": rate,
                        "second_p": float(poisson_upper(acts, rate)),
                        "in_one_millisecond": int(moments.in_moment[row, worst]),
                        "acts": float(moments.acts[row, worst]),
                        "time_stamps_shared": self.shared,
                        **judged.tick(worst),
                    },
                )

    def _runs(self) -> Iterator[Finding]:
        for name, series in self.series.items():
            for run in equal_runs(series.panel):
                yield self._run(name, run)

    def _run(self, name: str, run: Run) -> Finding:
        return self._info(
            name,
            run.row,
            np.array([run.start, run.end]),
            statistic=float(run.end - run.start + 1),
            p=run.p,
            shown={
                "method": "p: sum over all k of P(Poisson(count) = k)^hours",
                "count": run.count,
                "equal_hours": run.end - run.start + 1,
            },
        )

    def _gaps(self) -> Iterator[Finding]:
        for name, moments in self.moments.items():
            flagged = even_gaps(moments, self.series[name].panel)
            limits = gap_limits(moments)
            for row in np.flatnonzero(flagged.any(axis=1)).tolist():
                for hours in _together(np.flatnonzero(flagged[row])):
                    yield self._gap_finding(name, row, hours, limits)

    def _gap_finding(self, name: str, row: int, hours: Ints, limits: Floats) -> Finding:
        moments = self.moments[name]
        shown = [
            {
                "hour": self.hour(hour).isoformat(),
                "gaps": int(moments.acts[row, hour] - 1),
                "variation": float(moments.gap_variation[row, hour]),
                "limit": float(limits[row, hour]),
            }
            for hour in hours.tolist()
        ]
        return self._info(
            name,
            row,
            hours,
            statistic=float(moments.gap_variation[row, hours].min()),
            shown={
                "method": "standard deviation by mean of the gaps, 1 for a Poisson "
                "flow; limit: 1 - 4 / sqrt(gaps)",
                "hours": shown,
            },
        )

    def _info(
        self,
        name: str,
        row: int,
        hours: Ints,
        *,
        statistic: float,
        shown: dict[str, Any],
        p: float | None = None,
    ) -> Finding:
        return self.finding(
            "S07",
            row,
            int(hours[0]),
            int(hours[-1]),
            severity=Severity.INFO,
            statistic=statistic,
            p=p,
            evidence={"series": name, **shown, "software": software()},
        )

    def _silences(self) -> Iterator[Finding]:
        for name, found in self.silences.items():
            of_all = found.is_of_all
            for hour in np.flatnonzero(of_all):
                yield self._silence_of_all(name, found, int(hour))
            for row, hour in np.argwhere(found.is_flagged & ~of_all):
                yield self._silence(name, found, int(row), int(hour))

    def _silence(self, name: str, found: Silences, row: int, hour: int) -> Finding:
        moments = self.moments[name]
        expected, gap_ms = (
            float(figures[row, hour])
            for figures in (found.expected, moments.longest_gap_ms)
        )
        since = self.hour(hour) + timedelta(
            milliseconds=float(moments.longest_gap_start_ms[row, hour])
        )
        missing = expected * gap_ms / 3_600_000
        return self.finding(
            "S09",
            row,
            hour,
            hour,
            severity=self._severity(row, missing),
            statistic=float(found.number[row, hour]),
            excess=-missing,
            evidence={
                "series": name,
                "method": "number = (r + 1) (1 + v r T)^(-1 / v), r: acts expected in the "
                "hour, T: gap in hours, v: spread",
                "expected": expected,
                "spread": float(found.spread[row, hour]),
                "acts": float(moments.acts[row, hour]),
                "gap_seconds": gap_ms / 1000,
                # To the minute: when a single ballot came is nobody's business.
                "gap_from": since.replace(second=0, microsecond=0).isoformat(),
                "number": float(found.number[row, hour]),
                "software": software(),
            },
        )

    def _silence_of_all(self, name: str, found: Silences, hour: int) -> Finding:
        gaps = self.moments[name].longest_gap_ms
        silent = found.is_flagged[:, hour]
        return self.finding(
            "S09",
            None,
            hour,
            hour,
            statistic=float(np.count_nonzero(silent)),
            evidence={
                "series": name,
                "silent": int(np.count_nonzero(silent)),
                "judged": int(np.count_nonzero(~np.isnan(found.number[:, hour]))),
                "median_gap_seconds": float(np.median(gaps[silent, hour])) / 1000,
                "software": software(),
            },
        )

    def _severity(self, row: int, ballots: float) -> Severity:
        """Return a warning where so many would be missed in a result."""
        voters = float(next(iter(self.series.values())).panel.voters[row])
        # Of a register that nobody knows (NaN) no part can be told.
        is_notable = ballots >= WARNING_EFFECT * voters
        return Severity.WARNING if is_notable else Severity.INFO


def _together(hours: Ints) -> list[Ints]:
    """Split hours where more than two calm ones lie between."""
    return np.split(hours, np.flatnonzero(np.diff(hours) > LONGEST_GAP + 1) + 1)
