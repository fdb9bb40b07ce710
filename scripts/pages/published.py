"""Reads the cells of a published table in docs/results/tables.md."""

import html
import re
from dataclasses import dataclass
from pathlib import Path

from trustbench.contracts.aspects import Aspect

PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "tables.md"
NUMBER = r"[+-]\d[\d.]*"
EFFECT = re.compile(rf"({NUMBER}) \[({NUMBER}), ({NUMBER})\] n=(\d+)")
ESCAPED = re.compile(r"\\([_\[\]*])")
BESIDE = ("beyond matched accuracy", "row's own")
"""How the lines below a verdict begin that a page repeats."""


@dataclass(frozen=True)
class Published:
    """One cell: its effect in units of harm, its verdict, and what stands beside them."""

    arm: str
    metric: str | None
    """The contrast, where it is not that of the column."""
    text: str
    effect: float
    low: float
    high: float
    n: int
    verdict: str
    """With its symbol, as the table prints it."""
    beside: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The verdict without its symbol and what it says in brackets.

        >>> published = Published("", None, "", 0, 0, 0, 0, "? inconclusive (needs n = 9)", ())
        >>> published.kind
        'inconclusive'
        """
        return self.verdict[2:].partition(" (")[0]


def published(anchor: str, page: str | None = None) -> dict[tuple[Aspect, Aspect], Published]:
    """The cells of the table at an anchor of the page, by the aspects of row and column."""
    text = PAGE.read_text() if page is None else page
    _, found, rest = text.partition(f"<!-- table:{anchor} -->")
    if not found:
        raise SystemExit(f"{PAGE.name} has no table {anchor}")
    return {
        (source, target): _cell(_unescaped(method.split("<br>")[-1]), cell)
        for line in rest.partition("<!-- /table -->")[0].splitlines()
        for source in Aspect
        if line.startswith(f"| **{source.letter} {source}**")
        for method, *cells in [line.strip("| ").split(" | ")]
        for target, cell in zip(Aspect, cells, strict=False)  # the last column is utility
    }


def _unescaped(line: str) -> str:
    """A line of Markdown as text."""
    return ESCAPED.sub(r"\1", html.unescape(line))


def _cell(arm: str, cell: str) -> Published:
    lines = [_unescaped(line) for line in cell.split("<br>")]
    k = next((k for k, line in enumerate(lines) if EFFECT.match(line)), None)
    if k is None:
        raise SystemExit(f"{PAGE.name}: no effect in the cell {cell!r}")
    head = [line.strip("*") for line in lines[:k]]
    by = [line.removeprefix("by ") for line in head if line.startswith("by ")]
    named = [line for line in head if not line.startswith("by ")]
    match = EFFECT.fullmatch(lines[k])
    assert match is not None
    effect, low, high, n = match.groups()
    return Published(
        arm=by[0] if by else arm,
        metric=named[0] if named else None,
        text=f"{effect} [{low}, {high}]",
        effect=float(effect),
        low=float(low),
        high=float(high),
        n=int(n),
        verdict=lines[k + 1].replace("**", ""),
        beside=tuple(line for line in lines[k + 2 :] if line.startswith(BESIDE)),
    )
