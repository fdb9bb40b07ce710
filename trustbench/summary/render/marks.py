"""What marks an effect that needs care, in short; the notes of a table say why."""

from typing import Protocol

from trustbench.summary.table.results import ArmRow, CellResult, Estimate

UNRELIABLE = "! unreliable"
BELOW_FLOOR = "! below floor"
"""Of an arm below the utility floor."""


class Labelled(Protocol):
    """An arm in a table or in a choice."""

    @property
    def label(self) -> str:
        """What the arm is called."""

    @property
    def below_floor(self) -> str | None:
        """By how much it misses the utility floor; None where it does not."""


def mark(estimate: Estimate) -> str:
    """What follows an effect of an arm that is below the utility floor; empty for any other."""
    return f"  {BELOW_FLOOR}" if estimate.below_floor else ""


def marked(arm: Labelled) -> str:
    """The label of an arm, marked where it is below the utility floor."""
    return f"{arm.label} {BELOW_FLOOR}" if arm.below_floor else arm.label


def starred(arm: ArmRow) -> str:
    """The marked label of an arm, with a star where the table prints it."""
    return f"{marked(arm)} *" if arm.printed else marked(arm)


def warnings(cell: CellResult) -> list[str]:
    """What a reader of the cell's effect is warned of, in short."""
    found = {UNRELIABLE: cell.unreliable, BELOW_FLOOR: cell.estimate.below_floor}
    return [warning for warning, reason in found.items() if reason]
