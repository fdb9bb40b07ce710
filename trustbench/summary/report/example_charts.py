"""One test row with its explanations: a strip of pictures, or bars of the strongest features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trustbench.summary.report.evidence import Values
from trustbench.summary.report.markup import Html, tag
from trustbench.summary.report.pixels import Picture, colour, data_uri, overlay, smaller
from trustbench.summary.report.scales import Scale, linear
from trustbench.summary.report.svg import WIDTH, label, picture, rect, short

GAP, LINE = 8.0, 13.0
"""The gap between tiles, and the height of a line of text."""
LEFT, RIGHT = 16.0, WIDTH - 16.0
"""Where the scale of bars begins and ends."""
TILE = (WIDTH - 3 * GAP) / 4
FEATURES = 8
"""Maximum number of features with bars in a chart."""
BAR = 5.0
NAME, VALUE = 28, 18
"""Maximum number of letters of a feature's name and of its value."""
Look = Literal["ref", "control", "arm"]


@dataclass(frozen=True)
class ExplainedRow:
    """The prediction of one side for a row, and the effects [p] of its features or pixels on it."""

    look: Look
    name: str
    answer: str
    probability: float
    effects: Values


def strip(image: Picture, truth: str, sides: Sequence[ExplainedRow], title: str) -> Html:
    """The picture itself, then the effects of each side laid over it."""
    shape = image.shape[:2]
    seen = [("the row", truth, "")]
    drawn = [colour(smaller(image).astype(np.uint8))]
    for side in sides:
        effects = smaller(side.effects.reshape(shape))
        drawn.append(overlay(smaller(image).astype(np.uint8), effects))
        seen.append((side.name, side.answer, f"p = {side.probability:z.2f}"))
    tall = TILE * shape[0] / shape[1]
    marks = []
    for k, (pixels, texts) in enumerate(zip(drawn, seen, strict=True)):
        left = k * (TILE + GAP)
        size = {"width": f"{TILE:z.1f}", "height": f"{tall:z.1f}"}
        address = data_uri(pixels)
        marks.append(tag("image", href=address, x=f"{left:z.1f}", y="0.5", class_="pixels", **size))
        marks.append(rect(left, 0.5, TILE, tall, "frame"))
        for line, (text, look) in enumerate(zip(texts, ("axis", "axis", "tick"), strict=True)):
            place = left + TILE / 2
            base = tall + LINE * (line + 1)
            marks.append(label(place, base, short(text, 13), look, text_anchor="middle"))
    return picture(marks, title, WIDTH, tall + 3 * LINE + 6)


def bars(
    features: Sequence[str], values: Sequence[str], sides: Sequence[ExplainedRow], title: str
) -> Html:
    """The strongest features of the last side by name and value, with a bar for each side.

    Bars are shares of the whole explanation, which is the sum of the absolute effects, because
    methods have different units.
    """
    shares = [_share(s.effects) for s in sides]
    order = np.argsort(-np.abs(shares[-1]), kind="stable")[:FEATURES]
    scale = _both_ways(np.array([share[order] for share in shares]))
    step = LINE + BAR * len(sides) + 8
    bottom = 16 + step * len(order)
    marks = [
        label(2, 10, "◀ against the class predicted", "tick"),
        label(WIDTH - 2, 10, "for it ▶", "tick", text_anchor="end"),
    ]
    for value, text in scale.ticks:
        x = scale.at(value, LEFT, RIGHT)
        look = "axis-zero" if value == 0 else "grid"
        marks.append(tag("path", d=f"M{x:z.1f} 16V{bottom:z.1f}", class_=look))
        marks.append(label(x, bottom + 13, text, "tick", text_anchor="middle"))
    for k, j in enumerate(order):
        top = 16 + step * k
        named = f"{short(features[j], NAME)} = {short(values[j], VALUE)}"
        marks.append(label(2, top + LINE - 2, named, "axis named"))
        for i, (side, share) in enumerate(zip(sides, shares, strict=True)):
            ends = sorted(scale.at(v, LEFT, RIGHT) for v in (0.0, float(share[j])))
            y = top + LINE + 2.5 + BAR * i
            marks.append(rect(ends[0], y, ends[1] - ends[0], BAR - 1, f"bar {side.look}"))
    marks.append(
        label(WIDTH / 2, bottom + 28, "share of the explanation", "axis", text_anchor="middle")
    )
    return picture(marks, title, WIDTH, bottom + 34)


def _share(effects: Values) -> Values:
    total = float(np.abs(effects).sum())
    return effects / total if total > 0 else np.zeros_like(effects)


def _both_ways(values: Values) -> Scale:
    """A scale with zero in the middle."""
    most = float(np.abs(values).max()) or 1.0
    return linear([-most, most], count=4)
