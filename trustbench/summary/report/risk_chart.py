"""Likelihood against severity, with the bands of the risk."""

from collections.abc import Iterator, Sequence

from trustbench.summary.report.markup import Html
from trustbench.summary.report.scales import linear
from trustbench.summary.report.svg import Box, Plot, Point, chart, label
from trustbench.summary.risk import AMBER, GREEN, Risk

SIDE = 430.0
NEAR = 6.0
"""Points closer than this are named together."""
LETTER, LINE = 6.2, 12.0
"""Width of a letter and height of a line of a name."""
PER_LINE = 3
Rectangle = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def matrix(risks: Sequence[Risk]) -> Html:
    """Every cell with its intervals; the bands are those of the product."""
    box = Box(left=46, right=SIDE - 12, bottom=SIDE - 50)
    plot = Plot(linear([0, 1], "severity"), linear([0, 1], "likelihood"), box)
    plot.shade(0, 1, "risk red")
    for limit, look in ((AMBER, "amber"), (GREEN, "green")):
        grid = [k / 80 for k in range(81)]
        top = [min(1.0, limit / s) if s > 0 else 1.0 for s in grid]
        plot.band(grid, [0.0] * len(grid), top, f"risk {look}")
        plot.line(zip(grid, top, strict=True), "zero")
    for height, name in ((0.4, "red"), (0.15, "amber"), (0.015, "green")):
        plot.note(0.985, height, name, "band-name", "end")
    for risk in risks:
        x, y = risk.severity.value, risk.likelihood.value
        plot.bars([(y, risk.severity.low, risk.severity.high)], "whisker faint")
        plot.whiskers([(x, risk.likelihood.low, risk.likelihood.high)], "whisker faint")
    plot.dots(((r.severity.value, r.likelihood.value) for r in risks), "dot arm", 3.2)
    plot.marks += _names(plot, risks)
    return chart([plot], "Likelihood against severity of every cell", SIDE, SIDE - 12)


def _names(plot: Plot, risks: Sequence[Risk]) -> Iterator[Html]:
    """The cells' letters beside their points, each where the fewest others stand."""
    groups = _together(plot, risks)
    taken = [(x - 4, y - 4, x + 4, y + 4) for (x, y), _ in groups]
    for (x, y), names in groups:
        lines = [", ".join(names[k : k + PER_LINE]) for k in range(0, len(names), PER_LINE)]
        width, height = LETTER * max(map(len, lines)), LINE * len(lines)
        tops = (y - height / 2, y + 6, y - height - 6, y + 20, y - height - 20)
        places = [(side, t) for t in tops for side in (x + 8, x - 8 - width)]
        boxes = [(side, t, side + width, t + height) for side, t in places]
        chosen = min(boxes, key=lambda b: _overlap(b, taken) + _outside(b, plot.box))
        taken.append(chosen)
        right = chosen[0] > x
        for k, text in enumerate(lines):
            at, anchor = (chosen[0], "start") if right else (chosen[2], "end")
            base = chosen[1] + LINE * (k + 1) - 2.5
            yield label(at, base, text, "point-name", text_anchor=anchor)


def _outside(inner: Rectangle, box: Box) -> float:
    """A large number for what would be written beyond the axes."""
    inside = box.left <= inner[0] and inner[2] <= box.right
    return 0.0 if inside and box.top <= inner[1] and inner[3] <= box.bottom else 1e6


def _together(plot: Plot, risks: Sequence[Risk]) -> list[tuple[Point, list[str]]]:
    """The points with the names of all that lie on them."""
    found: list[tuple[Point, list[str]]] = []
    for risk in risks:
        x, y = plot.at(risk.severity.value, risk.likelihood.value)
        name = f"{risk.source.letter}→{risk.target.letter}"
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
