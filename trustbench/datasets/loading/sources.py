"""The file that a dataset is read from, and the error if it is not as described."""

from dataclasses import dataclass
from pathlib import Path

from trustbench.errors import DataError


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
