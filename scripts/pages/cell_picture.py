"""Draws the published effect of a cell beside the smallest effect of interest, as SVG."""

import io
import re

from published import Published

from trustbench.summary.table.table_file import Measure

COLOURS = {"harm": "#b35806", "benefit": "#542788"}
"""The ends of the heat map's scale, which colour-blind readers can distinguish."""
OTHER = "#666666"
BAND = "#dddddd"


def caption(cell: Published, measure: Measure) -> str:
    """The numbers that a picture shows; its file holds them as its description."""
    return f"effect {cell.text}; smallest effect of interest {measure.delta:g}"


def described(svg: str) -> str | None:
    """The description that a picture's file holds."""
    found = re.search(r"<dc:description>(.*?)</dc:description>", svg, re.S)
    return found[1].strip() if found else None


def picture(cell: Published, measure: Measure) -> str:
    """The effect as a bar with its interval; grey is what is too small to matter."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cell", "font.size": 9}):
        figure = Figure(figsize=(5.6, 1.35))
        draw(figure.add_axes((0.03, 0.42, 0.94, 0.53)), cell, measure)
        out = io.StringIO()
        figure.savefig(
            out, format="svg", metadata={"Date": None, "Description": caption(cell, measure)}
        )
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def draw(ax, cell: Published, measure: Measure) -> None:
    """One effect on axes, zero in the middle."""
    reach = 1.15 * max(abs(cell.low), abs(cell.high), measure.delta)
    colour = COLOURS.get(cell.kind, OTHER)
    ax.axvspan(-measure.delta, measure.delta, color=BAND, linewidth=0)
    ax.axvline(0, color="black", linewidth=1)
    ax.barh([0], [cell.effect], height=0.5, color=colour)
    error = [[cell.effect - cell.low], [cell.high - cell.effect]]
    ax.errorbar([cell.effect], [0], xerr=error, fmt="none", color="black", capsize=5)
    ax.set_xlim(-reach, reach)
    ax.set_ylim(-0.6, 0.6)
    ax.locator_params(axis="x", nbins=7)
    ax.set_yticks([])
    ax.set_xlabel("better ←  effect in units of harm  → worse;  grey: too small to matter")
    for side in ("left", "right", "top"):
        ax.spines[side].set_visible(False)
