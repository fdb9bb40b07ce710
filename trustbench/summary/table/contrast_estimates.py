"""Turns contrasts into estimates, which every output reads, and gives them verdicts."""

from collections.abc import Sequence
from dataclasses import replace

from trustbench.summary.stats.effects import ALPHA, Verdict
from trustbench.summary.stats.multiplicity import holm
from trustbench.summary.stats.verdicts import judge
from trustbench.summary.table.contrasts import Contrast
from trustbench.summary.table.results import CellResult, Estimate


def filled(
    blank: Estimate, contrast: Contrast | Verdict, below_floor: str | None = None
) -> Estimate:
    """The estimate of a contrast, not judged yet; or with the verdict in its place."""
    if isinstance(contrast, Verdict):
        return replace(blank, verdict=contrast)
    if contrast.degenerate is not None:
        return replace(blank, verdict=contrast.degenerate)
    return replace(blank, below_floor=below_floor, **vars(contrast.numbers))


def judged(
    estimate: Estimate,
    delta: float,
    p_adjusted: float | None = None,
    family: int = 1,
    alpha: float = ALPHA,
) -> Estimate:
    """The estimate with its verdict; without an adjusted p value the raw one counts."""
    effect, own = estimate.effect, estimate.p
    if effect is None or own is None:
        return estimate
    p = own if p_adjusted is None else p_adjusted
    verdict = judge(effect, delta, p, max(family, 1), alpha, estimate.beyond_chance)
    return replace(estimate, verdict=verdict, p_adjusted=p_adjusted)


def judged_together(cells: Sequence[CellResult]) -> tuple[list[CellResult], int]:
    """The cells with verdicts, and the size of Holm's family: off-diagonal, with a p value."""
    tests = [
        i
        for i, c in enumerate(cells)
        if c.estimate.effect and not (c.registered and c.registered.diagonal)
    ]
    p_values = [p for i in tests if (p := cells[i].estimate.p) is not None]
    adjusted = dict(zip(tests, holm(p_values), strict=True))
    out = [
        judged_alone(c, adjusted.get(i), len(tests) if i in adjusted else 1)
        for i, c in enumerate(cells)
    ]
    return out, len(tests)


def judged_alone(cell: CellResult, p_adjusted: float | None = None, family: int = 1) -> CellResult:
    """The cell with its verdict; outside a family the raw p value counts."""
    if cell.measure is None:
        return cell
    return replace(cell, estimate=judged(cell.estimate, cell.measure.delta, p_adjusted, family))
