"""Small charts of one arm beside its baseline, one for each arm."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from trustbench.summary.report.evidence import Values
from trustbench.summary.report.markup import Html
from trustbench.summary.report.scales import Scale, linear, log
from trustbench.summary.report.svg import WIDTH, Box, Plot, chart, label, picture, rect, short

UNIT = linear([0.0, 1.0])
ROW = 17.0
"""Height of a row of names."""
NAME = 17
"""Maximum number of letters of a group's name beside its row."""


Look = Literal["arm", "ref"]
"""The look of a side: the arm itself, or the baseline beside it."""
Sides = Sequence[tuple[Look, tuple[Values, ...]]]
"""The sides drawn on one chart, the last on top."""


def _axis(scale: Scale, text: str) -> Scale:
    return Scale(scale.low, scale.high, scale.ticks, text, scale.kind)


def roc_scale(every: Sequence[Sides]) -> Scale:
    """One scale for all charts of an attack, so that they can be compared."""
    means = [(x, rates.mean(0)) for sides in every for _, (x, rates) in sides]
    return log([1.0, *(float(v) for pair in means for values in pair for v in values)])


def roc(sides: Sides, scale: Scale, title: str) -> Html:
    """True over false positives, both logarithmic: mean and range over replicates.

    A side is (false-positive rates [k], true-positive rates [n, k]). There is no interval, because
    the replicates of an attack are each other's shadows.
    """
    plot = Plot(_axis(scale, "false positives"), _axis(scale, "true positives"))
    plot.line([(scale.low, scale.low), (scale.high, scale.high)], "zero")
    for look, (x, rates) in sides:
        low, high = np.maximum(rates.min(0), scale.low), rates.max(0)
        plot.band(x.tolist(), low.tolist(), high.tolist(), f"band {look}")
        points = zip(x, rates.mean(0), strict=True)
        plot.line([p for p in points if p[1] > 0], f"line {look}")
    return chart([plot], title)


def reliability(sides: Sides, title: str) -> Html:
    """Accuracy over confidence in bins of equal mass, with 95 % intervals over replicates.

    A side is (confidence, accuracy, low, high), [bins] each.
    """
    plot = Plot(_axis(UNIT, "confidence"), _axis(UNIT, "accuracy"))
    plot.line([(0.0, 0.0), (1.0, 1.0)], "zero")
    for look, side in sides:
        _with_intervals(plot, *(s[np.isfinite(side[1])] for s in side), look=look)
    return chart([plot], title)


def robustness(sides: Sides, places: Sequence[tuple[float, str]], title: str) -> Html:
    """Accuracy over the radius of the attack, with 95 % intervals over replicates.

    A side is (radii, accuracies, low, high), [k] each; the last radius is drawn separately.
    """
    low, high = places[0][0], places[-1][0]
    room = 0.06 * (high - low)
    x = Scale(low - room, high + room, tuple(places), "radius")
    plot = Plot(x, _axis(UNIT, "accuracy"))
    for look, side in sides:
        _with_intervals(plot, *side, look=look, apart=1)
    return chart([plot], title)


def _with_intervals(
    plot: Plot, x: Values, mean: Values, low: Values, high: Values, *, look: Look, apart: int = 0
) -> None:
    """Means [k] at x [k] with their intervals; the last ones are not connected."""
    ends = zip(x, np.clip(low, 0, 1), np.clip(high, 0, 1), strict=True)
    plot.whiskers(ends, f"whisker {look}")
    points = list(zip(x, mean, strict=True))
    plot.line(points[: len(points) - apart], f"line {look}")
    plot.dots(points, f"dot {look}")


def group_scale(every: Sequence[Values]) -> Scale:
    """One scale for the mean accuracies [K] of all charts, so that they can be compared."""
    means = [float(v) for values in every for v in values if np.isfinite(v)]
    return linear([1.0, *means], "accuracy")


def by_group(sides: Sides, names: Sequence[str], scale: Scale, title: str) -> Html:
    """A value of each group with 95 % intervals over replicates, one row per group.

    A side is (means, low, high), [K] each.
    """
    height = 12 + ROW * len(names) + 38
    box = Box(left=122, bottom=height - 38)
    plot = Plot(scale, Scale(0, len(names), ()), box)
    for k, name in enumerate(names):
        middle = len(names) - k - 0.5
        place = plot.at(scale.low, middle)
        plot.marks.append(
            label(place[0] - 6, place[1] + 3.5, short(name, NAME), "tick", text_anchor="end")
        )
    for look, (mean, below, above) in sides:
        shift = {"ref": 0.17, "arm": -0.17}[look] if len(sides) > 1 else 0.0
        at = [len(names) - k - 0.5 + shift for k in range(len(names))]
        plot.bars(zip(at, below, np.minimum(above, 1), strict=True), f"whisker {look}")
        plot.dots(zip(mean, at, strict=True), f"dot {look}")
    return chart([plot], title, height=height)


def set_sizes(rows_by_size: Values, names: Sequence[str], title: str) -> Html:
    """The shares of set sizes in each group: rows_by_size [n, K, C + 1], one bar per group."""
    shares = rows_by_size.sum(0) / rows_by_size.sum((0, 2))[:, None]
    left, right, top = 122.0, WIDTH - 44.0, 20.0
    height = top + ROW * len(names) + 8
    marks = [
        label(left, 12, "share of rows by set size", "axis"),
        label(WIDTH - 4, 12, "mean", "axis", text_anchor="end"),
    ]
    sizes = np.arange(shares.shape[1])
    for k, (name, share) in enumerate(zip(names, shares, strict=True)):
        y = top + ROW * k
        marks.append(label(left - 6, y + 11, short(name, NAME), "tick", text_anchor="end"))
        mean = f"{float(share @ sizes):z.2f}"
        marks.append(label(WIDTH - 4, y + 11, mean, "tick", text_anchor="end"))
        x = left
        for size, part in zip(sizes, share, strict=True):
            width = float(part) * (right - left)
            step = min(int(size), 6)
            marks.append(rect(x, y + 1, width, ROW - 3, f"size size{step}"))
            if width > 13:
                middle = x + width / 2
                look = f"insize insize{step}"
                marks.append(label(middle, y + 11.5, str(size), look, text_anchor="middle"))
            x += width
    return picture(marks, title, WIDTH, height)
