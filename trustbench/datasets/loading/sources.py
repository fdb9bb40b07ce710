"""The file from which a dataset is read, and the error if it is not as described."""

from dataclasses import dataclass
from pathlib import Path

from trustbench.errors import DataError


@dataclass(frozen=True)
class Source:
    """A file of dataset `dataset`; `remedy` says what to do if it is not as described."""

    dataset: str
    path: Path
    remedy: str

    def fault(self, part: str, holds: str) -> DataError:
        """The error for a part of the file, such as a column, with values that are not allowed."""
        return self.error(f"{part} of {self.path} holds {holds}")

    def error(self, what: str) -> DataError:
        """The error for this file: what is wrong, and what to do."""
        return DataError(f"dataset {self.dataset}: {what}; {self.remedy}.")
