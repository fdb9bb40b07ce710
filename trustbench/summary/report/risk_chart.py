"""Likelihood against severity, with the bands of the risk."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trustbench.summary.report.markup import Html
from trustbench.summary.report.scales import linear
from trustbench.summary.report.svg import Box, Plot, Point, chart, label
from trustbench.summary.table.risk import Interval

SIDE = 430.0
NEAR = 6.0
"""Points closer than this share one label."""
LETTER, LINE = 6.2, 12.0
"""Width of a letter and height of a line of a name."""
PER_LINE = 3
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class ChartPlace(NamedTuple):
    """A cell by its letters, and its position."""

    name: str
    severity: Interval
    likelihood: Interval


def matrix(places: Sequence[ChartPlace], amber: float, red: float, likelihood: str) -> Html:
    """Every cell with its intervals; the bands are those of the product of both axes.

    Amber begins at a product of `amber`, red above `red`; `likelihood` labels the vertical axis.
    """
    box = Box(left=46, right=SIDE - 12, bottom=SIDE - 50)
    plot = Plot(linear([0, 1], "severity"), linear([0, 1], likelihood), box)
    plot.shade(0, 1, "risk red")
    for limit, look in ((red, "amber"), (amber, "green")):
        grid = [k / 80 for k in range(81)]
        top = [min(1.0, limit / s) if s > 0 else 1.0 for s in grid]
        plot.band(grid, [0.0] * len(grid), top, f"risk {look}")
        plot.line(zip(grid, top, strict=True), "zero")
    for low, high, name in ((red, 1.0, "red"), (amber, red, "amber"), (0.0, amber, "green")):
        if high - low > 0.04:  # there is room for a word
            plot.note(0.985, low + min(0.15, 0.35 * (high - low)), name, "band-name", "end")
    for _, severity, likely in places:
        plot.bars([(likely.value, severity.low, severity.high)], "whisker faint")
        plot.whiskers([(severity.value, likely.low, likely.high)], "whisker faint")
    plot.dots(((p.severity.value, p.likelihood.value) for p in places), "dot arm", 3.2)
    plot.marks += _names(plot, places)
    return chart([plot], "Likelihood against severity of every cell", SIDE, SIDE - 12)


def _names(plot: Plot, places: Sequence[ChartPlace]) -> Iterator[Html]:
    """The cells' letters beside their points, each where it overlaps the fewest others."""
    groups = _together(plot, places)
    taken = [(x - 4, y - 4, x + 4, y + 4) for (x, y), _ in groups]
    for (x, y), names in groups:
        lines = [", ".join(names[k : k + PER_LINE]) for k in range(0, len(names), PER_LINE)]
        width, height = LETTER * max(map(len, lines)), LINE * len(lines)
        tops = (y - height / 2, y + 6, y - height - 6, y + 20, y - height - 20)
        corners = [(side, t) for t in tops for side in (x + 8, x - 8 - width)]
        boxes = [(side, t, side + width, t + height) for side, t in corners]
        chosen = min(boxes, key=lambda b: _overlap(b, taken) + _outside(b, plot.box))
        taken.append(chosen)
        right = chosen[0] > x
        for k, text in enumerate(lines):
            at, anchor = (chosen[0], "start") if right else (chosen[2], "end")
            base = chosen[1] + LINE * (k + 1) - 2.5
            yield label(at, base, text, "point-name", text_anchor=anchor)


def _outside(inner: Rectangle, box: Box) -> float:
    """A large penalty for labels beyond the axes."""
    inside = box.left <= inner[0] and inner[2] <= box.right
    return 0.0 if inside and box.top <= inner[1] and inner[3] <= box.bottom else 1e6


def _together(plot: Plot, places: Sequence[ChartPlace]) -> list[tuple[Point, list[str]]]:
    """The points with the names of all cells that lie on them."""
    found: list[tuple[Point, list[str]]] = []
    for name, severity, likelihood in places:
        x, y = plot.at(severity.value, likelihood.value)
        same = (names for (a, b), names in found if abs(a - x) < NEAR and abs(b - y) < NEAR)
        group = next(same, None)
        if group is None:
            found.append(((x, y), [name]))
        else:
            group.append(name)
    return found


def _overlap(box: Rectangle, taken: Sequence[Rectangle]) -> float:
    """The area of a box that others cover."""
    covered = 0.0
    for other in taken:
        wide = min(box[2], other[2]) - max(box[0], other[0])
        high = min(box[3], other[3]) - max(box[1], other[1])
        covered += max(wide, 0.0) * max(high, 0.0)
    return covered
