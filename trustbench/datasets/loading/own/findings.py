"""What a careful colleague would say about a table before anything is trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "leak", "copies", "identifier", "constant", "group", "tail", "code", "drift", "assumed", "note"
]
LEAKS: tuple[Kind, ...] = ("leak", "copies")
SMALL_GROUP = 30
"""Fewer rows say little."""


@dataclass(frozen=True)
class TableFinding:
    """A sentence about the table, with its number and what to do."""

    kind: Kind
    text: str


def assumed_favourable(classes: Sequence[str], key: str) -> TableFinding:
    """Nobody has said which of two classes is favourable; `key` is how to say it."""
    return TableFinding(
        "assumed",
        f"no favourable class is declared, so {classes[1]}, the last of {classes[0]} and "
        f"{classes[1]}, is taken as favourable; declare it with {key}",
    )


def percent(share: float) -> str:
    """A share in percent that rounds neither to 0 nor to 100.

    >>> percent(0.99396), percent(1.0), percent(0.99997)
    ('99.4 %', '100 %', '99.997 %')
    """
    if share == 1:
        return "100 %"
    digits = 1 if share < 0.999 else 3
    return f"{100 * share:.{digits}f} %"
