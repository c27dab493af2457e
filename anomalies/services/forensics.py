"""What the results of polling stations say by themselves, rule by rule."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from anomalies.rules.counts import Floats
from anomalies.rules.digits import (
    last_digits,
    rounded_counts,
    rounded_turnout,
    second_digits,
)
from anomalies.rules.excess import densest_core, excess_votes
from anomalies.rules.fingerprint import mixture, moments, picture, shape
from anomalies.rules.identical import identical_values
from anomalies.rules.integers import (
    LARGEST_SCORE,
    IntegerExcess,
    IntegerFindings,
    integer_findings,
)
from anomalies.rules.protocol import ProtocolBreaks, protocol_breaks
from anomalies.rules.remote import RemoteGap, remote_gaps, two_ways
from anomalies.rules.stations import Stations
from anomalies.rules.turnout import turnout_correlation, turnout_correlations

INFO, WARNING, CRITICAL = "info", "warning", "critical"
# Half a per cent: fine enough to see peaks at integers.
BINS = 200
# Cells a side of the picture that people see; the model is fitted to a finer one.
CELLS = 20
# So many places are named; the number of all is told.
NAMED = 20

TOO_FEW = "Too few stations, or all alike: nothing can be told."
NO_SHAPE = "Too few stations, or most are not above 30 % of turnout and share."
NOT_TOLD = "Not tried: the columns do not tell it."

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What one rule says."""

    # Of ANOMALIES.md.
    code: str
    # `info`, `warning` or `critical`.
    severity: str
    # For the observer.
    sentence: str
    # For programs; None where the columns, or the stations, do not allow the rule.
    numbers: Json | None


@dataclass(frozen=True, slots=True)
class ForensicsReport:
    """All post-vote rules over one election."""

    # How many stations, voters, ballots and votes were read.
    totals: dict[str, int]
    findings: tuple[RuleReport, ...]
    # Regions that P01 and P02 name, and stations that H12 does.
    places: dict[str, list[Json]]
    # Numbers to draw, at most 400 each.
    charts: dict[str, Any]

    def as_json(self) -> Json:
        """Return it for programs: a key per rule, then what people read."""
        sentences = [
            {"code": each.code, "severity": each.severity, "sentence": each.sentence}
            for each in self.findings
        ]
        return {
            "totals": self.totals,
            **{each.code: each.numbers for each in self.findings},
            "findings": sentences,
            "places": self.places,
            "charts": self.charts,
        }

    @classmethod
    def from_json(cls, told: Json) -> "ForensicsReport":
        """Return the report that `as_json` told."""
        findings = tuple(
            RuleReport(numbers=told[each["code"]], **each) for each in told["findings"]
        )
        return cls(told["totals"], findings, told["places"], told["charts"])


def forensics(stations: Stations) -> ForensicsReport:
    """Apply P01 to P09 and H12.

    Statistical rules ask for a look and never accuse; only H12 is true or false. About 4 s
    for 95,000 stations on one core.
    """
    integers, breaks = integer_findings(stations), protocol_breaks(stations)
    return ForensicsReport(
        totals=_totals(stations),
        findings=(
            _integer_percentages(integers),
            _correlation(stations),
            _fingerprint(stations),
            _excess(stations),
            _last_digits(stations),
            _second_digits(stations),
            _rounded(stations),
            _remote_gap(stations),
            _identical(stations),
            _protocol(breaks),
        ),
        places=_places(stations, integers, breaks),
        charts=_charts(stations),
    )


def _totals(stations: Stations) -> dict[str, int]:
    names = ("voters", "given", "received", "leader")
    sums = {name: int(getattr(stations, name).sum()) for name in names}
    return {"stations": stations.size, **sums}


def _integer_percentages(found: IntegerFindings) -> RuleReport:
    either = found.national["any"]
    sentence = (
        f"{either.observed:,} of {either.stations:,} stations have an integer percentage "
        f"of turnout or of the leader's votes; {either.expected:,.0f} ± "
        f"{either.deviation:,.0f} are expected by chance (z {either.score:.1f})."
    )
    if not found.is_flagged and either.score > LARGEST_SCORE:
        sentence += " Stations are too small for a warning: there this is usual."
    named = sum(region.is_flagged for region in found.regions)
    if named:
        sentence += f" {named} of {len(found.regions)} regions stand out."
    numbers = {name: _excess_numbers(each) for name, each in found.national.items()}
    return RuleReport(
        "P01",
        WARNING if found.is_flagged else INFO,
        sentence,
        {**numbers, "flagged": found.is_flagged},
    )


def _excess_numbers(found: IntegerExcess) -> Json:
    return {
        "n": found.stations,
        "observed": found.observed,
        "expected": found.expected,
        "excess": found.excess,
        "sd": found.deviation,
        "z": found.score,
    }


def _correlation(stations: Stations) -> RuleReport:
    found = turnout_correlation(stations)
    if found is None:
        return RuleReport("P02", INFO, TOO_FEW, None)
    regions = turnout_correlations(stations)
    strong = sum(region.correlation.is_strong for region in regions)
    sentence = (
        f"Turnout and the leader's share: r {found.r:.2f}, {found.slope:.2f} points of "
        f"share per point of turnout. Strong within {strong} of {len(regions)} regions. "
        "Town and country differ in clean elections too."
    )
    numbers = {"n": found.stations, "r": found.r, "slope": found.slope}
    told = {**numbers, "regions": len(regions), "strong_regions": strong}
    return RuleReport("P02", WARNING if strong else INFO, sentence, told)


def _fingerprint(stations: Stations) -> RuleReport:
    found = shape(stations)
    if found is None:
        return RuleReport("P03", INFO, NO_SHAPE, None)
    mixed, logit = mixture(stations, found), moments(stations)
    sentence = (
        f"Most stations lie at turnout {found.tau:.1%} and share {found.nu:.1%}. The "
        f"picture is most like one with {mixed.f_i:.0%} of stations shifted to higher "
        f"turnout and share and {mixed.f_e:.1%} to nearly 100 %: right to ± 10 "
        "points at best, and only if places would not differ otherwise."
    )
    told = {**asdict(found), **asdict(mixed), "skewness": None, "kurtosis": None}
    return RuleReport(
        "P03", INFO, sentence, told | (asdict(logit) if logit is not None else {})
    )


def _excess(stations: Stations) -> RuleReport:
    found, core = excess_votes(stations), densest_core(stations)
    if found is None:
        return RuleReport("P04", INFO, TOO_FEW, None)
    sentence = (
        f"Above a turnout of {found.core_turnout} %, the leader has "
        f"{found.excess:,.0f} votes more than {found.ratio:.2f} per vote for others, the "
        "ratio at that turnout. Other variants of this method give other numbers."
    )
    if not found.has_clean_core:
        sentence += " There is no core at ordinary turnout, so they mean nothing here."
    told = {
        "core_turnout": found.core_turnout,
        "ratio": found.ratio,
        "excess": found.excess,
        "has_clean_core": found.has_clean_core,
        "densest_core": asdict(core) if core is not None else None,
    }
    return RuleReport("P04", INFO, sentence, told)


def _last_digits(stations: Stations) -> RuleReport:
    found = last_digits(stations.given)
    if found is None:
        return RuleReport("P05", INFO, TOO_FEW, None)
    sentence = (
        f"Last digits of ballots given out in {found.n:,} stations: χ² {found.chi2:.1f} "
        f"with nine degrees of freedom (p {found.p:.1e}). Finds little of what is there."
    )
    rounded = {"share": found.rounded.share, "z": found.rounded.score}
    told = {"n": found.n, "chi2": found.chi2, "p": found.p, "rounded": rounded}
    return RuleReport("P05", WARNING if found.is_flagged else INFO, sentence, told)


def _second_digits(stations: Stations) -> RuleReport:
    found = second_digits(stations.given)
    told = {"mean": found.mean, "z": found.score, "n": found.n}
    if found.mean is None:
        return RuleReport("P06", INFO, TOO_FEW, told)
    sentence = (
        f"Mean second digit of ballots given out: {found.mean:.3f}; Benford's law says "
        f"4.187 (z {found.score:.1f}). Tried on elections it was right “essentially "
        "equivalent to a toss of a coin”; nothing follows from it."
    )
    return RuleReport("P06", INFO, sentence, told)


def _rounded(stations: Stations) -> RuleReport:
    turnout, counts = rounded_turnout(stations), rounded_counts(stations.given)
    told = {
        "turnout": {"share": turnout.share, "n": turnout.n},
        "counts": {"share": counts.share, "n": counts.n},
    }
    if turnout.share is None or counts.share is None:
        return RuleReport("P07", INFO, TOO_FEW, told)
    sentence = (
        f"{turnout.share:.1%} of turnouts in whole per cent end in 0 or 5 "
        f"(z {turnout.score:.1f}), and {counts.share:.1%} of ballots given out "
        f"(z {counts.score:.1f}); by chance 20 %, but 100 % is a turnout of small places."
    )
    return RuleReport("P07", INFO, sentence, told)


def _remote_gap(stations: Stations) -> RuleReport:
    votes = two_ways(stations)
    if votes is None:
        return RuleReport("P08", INFO, NOT_TOLD, None)
    gaps = remote_gaps(votes)
    flips = sum(each.is_flipped for each in gaps)
    sentence = (
        f"In {flips} of {len(gaps)} constituencies somebody else had won without remote "
        "votes. Remote voters are other people; look at those far from the others."
    )
    told = [_gap_numbers(each, stations.party_names) for each in gaps]
    return RuleReport("P08", INFO, sentence, {"flips": flips, "constituencies": told})


def _gap_numbers(found: RemoteGap, parties: tuple[str, ...]) -> Json:
    return {
        "name": found.name,
        "winner": parties[found.winner],
        "paper_winner": parties[found.paper_winner],
        "is_flipped": found.is_flipped,
        "gap": found.gap,
        "z": found.score,
    }


def _identical(stations: Stations) -> RuleReport:
    found = identical_values(stations)
    if found is None:
        return RuleReport("P09", INFO, NOT_TOLD, None)
    sentence = (
        f"In {len(found)} cases a party has one or two votes in nearly every station of a "
        "commission, and hardly ever none."
    )
    cases = [asdict(each) for each in found[:NAMED]]
    return RuleReport("P09", INFO, sentence, {"cases": len(found), "first": cases})


def _protocol(found: ProtocolBreaks) -> RuleReport:
    told = {
        "given_gt_voters": found.given_gt_voters,
        "received_gt_given": found.received_gt_given,
        "leader_gt_received": found.leader_gt_received,
    }
    if not found.total:
        return RuleReport("H12", INFO, "All protocols add up.", told)
    sentence = (
        f"{found.total:,} protocols cannot be: {found.given_gt_voters:,} gave out more "
        f"ballots than people on the register (unless it grew on the day), "
        f"{found.received_gt_given:,} found more in the boxes than given out, "
        f"{found.leader_gt_received:,} have more votes for the leader than ballots."
    )
    return RuleReport("H12", CRITICAL, sentence, told)


def _places(
    stations: Stations, integers: IntegerFindings, breaks: ProtocolBreaks
) -> dict[str, list[Json]]:
    return {
        "P01": [
            {"region": each.name, "q": each.q, **_excess_numbers(each.excess)}
            for each in integers.regions
            if each.is_flagged
        ],
        "P02": [
            {
                "region": each.name,
                "n": each.correlation.stations,
                "r": each.correlation.r,
                "slope": each.correlation.slope,
            }
            for each in turnout_correlations(stations)
            if each.correlation.is_strong
        ],
        "H12": [_station(stations, int(at)) for at in breaks.positions[:NAMED]],
    }


def _station(stations: Stations, at: int) -> Json:
    """Return one station by its place in the file; the header is line 1."""
    names = ("voters", "given", "received", "leader")
    numbers = {name: int(getattr(stations, name)[at]) for name in names}
    commissions = stations.commissions
    name = commissions.names[int(commissions.codes[at])] if commissions else None
    return {"line": at + 2, "commission": name, **numbers}


def _charts(stations: Stations) -> Json:
    counted = stations.counted()
    curve = excess_votes(stations)
    return {
        "bins": BINS,
        "turnout": _histogram(counted.turnout),
        "share": _histogram(counted.share),
        "cells": CELLS,
        "fingerprint": _picture(counted),
        "P04": curve
        and {
            "leader": curve.leader.astype(int).tolist(),
            "others": curve.others.astype(int).tolist(),
            "expected": (curve.ratio * curve.others).round().astype(int).tolist(),
        },
    }


def _histogram(values: Floats) -> list[int]:
    """Return stations per half per cent, each bin around its middle, from 0 to 100 %.

    So that an integer percentage is in the middle of a bin and not on its edge.
    """
    places = np.rint(np.clip(values, 0, 1) * BINS).astype(np.int64)
    return [int(each) for each in np.bincount(places, minlength=BINS + 1)]


def _picture(counted: Stations) -> list[int]:
    if not counted.size:
        return []
    cells = picture(counted.turnout, counted.share, side=CELLS) * counted.size
    return [round(float(each)) for each in cells]
