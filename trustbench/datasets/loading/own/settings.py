"""Settings of a table that messages name, and the error that carries them."""

from collections.abc import Callable
from dataclasses import dataclass

from trustbench.errors import DataError

NAME = "table"


@dataclass(frozen=True)
class TableSetting:
    """A setting of a table, of one of its columns if `column` is given, and maybe its value.

    >>> print(TableSetting("target"), TableSetting("bins", "[40]", column="age"))
    dataset.target dataset.columns.age.bins=[40]
    """

    key: str
    value: str | None = None
    column: str | None = None

    def __str__(self) -> str:
        place = "" if self.column is None else f"columns.{self.column}."
        value = "" if self.value is None else f"={self.value}"
        return f"dataset.{place}{self.key}{value}"


class TableError(DataError):
    """A table cannot be used; the message names settings in the words of the command.

    >>> error = TableError("give ", TableSetting("target"))
    >>> print(error.worded(lambda setting: f"--{setting.key}"))
    dataset table: give --target.
    """

    def __init__(self, *parts: str | TableSetting) -> None:
        super().__init__(*parts)
        self.parts = parts

    def __str__(self) -> str:
        return self.worded(str)

    def worded(self, words: Callable[[TableSetting], str]) -> str:
        """The message, with `words` for each setting."""
        told = (part if isinstance(part, str) else words(part) for part in self.parts)
        return f"dataset {NAME}: {''.join(told)}."
