"""Where the marks of a chart lie: from numbers to the coordinates of an SVG picture.

Units of coordinates are those of the picture, WIDTH wide; its page scales it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from anomalies.rules.excess import CORE_WIDTH

# Narrow, so that letters stay readable on a telephone.
WIDTH, HEIGHT = 480, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 466, 30, 272
# Ticks across a scale, at least.
FEWEST_TICKS = 4
# Least stations of each shade of the heat map: steps of the logarithm, since a cell has
# one station or thousands.
SHADES = (1, 3, 10, 30, 100, 300, 1_000, 3_000)


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The axes of a chart, with what they measure."""

    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM

    @property
    def depth(self) -> int:
        """Return the height of the part within the axes."""
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        """Return where the title of the horizontal axis is centred."""
        return (self.left + self.right) / 2


@dataclass(frozen=True, slots=True)
class Box:
    """A bar, or a cell, and what it says when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    told: str
    # Of a cell: from 1, the lightest.
    shade: int = 0


@dataclass(frozen=True, slots=True)
class Histogram:
    frame: Frame
    bars: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Shade:
    """A step of the heat map's legend."""

    shade: int
    label: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    frame: Frame
    cells: tuple[Box, ...]
    legend: tuple[Shade, ...]


@dataclass(frozen=True, slots=True)
class CoreMark:
    """The core of P04: a band, the line in its middle, and its label."""

    x: float
    width: float
    line: float
    label: str
    label_x: float
    # Of SVG: at which end of the label its place is.
    anchor: str


@dataclass(frozen=True, slots=True)
class Curve:
    """P04: points of three lines, and of the area between two of them."""

    frame: Frame
    leader: str
    others: str
    expected: str
    excess: str
    core: CoreMark


def histogram(counts: Sequence[int], *, x_title: str) -> Histogram:
    """Return stations per bin of equal width, the first around 0 and the last around 100 %."""
    steps = len(counts) - 1
    top, ticks = _scale(max(counts))
    bar_width = (RIGHT - LEFT) / len(counts)
    bars = (
        Box(
            x=round(LEFT + number * bar_width, 2),
            y=round(_y(count, top), 2),
            width=round(bar_width, 2),
            height=round(BOTTOM - _y(count, top), 2),
            told=f"{100 * number / steps:g} %: {_stations(count)}",
        )
        for number, count in enumerate(counts)
        if count
    )
    first, last = LEFT + bar_width / 2, RIGHT - bar_width / 2
    frame = Frame(x_title, "polling stations", _percents(first, last), ticks)
    return Histogram(frame, tuple(bars))


def heat_map(counts: Sequence[int], *, side: int) -> HeatMap:
    """Return stations by turnout, to the right, and share, upwards.

    `counts` has a row of `side` shares for each turnout.
    """
    width, height = (RIGHT - LEFT) / side, (BOTTOM - TOP) / side
    cells = tuple(
        Box(
            x=round(LEFT + turnout * width, 2),
            y=round(BOTTOM - (share + 1) * height, 2),
            width=round(width, 2),
            height=round(height, 2),
            told=f"turnout {_between(turnout, side)}, share {_between(share, side)}: "
            f"{_stations(count)}",
            shade=_shade(count),
        )
        for turnout, share, count in (
            (*divmod(place, side), count) for place, count in enumerate(counts)
        )
        if count
    )
    upwards = tuple(
        Tick(_y(percent, 100), f"{percent}") for percent in range(0, 101, 20)
    )
    frame = Frame("turnout, %", "leader’s share, %", _percents(LEFT, RIGHT), upwards)
    darkest = max((cell.shade for cell in cells), default=0)
    legend = tuple(
        Shade(number, f"{least:,}+")
        for number, least in enumerate(SHADES[:darkest], start=1)
    )
    return HeatMap(frame, cells, legend)


def curve(
    *,
    leader: Sequence[int],
    others: Sequence[int],
    expected: Sequence[int],
    core: int,
    is_clean: bool,
) -> Curve:
    """Return votes per whole per cent of turnout, with the core of P04 marked.

    `expected` are the votes for the leader by the ratio of the core.
    """
    # Not `expected`: where there is no clean core that may be more than anybody has. The
    # page cuts the line off.
    top, ticks = _scale(max(*leader, *others), thousands=True)
    above = range(core, len(leader))
    back = [_point(at, expected[at], top) for at in reversed(above)]
    return Curve(
        frame=Frame("turnout, %", "votes, thousands", _percents(LEFT, RIGHT), ticks),
        leader=_line(leader, top),
        others=_line(others, top),
        expected=_line(expected, top),
        excess=" ".join([*(_point(at, leader[at], top) for at in above), *back]),
        core=_core_mark(core, is_clean=is_clean),
    )


def _core_mark(core: int, *, is_clean: bool) -> CoreMark:
    low, high = max(core - CORE_WIDTH, 0), min(core + CORE_WIDTH, 100)
    # To the left of the line there is more room: most cores are at 50 % and above.
    is_left = core >= 50
    return CoreMark(
        x=round(_x(low), 2),
        width=round(_x(high) - _x(low), 2),
        line=round(_x(core), 2),
        label=f"core {core} %" if is_clean else f"core {core} %, too high",
        label_x=round(_x(low) - 5 if is_left else _x(high) + 5, 2),
        anchor="end" if is_left else "start",
    )


def _line(values: Sequence[int], top: float) -> str:
    return " ".join(_point(at, value, top) for at, value in enumerate(values))


def _point(percent: float, value: float, top: float) -> str:
    return f"{_x(percent):.1f},{_y(value, top):.1f}"


def _x(percent: float) -> float:
    return LEFT + (RIGHT - LEFT) * percent / 100


def _y(value: float, top: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * value / top


def _percents(first: float, last: float) -> tuple[Tick, ...]:
    """Return a tick for each tenth between the places of 0 and 100 %."""
    apart = (last - first) / 100
    return tuple(
        Tick(round(first + percent * apart, 2), f"{percent}")
        for percent in range(0, 101, 10)
    )


def _scale(
    highest: float, *, thousands: bool = False
) -> tuple[float, tuple[Tick, ...]]:
    """Return the top of a scale from 0 that has room for `highest`, and its ticks."""
    step = _round_step(max(highest, FEWEST_TICKS) / FEWEST_TICKS)
    steps = int(-(-highest // step)) or 1
    unit = 1000 if thousands else 1
    ticks = tuple(
        Tick(round(_y(number, steps), 2), f"{number * step / unit:,.12g}")
        for number in range(steps + 1)
    )
    return steps * step, ticks


def _round_step(most: float) -> int:
    """Return the largest of 1, 2, 5, 10, 20, 50 … that is not above `most`."""
    power = 10 ** floor(log10(most))
    return int(next(each * power for each in (5, 2, 1) if each * power <= most))


def _shade(count: int) -> int:
    return sum(count >= least for least in SHADES)


def _between(number: int, side: int) -> str:
    return f"{100 * number / side:g}–{100 * (number + 1) / side:g} %"


def _stations(count: int) -> str:
    return f"{count:,} station{'' if count == 1 else 's'}"
