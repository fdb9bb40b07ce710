"""Short marks for effects that need care; the notes of a table explain them."""

from typing import Protocol

from trustbench.summary.table.results import ArmRow, CellResult, Estimate

UNRELIABLE = "! unreliable"
BELOW_FLOOR = "! below floor"
"""Marks an arm below the utility floor."""


class Labelled(Protocol):
    """An arm in a table or in a choice."""

    @property
    def label(self) -> str:
        """The name of the arm."""

    @property
    def below_floor(self) -> str | None:
        """By how much it misses the utility floor; None if it does not."""


def mark(estimate: Estimate) -> str:
    """The suffix of an effect of an arm below the utility floor; empty for all others."""
    return f"  {BELOW_FLOOR}" if estimate.below_floor else ""


def marked(arm: Labelled) -> str:
    """The label of an arm, with a mark if it is below the utility floor."""
    return f"{arm.label} {BELOW_FLOOR}" if arm.below_floor else arm.label


def starred(arm: ArmRow) -> str:
    """The marked label of an arm, with a star if the table prints it."""
    return f"{marked(arm)} *" if arm.printed else marked(arm)


def warnings(cell: CellResult) -> list[str]:
    """Short warnings for a reader of the cell's effect."""
    found = {UNRELIABLE: cell.unreliable, BELOW_FLOOR: cell.estimate.below_floor}
    return [warning for warning, reason in found.items() if reason]
