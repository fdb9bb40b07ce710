"""What a careful colleague would say about a table before anything is trained on it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["leak", "copies", "identifier", "constant", "group", "tail", "code", "drift", "note"]
LEAKS: tuple[Kind, ...] = ("leak", "copies")
SMALL_GROUP = 30
"""Fewer rows say little."""


@dataclass(frozen=True)
class TableFinding:
    """A sentence about the table, with its number and what to do."""

    kind: Kind
    text: str


def percent(share: float) -> str:
    """A share in percent that rounds neither to 0 nor to 100.

    >>> percent(0.99396), percent(1.0), percent(0.99997)
    ('99.4 %', '100 %', '99.997 %')
    """
    if share == 1:
        return "100 %"
    digits = 1 if share < 0.999 else 3
    return f"{100 * share:.{digits}f} %"
