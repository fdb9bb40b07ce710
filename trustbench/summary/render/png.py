"""The table as a heat map: colour is the effect in smallest effects of interest, text says all."""

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import marks, row_method
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import neutral
from trustbench.summary.stats.effects import Effect
from trustbench.summary.table.results import UTILITY, CellResult, Estimate, TableResult

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

LIMIT = 10.0
"""Effects above this many deltas have the strongest colour."""
EMPTY: tuple[float, ...] = (0.93, 0.93, 0.93)
DARK = 1.35
"""If the sum of red, green and blue is lower, text is white."""
WIDTH, HEIGHT = 10.0, 11.4
"""Inches of one table: narrow and tall, so that it is readable at the width of a page."""
LEFT, TOP, BOTTOM = 0.82, 1.02, 0.92
"""Room for the names of rows, the heads of columns and the legend, in cells."""
ROOM = 71.0
"""Points of text, without the space between lines, that a box has room for."""
COLOURS = 256
"""As many as the palette of a PNG holds."""
FOLD = 22
"""Characters in a line of a cell."""


class Line(NamedTuple):
    """One line of a box, with its size in points."""

    text: str
    size: float = 8.0
    bold: bool = False


def image(results: Sequence[TableResult]) -> bytes:
    """Every table as one PNG, one below another.

    Orange is harm and purple is benefit, a pair that colour-blind readers can distinguish; symbols
    and words carry the verdict without colour.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, HEIGHT * len(results)), dpi=130)
    for i, result in enumerate(results):
        ax = figure.add_axes((0, 1 - (i + 1) / len(results), 1, 1 / len(results)))
        draw(ax, neutral(result))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return with_palette(drawn)


def with_palette(file: io.BytesIO) -> bytes:
    """A picture as a PNG with a palette, a third of the size of one without.

    The palette covers the range of colours rather than the frequent ones, so that the legend keeps
    its hues.
    """
    from PIL import Image

    picture = Image.open(file).convert("RGB")
    coverage, plain = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    reduced = picture.quantize(COLOURS, method=coverage, kmeans=1, dither=plain)
    out = io.BytesIO()
    reduced.save(out, format="png", optimize=True)
    return out.getvalue()


def draw(ax: "Axes", result: TableResult) -> None:
    """One table on axes that fill `WIDTH` by `HEIGHT` inches."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = ScalarMappable(Normalize(-LIMIT, LIMIT), colormaps["PuOr_r"])
    rows = [w.row_cells(result, source) for source in Aspect] + [list(result.reseed)]
    ax.set_axis_off()
    ax.set_xlim(-LEFT, len(w.TARGETS) + 0.05)
    ax.set_ylim(len(rows) + BOTTOM, -TOP)
    for y, cells in enumerate(rows):
        for x, cell in enumerate(cells):
            _box(ax, x, y, cell, scale, _fitted(list(_cell_lines(result, cell))))
    for y, lines in enumerate(_row_names(result)):
        _stack(ax, -LEFT / 2 - 0.01, y + 0.5, lines)
    for x, (name, metric, regime) in enumerate(w.column_heads(result)):
        metrics = [Line(m) for m in metric.split(" / ")]
        _stack(ax, x + 0.5, -0.3, [Line(name, 9.5, bold=True), *metrics, Line(regime)])
    ax.plot([len(Aspect)] * 2, [0, len(rows)], color="black", linewidth=1.5)
    ax.plot([0, len(w.TARGETS)], [len(Aspect)] * 2, color="black", linewidth=1.5)
    caption = textwrap.wrap(w.caption(result), 115)
    title = [Line(result.title, 12, bold=True), *(Line(text, 8.5) for text in caption)]
    _stack(ax, (len(w.TARGETS) - LEFT) / 2, -0.8, title)
    _legend(ax, scale, len(rows), row_method.legend(result))


def _row_names(result: TableResult) -> list[list[Line]]:
    named = [(f"{s.letter} {s}", w.row_arm(result, s)) for s in Aspect]
    named.append(("reseed control", "baseline again"))
    return [
        [Line(text, 8, bold=True) for text in _fold(head, 16)]
        + [Line(text) for text in _fold(arm, 14)]
        for head, arm in named
    ]


def _legend(ax: "Axes", scale: "ScalarMappable", rows: int, more: str) -> None:
    bar = ax.inset_axes((1, rows + 0.28, len(w.TARGETS) - 2, 0.08), transform=ax.transData)
    assert ax.figure is not None
    ax.figure.colorbar(scale, cax=bar, orientation="horizontal")
    bar.tick_params(labelsize=8, length=2)
    _stack(
        ax,
        len(w.TARGETS) / 2,
        rows + 0.18,
        [Line("colour: effect / smallest effect of interest (benefit below 0, harm above)", 8.5)],
    )
    beyond = "beyond matched: the effect beyond a baseline that was stopped at equal accuracy"
    texts = textwrap.wrap(f"{w.legend()}; {beyond}{more}", 120)
    _stack(ax, (len(w.TARGETS) - LEFT) / 2, rows + 0.7, [Line(text) for text in texts])


def _box(
    ax: "Axes", x: int, y: int, cell: CellResult, scale: "ScalarMappable", lines: list[Line]
) -> None:
    from matplotlib.patches import Rectangle

    effect, measure = cell.estimate.effect, cell.measure
    colour = EMPTY
    if effect is not None and measure is not None:
        severity = np.asarray(effect.effect / measure.delta)
        colour = tuple(float(v) for v in scale.to_rgba(severity))
    dark = sum(colour[:3]) < DARK
    ax.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=2))
    _stack(ax, x + 0.5, y + 0.5, lines, "white" if dark else "black")


def _cell_lines(result: TableResult, cell: CellResult) -> Iterator[Line]:
    """What a cell says: its own metric, effect, interval, verdict, what qualifies them."""
    by = row_method.by(cell)
    if by:
        yield from (Line(text, 8.0, bold=True) for text in _fold(by, FOLD))
    own = w.own_metric(result, cell)
    if own:
        yield from (Line(text, 7.5) for text in _fold(own.replace(" - ", " minus "), FOLD))
    if cell.estimate.settings:
        yield from (Line(t, 7.5) for t in _fold(w.at_settings(cell.estimate).strip(), FOLD))
    effect = cell.estimate.effect
    if effect is not None:
        yield Line(w.number(effect.effect), 13, bold=True)
        yield Line(w.interval(effect), 8.5)
        yield from _sample(result, effect)
    yield Line(w.short(cell.verdict), 10, bold=True)
    yield from (Line(warning, bold=True) for warning in marks.warnings(cell))
    if cell.target == UTILITY:
        for estimate in cell.secondary:
            yield from _secondary(estimate)
    if cell.beyond_matched is not None:
        yield Line(f"beyond matched {w.number(cell.beyond_matched.effect)}", 7.5)
        yield Line(w.interval(cell.beyond_matched), 7.5)
    yield from _row_own(cell)


def _fitted(lines: list[Line]) -> list[Line]:
    """The lines in smaller letters where they are too many for a box."""
    factor = min(1.0, ROOM / sum(line.size for line in lines))
    return [line._replace(size=factor * line.size) for line in lines]


def _row_own(cell: CellResult) -> Iterator[Line]:
    """What the row's own method does, below a cell that is measured by another one."""
    own = cell.own
    if own is not None and own.effect is not None:
        name = row_method.metric(cell, own)
        yield Line(f"row {w.number(own.effect.effect)}" + (f" {w.bare(name)}" if name else ""), 7.5)
        yield Line(f"{w.interval(own.effect)} {row_method.verdict(own)[:1]}", 7.5)


def _sample(result: TableResult, effect: Effect) -> Iterator[Line]:
    """The number of replicates, where the caption says another or there are several pools."""
    if effect.pools > 1 or effect.n != result.replicates * len(result.seeds):
        yield Line(w.sample(effect))


def _secondary(estimate: Estimate) -> Iterator[Line]:
    if estimate.effect is not None:
        yield Line(w.bare(str(estimate.metric)), 7.5)
        yield Line(f"{w.number(estimate.effect.effect)} {w.interval(estimate.effect)}", 7.5)


def _fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters where the words allow it, broken at blanks, / and _.

    >>> _fold("attacker_views/auc_label_set", 20)
    ['attacker_views/auc_', 'label_set']
    """
    lines = [""]
    for word in re.findall(r"[^_/ ]*[_/ ]*", text):
        if lines[-1] and len(lines[-1]) + len(word.rstrip()) > width:
            lines.append("")
        lines[-1] += word
    return [line.strip() for line in lines]


def _stack(ax: "Axes", x: float, y: float, lines: Sequence[Line], colour: str = "black") -> None:
    """Lines of their own sizes, centred on a point."""
    from matplotlib.offsetbox import AnnotationBbox, TextArea, VPacker

    def style(line: Line) -> dict[str, Any]:
        weight = "bold" if line.bold else "normal"
        return {"size": line.size, "weight": weight, "color": colour, "parse_math": False}

    areas: list[Artist] = [TextArea(line.text, textprops=style(line)) for line in lines]
    packed = VPacker(children=areas, align="center", pad=0, sep=2.5)
    ax.add_artist(AnnotationBbox(packed, (x, y), frameon=False, pad=0))
