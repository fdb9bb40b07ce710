"""Whether prediction sets carry information: full sets show no effect of anything."""

import math

from torch import Tensor

from trustbench.contracts.system import System


def rows_needed(alpha: float) -> int:
    """The minimum number of calibration rows for a finite threshold: ceil(1 / alpha) - 1.

    With fewer rows, the rank ceil((n + 1)(1 - alpha)) exceeds n, and every set is full.

    >>> rows_needed(0.1), rows_needed(0.001)
    (9, 999)
    """
    return max(1, math.ceil(1 / alpha - 1e-9) - 1)


def too_few_rows(alpha: float, rows: int, needed: int | None = None) -> str | None:
    """Returns why a level needs more calibration rows than there are; None if it does not.

    `needed` is for methods that do not use all rows for thresholds (None: `rows_needed`).

    >>> too_few_rows(0.001, 126)
    'alpha=0.001 needs at least 999 calibration rows, there are 126: every set holds every label'
    """
    needed = rows_needed(alpha) if needed is None else needed
    if rows >= needed:
        return None
    return (
        f"alpha={alpha:g} needs at least {needed} calibration rows, there are {rows}: "
        "every set holds every label"
    )


def uninformative(system: System, score: str, sets: Tensor) -> str | None:
    """Why the released sets [R, n, C] of a score carry no information, or None if they do."""
    if not bool(sets.all()):
        return None
    known = system.facts.get(f"set_trivial_{score}")  # the method states it if it knows
    if isinstance(known, str):
        return known
    alpha, rows = (system.facts.get(k) for k in ("set_alpha", f"set_rows_{score}"))
    if isinstance(alpha, float) and isinstance(rows, int):
        reason = too_few_rows(alpha, rows)
        if reason is not None:
            return reason
        without = system.facts.get(f"set_without_threshold_{score}")
        each = f"; {rows_needed(alpha)} are needed in each of {without}" if without else ""
        return (
            f"every set of {score} holds every label (alpha={alpha:g}, {rows} calibration rows"
            f"{each}): give more rows or a larger alpha"
        )
    return f"every set of {score} holds every label"
