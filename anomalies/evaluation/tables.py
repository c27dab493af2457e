"""The report as tables of Markdown, and where they stand in the documentation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from anomalies.evaluation.report import Recall, Report
from anomalies.evaluation.trials import LEVELS, SIZES

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


def tables(report: Report, *, title: str) -> str:
    """Return all tables, the title telling what they were made from."""
    parts = [
        title,
        "### Found, by kind and size",
        _recalls(report),
        "### False alarms without an injection",
        _quiet(report),
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
        f"{item.injection.replace(':', ' ')} %",
        item.size,
        str(len(item.hits)),
        f"**{_number(item.share)}**",
        _number(item.where(has_twin=True).share),
        _number(alone.share),
        _number(alone.visible_share),
        f"{_number(item.delay(0.5), '.0f')} / {_number(item.delay(0.9), '.0f')} h",
    ]


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
