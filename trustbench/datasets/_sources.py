"""The file that a dataset is read from, and the one sentence where it is not as described."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trustbench.errors import DataError

SHOWN = 3
"""How many of several faulty values a sentence lists."""


@dataclass(frozen=True)
class Source:
    """A file of dataset `dataset`; `remedy` is what to do when it is not as described."""

    dataset: str
    path: Path
    remedy: str

    def fault(self, part: str, holds: str) -> DataError:
        """The error of a part of the file, such as a column, that holds something it may not."""
        return self.error(f"{part} of {self.path} holds {holds}")

    def error(self, what: str) -> DataError:
        """The error of this file: what is wrong, and what to do."""
        return DataError(f"dataset {self.dataset}: {what}; {self.remedy}.")


def some(told: Sequence[str]) -> str:
    """The first of several faults, and how many more there are.

    >>> some(["'x' in 2 rows", "'y' in 1 row", "'z' in 1 row", "'u' in 9 rows"])
    "'x' in 2 rows, 'y' in 1 row, 'z' in 1 row and 1 more"
    """
    shown = ", ".join(told[:SHOWN])
    return shown if len(told) <= SHOWN else f"{shown} and {len(told) - SHOWN} more"
