"""The two charts of a cell: its paired replicates, and its effect over the dose."""

import math
from collections.abc import Sequence

from trustbench.summary.report.evidence import Values
from trustbench.summary.report.markup import Html
from trustbench.summary.report.scales import Scale, linear, log
from trustbench.summary.report.svg import Box, Plot, chart
from trustbench.summary.stats.effects import Effect
from trustbench.summary.table.results import Estimate

LEFT = Box(left=46, right=196)
RIGHT = Box(left=246, right=332)
FAR = 8.0
"""With at least this ratio of largest to smallest dose, the axis is logarithmic."""


def paired(
    sides: tuple[Values, Values] | None,
    estimate: Estimate,
    effect: Effect,
    delta: float,
    names: tuple[str, str],
) -> Html:
    """Each replicate on both sides, and the differences with their mean and 95 % interval.

    `sides` are the treated and the reference values [n]; the differences are in units of harm.
    """
    plots = []
    if sides is not None:
        treated, reference = sides
        x = Scale(-0.35, 1.35, ((0, names[0]), (1, names[1])))
        left = Plot(x, linear([*treated, *reference], str(estimate.unit)), LEFT)
        pairs = list(zip(reference, treated, strict=True))
        left.segments((((0, a), (1, b)) for a, b in pairs), "pair")
        left.dots(((0, a) for a, _ in pairs), "dot ref")
        left.dots(((1, b) for _, b in pairs), "dot arm")
        plots.append(left)
    differences = estimate.differences
    values = [*differences, effect.low, effect.high, 0.0]
    right = Plot(Scale(0, 1, ((0.5, "difference"),)), linear(values, "harm"), RIGHT)
    _zero(right, delta)
    n = len(differences)
    spread = [0.12 + 0.4 * ((k * 0.618) % 1) for k in range(n)]
    right.dots(zip(spread, differences, strict=True), "dot arm")
    right.whiskers([(0.78, effect.low, effect.high)], "whisker")
    right.dots([(0.78, effect.effect)], "mean", 3.2)
    plots.append(right)
    return chart(plots, f"Each of {n} replicates on both sides, and the paired differences")


def dose_response(doses: Sequence[tuple[float, Estimate]], name: str, delta: float) -> Html:
    """The effect with its interval at each dose; `doses` has one or more with an effect."""
    effects = [(x, e.effect) for x, e in doses if e.effect is not None]
    at = [x for x, _ in effects]
    far = min(at) > 0 and max(at) / min(at) >= FAR
    x = log(at, name) if far else linear(at, name)
    ends = [v for _, e in effects for v in (e.low, e.high)]
    plot = Plot(_room(x), linear([*ends, 0.0], "effect (harm)"))
    _zero(plot, delta)
    curve = sorted((x, e.effect) for x, e in effects)
    plot.line(curve, "line arm")
    plot.whiskers([(x, e.low, e.high) for x, e in effects], "whisker")
    plot.dots(curve, "mean", 3.2)
    return chart([plot], f"Effect over {name}: {len(curve)} doses with 95 % intervals")


def _room(scale: Scale) -> Scale:
    """The scale with a margin at both ends, so that whiskers do not touch the frame."""
    if scale.kind == "log":
        beyond = 10 ** (0.05 * math.log10(scale.high / scale.low))
        return Scale(scale.low / beyond, scale.high * beyond, scale.ticks, scale.label, "log")
    beyond = 0.05 * (scale.high - scale.low)
    return Scale(scale.low - beyond, scale.high + beyond, scale.ticks, scale.label)


def _zero(plot: Plot, delta: float) -> None:
    """The line of no effect, and the range of effects too small to matter."""
    if delta > 0:
        plot.shade(max(-delta, plot.y.low), min(delta, plot.y.high), "margin")
    plot.line([(plot.x.low, 0.0), (plot.x.high, 0.0)], "zero")
