"""The table as a heat map: colour is the effect in smallest effects of interest, text says all."""

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import marks
from trustbench.summary.render import wording as w
from trustbench.summary.render.visible import neutral
from trustbench.summary.table.results import UTILITY, CellResult, TableResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

LIMIT = 10.0
"""Effects beyond this many deltas have the strongest colour."""
EMPTY: tuple[float, ...] = (0.93, 0.93, 0.93)
DARK = 1.35
"""Sum of red, green and blue below which text is white."""


def image(results: Sequence[TableResult]) -> bytes:
    """Every table as one PNG, one below another.

    Orange is harm and purple is benefit, a pair that colour-blind readers tell apart; symbols
    and words carry the verdict without colour.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14.5, 10.2 * len(results)), dpi=110, layout="constrained")
    axes = figure.subplots(len(results), 1, squeeze=False)[:, 0]
    for result, ax in zip(results, axes, strict=True):
        _draw(ax, neutral(result))
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _draw(ax: "Axes", result: TableResult) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-LIMIT, LIMIT), colormaps["PuOr_r"])
    rows = [w.row_cells(result, source) for source in Aspect] + [list(result.reseed)]
    for y, cells in enumerate(rows):
        for x, cell in enumerate(cells):
            _box(ax, x, y, cell, scale, w.own_metric(result, cell))
    ax.set_xlim(0, len(w.TARGETS))
    ax.set_ylim(len(rows), 0)
    heads = w.column_heads(result)
    labels = [
        f"{name}\n{metric.replace(' / ', chr(10))}\n{regime}" for name, metric, regime in heads
    ]
    ax.set_xticks([i + 0.5 for i in range(len(heads))], labels, parse_math=False)
    names = [f"{s.letter} {s}\n" + textwrap.fill(w.row_arm(result, s), 18) for s in Aspect]
    ax.set_yticks([i + 0.5 for i in range(len(rows))], [*names, "reseed control"], parse_math=False)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.axvline(len(Aspect), color="black", linewidth=1.5)
    ax.axhline(len(Aspect), color="black", linewidth=1.5)
    for side in ax.spines.values():
        side.set_visible(False)
    ax.set_title(f"{result.title}\n{w.caption(result)}", fontsize=11, parse_math=False)
    ax.set_xlabel(textwrap.fill(w.legend(), 150), fontsize=8, parse_math=False)
    bar = ax.figure.colorbar(scale, ax=ax, shrink=0.6, pad=0.01)
    bar.set_label("effect / smallest effect of interest (benefit below 0, harm above)")


def _box(
    ax: "Axes", x: int, y: int, cell: CellResult, scale: "ScalarMappable", own: str | None
) -> None:
    from matplotlib.patches import Rectangle

    effect, measure = cell.estimate.effect, cell.measure
    colour = EMPTY
    if effect is not None and measure is not None:
        severity = np.asarray(effect.effect / measure.delta)
        colour = tuple(float(v) for v in scale.to_rgba(severity))
    dark = sum(colour[:3]) < DARK
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
    lines = [own.replace("/", ":\n").replace(" - ", " minus\n")] if own else []
    if cell.estimate.settings:
        lines.append(w.at_settings(cell.estimate).lstrip())
    if effect is not None:
        lines += [f"{w.number(effect.effect)}   n={effect.n}", w.interval(effect)]
    if cell.target == UTILITY:
        lines += [
            f"{w.bare(str(e.metric))} "
            + (w.number(e.effect.effect) if e.effect else w.short(e.verdict) if e.verdict else "")
            for e in cell.secondary
        ]
    lines.append(w.short(cell.verdict))
    lines += marks.warnings(cell)
    if cell.beyond_matched is not None:
        beyond = cell.beyond_matched
        lines += [f"beyond matched {w.number(beyond.effect)}", w.interval(beyond)]
    ax.text(
        x + 0.5,
        y + 0.5,
        "\n".join(lines),
        ha="center",
        va="center",
        fontsize=9,
        color="white" if dark else "black",
        parse_math=False,
    )
