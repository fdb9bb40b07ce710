"""Whether prediction sets say anything: sets that hold every label show no effect of anything."""

import math

from torch import Tensor

from trustbench.contracts.system import System


def rows_needed(alpha: float) -> int:
    """The fewest calibration rows that give a finite threshold: ceil(1 / alpha) - 1.

    With fewer, the rank ceil((n + 1)(1 - alpha)) is above n, and every label is in every set.

    >>> rows_needed(0.1), rows_needed(0.001)
    (9, 999)
    """
    return max(1, math.ceil(1 / alpha - 1e-9) - 1)


def too_few_rows(alpha: float, rows: int, needed: int | None = None) -> str | None:
    """The reason why a level needs more calibration rows than there are; None where it does not.

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
    """Why released sets [R, n, C] of a score say nothing: all hold every label; else None."""
    if not bool(sets.all()):
        return None
    known = system.facts.get(f"set_trivial_{score}")  # the method says it, where it knows
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
