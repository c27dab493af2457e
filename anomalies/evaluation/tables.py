"""The report as tables of Markdown, and where they stand in the documentation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from anomalies.evaluation.cases import Calm
from anomalies.evaluation.effects import ELECTIONS, Q_LEVELS
from anomalies.evaluation.figures import Recall
from anomalies.evaluation.report import LARGE, MEDIUM, Report
from anomalies.evaluation.trials import (
    LEVELS,
    SIZES,
    THRESHOLD_KINDS,
    Threshold,
)
from anomalies.rules.episodes import WARNING_Q

BEGIN = "<!-- evaluation: begin -->"
END = "<!-- evaluation: end -->"


class NoPlace(Exception):
    """The file has no place for the tables."""


class Page:
    """A page of the documentation with a place for the tables.

    Raises:
        NoPlace: the file is not there, or lacks the marks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise NoPlace(f"{path} cannot be read: {error.strerror}.") from error
        self._before, begin, rest = text.partition(BEGIN)
        _, end, self._after = rest.partition(END)
        if not begin or not end:
            raise NoPlace(f"{path} needs the lines {BEGIN} and {END}, in this order.")

    def write(self, text: str) -> None:
        """Put the text between the marks."""
        whole = f"{self._before}{BEGIN}\n\n{text}\n{END}{self._after}"
        self.path.write_text(whole, encoding="utf-8")


# What has to be known to read a table.
DISTRICTS = (
    "All contracts of a district are struck alike: the same hours, the same people. They "
    "tell nothing of one another then, and only the peers are left. Districts with several "
    "contracts, 5 % of all contracts; every contract is a case. No target: *found* cannot "
    "be much above *visible alone*, which knows what was to be expected."
)
THRESHOLDS = (
    "Of S01, S02 and S15 together, with all tests adjusted together as always; false alarms "
    "are those of elections without an injection, *false ticks* their hours with any alarm. "
    "A share of q of the hours is what the adjustment promises at most; where there are more, "
    "large deviations are more frequent than the rules assume. The other rules are in the "
    "next table. Recall is that of the same sizes, for more than 20 and for 5 to 20 ballots "
    "an hour."
)
CALM = (
    "Elections without an injection; S06 to S09 in {inside} of each size. *Judged* is what "
    "the rule can say anything of; for S07 and S09 the hours that are counted inside. S06, "
    "S08 and H13 are adjusted together with the rules of flow, S11 and S12 with those of the "
    "last hour: during the vote they are tried every hour, which is not counted here. *As "
    "in 2024* lets constituencies differ as little as the regions did (ρ of .0005 and "
    ".002); whole regions may well differ less than districts. Of S03 to S05, S16 and S17 an "
    "event is an hour of the election, several in a row for S16, five minutes for S17. The "
    "false jumps of S17 lie at the turn of an hour, where the flow of the generator rises "
    "in one step, at times to twice as much; a real one takes the hour for it."
)
FOUND = (
    "S06 to S09 in {inside} elections of each size: *bot:50* is half of the flow of eight "
    "hours at one spacing, in constituencies chosen for their size, which a random choice "
    "would rarely hit; the simulator's flow is Poisson within five minutes. Silences leave "
    "nobody's issue or vote in a part of an hour with 40 ballots and more. S11 and S12 are "
    "read at the end: 8 % of the bulletins are not cast, or a tenth of the register comes "
    "more or less, as far as the register goes, in 5 % of the constituencies. The generator "
    "lets districts differ more (1 to 4 % not cast, turnout of 86 to 94 %) than the regions "
    "of 2024 did, and what is found depends on that more than on anything else. S03 "
    "is half or twice the votes of the whole election in one hour; it says nothing before the "
    "fifteenth hour of the second day, and is as good as days are alike. S04 is a "
    "region of 12 to 16 districts, S05 and S16 strike in one hour of each day; a case is "
    "found where the rule names that hour, and for S04 that region. S17 finds jumps like those "
    "of 2026, which were nearly twice the five minutes before; every election of the generator "
    "has three to five smaller ones. H13 has 5 or 20 % of the calls of one hour refused that "
    "were accepted; about 1 % are refused anyway."
)
CAUGHT_UP = (
    "Nothing for two hours in one constituency with five ballots an hour and more, then in "
    "one hour what did not come, or twice as many. S01 of the bulletins. Closed are those "
    "of which both drop and rise were reported. Twice as many should stay open, which is "
    "told from chance only where there are enough ballots."
)


def tables(report: Report, *, title: str, inside: int) -> str:
    """Return all tables, the title telling what they were made from.

    `inside` is the number of elections in whose hours something was put.
    """
    parts = [
        title,
        "### Found, by kind and size",
        _recalls(report),
        "### Found, where all contracts of a district are struck",
        DISTRICTS,
        _district_recalls(report),
        "### False alarms without an injection",
        _quiet(report),
        "### What a threshold does",
        THRESHOLDS,
        _thresholds(report),
        "### False alarms of each rule",
        CALM.format(inside=inside),
        _calm(report),
        "### Found by the other rules",
        FOUND.format(inside=inside),
        _found(report),
        "### Outages that are caught up",
        CAUGHT_UP,
        _caught_up(report),
        "### What a score is worth",
        _scores(report),
        "### False alarms where an assumption is broken",
        _calibrations(report),
        "### Targets",
        _targets(report),
    ]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else format(value, form)


def _recalls(report: Report) -> str:
    head = [
        *("injection", "ballots an hour", "cases", "found", "with a twin", "alone"),
        *("visible alone", "delay, median / 90 %"),
    ]
    return _table(head, (_recall(item) for item in report.recalls if item.hits))


def _recall(item: Recall) -> list[str]:
    alone = item.where(has_twin=False)
    return [
        *_head_of(item),
        _number(item.where(has_twin=True).share),
        _number(alone.share),
        _number(alone.visible_share),
        _delays(item),
    ]


def _head_of(item: Recall) -> list[str]:
    return [
        f"{item.injection.replace(':', ' ')} %",
        item.size,
        str(len(item.hits)),
        f"**{_number(item.share)}**",
    ]


def _delays(item: Recall) -> str:
    return f"{_number(item.delay(0.5), '.0f')} / {_number(item.delay(0.9), '.0f')} h"


def _district_recalls(report: Report) -> str:
    head = [
        *("injection", "ballots an hour", "contracts", "found", "visible alone"),
        "delay, median / 90 %",
    ]
    rows = (
        [*_head_of(item), _number(item.visible_share), _delays(item)]
        for item in report.district_recalls
        if item.hits
    )
    return _table(head, rows)


def _thresholds(report: Report) -> str:
    head = [
        *("q", "sizes of", "elections", "false hours of 10,000", "ever flagged"),
        "false ticks an election",
        *(
            f"{kind.replace(':', ' ')} %: above 20 / 5 to 20"
            for kind in THRESHOLD_KINDS
        ),
    ]
    rows = (
        _threshold(report, found)
        for preset in report.presets
        for q in Q_LEVELS
        if (found := report.threshold(preset, q))
    )
    return _table(head, rows)


def _threshold(report: Report, found: Threshold) -> list[str]:
    elections = report.elections(found.preset)
    return [
        f"{found.q:g}",
        found.preset,
        str(elections),
        _number(10_000 * found.flagged_hours / found.hours),
        f"{100 * found.flagged / found.constituencies:.2f} %",
        f"{found.false_ticks / elections:.2f} of {found.ticks / elections:.0f}",
        *(
            " / ".join(
                _number(
                    report.recall(kind, size)
                    .where(preset=found.preset)
                    .share_at(found.q)
                )
                for size in (LARGE, MEDIUM)
            )
            for kind in THRESHOLD_KINDS
        ),
    ]


def _calm(report: Report) -> str:
    head = ["rule", "in", "of", "all", "judged", "false", "share of all"]
    rows = (
        [
            item.rule,
            item.preset,
            item.unit,
            f"{item.places:,}",
            f"{item.judged:,}",
            str(item.false[WARNING_Q]),
            _share_of(item),
        ]
        for item in report.calm
    )
    return _table(head, rows)


def _share_of(item: Calm) -> str:
    false = item.false[WARNING_Q]
    if item.unit == ELECTIONS:
        return f"{false / item.places:.2f} an election"
    return f"{100 * false / item.places:.4f} %"


def _found(report: Report) -> str:
    head = ["rule", "injection", "where", "cases", "found", "median delay"]
    rows = (
        [
            item.rule,
            item.injection,
            item.size,
            str(item.cases),
            f"**{item.share:.2f}**",
            f"{_number(item.delay, '.0f')} h",
        ]
        for item in report.found
    )
    return _table(head, rows)


def _caught_up(report: Report) -> str:
    head = [
        *("afterwards", "ballots an hour", "cases", "drop reported"),
        *("drop and rise reported", "of these closed"),
    ]
    rows = (
        [
            item.injection,
            item.size,
            str(item.cases),
            str(item.drops),
            str(item.both),
            _number(item.closed / item.both if item.both else None),
        ]
        for item in report.caught_up
    )
    return _table(head, rows)


def _quiet(report: Report) -> str:
    head = [
        *("sizes of", "ballots an hour", "constituencies"),
        *("ever flagged", "hours", "flagged hours"),
    ]
    found = [
        report.quiet(preset, size)
        for preset in report.presets
        for size in (*SIZES, None)
    ]
    return _table(
        head,
        (
            [
                item.preset,
                item.size,
                f"{item.constituencies:,}",
                f"{100 * item.flagged / item.constituencies:.2f} %",
                f"{item.hours:,}",
                f"{100 * item.flagged_hours / item.hours:.4f} %",
            ]
            for item in found
            if item.constituencies and item.hours
        ),
    )


def _scores(report: Report) -> str:
    head = [
        *("score at least", "ballots an hour", "precision", "recall"),
        *("false positive rate", "accuracy"),
    ]
    found = [report.score(level, size) for size in (*SIZES, None) for level in LEVELS]
    return _table(
        head,
        (
            [
                str(item.level),
                item.size,
                _number(item.precision, ".3f"),
                _number(item.recall, ".3f"),
                _number(item.false_positive_rate, ".4f"),
                _number(item.accuracy, ".4f"),
            ]
            for item in found
        ),
    )


def _calibrations(report: Report) -> str:
    levels = sorted(report.calibrations[0].below, reverse=True)
    head = [
        "election",
        *(f"p ≤ {level:g}" for level in levels),
        "tests",
        "flagged hours",
    ]
    return _table(
        head,
        (
            [
                item.variant,
                *(
                    f"{item.below[level] / (item.tests * level):.2f}"
                    for level in levels
                ),
                f"{item.tests:,}",
                f"{100 * item.flagged_hours / item.tests:.4f} %",
            ]
            for item in report.calibrations
        ),
    )


def _targets(report: Report) -> str:
    head = ["target", "reached", "limit", "met"]
    return _table(
        head,
        (
            [
                target.name,
                _number(target.value, ".4g"),
                f"{'≥' if target.is_floor else '≤'} {target.limit:.4g}",
                "yes" if target.is_met else "**no**",
            ]
            for target in report.targets
        ),
    )
