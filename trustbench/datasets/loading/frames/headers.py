"""The names of the columns: whether the first line holds them, and what is wrong with them."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trustbench.contracts.shortening import listed
from trustbench.datasets.loading.frames.reading import Reading
from trustbench.errors import DataError

NUMBER = re.compile(r"[+-]?(\d[\d.,']*|\.\d+)([eE][+-]?\d+)?")
MANY = 5
"""Columns from which a first line 0, 1, 2, ... is not a row of numbers by chance."""
CODES = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-", ".", "unknown"})
"""Fields that may stand for a missing number, in lower case."""


class Header(NamedTuple):
    """The columns' names, those that the file does not name, whether it has a header, and why."""

    names: tuple[str, ...]
    unnamed: frozenset[str]
    present: bool
    why: dict[str, str]


def header_of(path: Path, records: Sequence[Sequence[str]], declared: Reading) -> Header:
    """Finds the names of the columns from the first records of a file.

    Raises:
        DataError: the first line may or may not be a header, or names are wrong.
    """
    present, reason = _present(path, records, declared.header)
    width = len(records[1]) if len(records) > 1 else len(records[0])
    names = _names(records, width) if present else [""] * width
    why = {"header": reason}
    if declared.names is not None:
        names = list(declared.names)
        why["names"] = "as declared"
        if len(names) != width:
            raise DataError(
                f"reading.names gives {len(names)} names, but {path} has {width} columns; give one "
                "name for each."
            )
    tidied = [tidy(n) for n in names]
    full = tuple(complete(tidied, why))
    unnamed = {f for f, t in zip(full, tidied, strict=True) if t in ("", "Unnamed: 0")}
    return Header(full, frozenset(unnamed if present else ()), present, why)


def _names(records: Sequence[Sequence[str]], width: int) -> list[str]:
    """The header's names; one fewer than columns if R wrote it or all rows end in a separator."""
    names = list(records[0])
    if len(names) != width - 1:
        return names
    ends = all(not record[-1].strip() for record in records[1:])
    return [*names, ""] if ends else ["", *names]


def tidy(name: str) -> str:
    r"""A name in one line and in Unicode's composed form, so that equal names are equal.

    >>> tidy(" monthly\n income ")
    'monthly income'
    """
    return " ".join(unicodedata.normalize("NFC", name.replace("\ufeff", "")).split())


def complete(names: Sequence[str], why: dict[str, str]) -> list[str]:
    """Names the columns without a name by their position; adds a sentence on them to `why`."""
    blank = [k for k, name in enumerate(names, start=1) if not name]
    if blank and len(blank) < len(names):
        why["names"] = f"without a name in the header: {listed([f'column_{k}' for k in blank])}"
    elif blank:
        why["names"] = f"column_1 to column_{len(names)}, as the file has no header"
    return [name or f"column_{k}" for k, name in enumerate(names, start=1)]


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once."""
    return [name for name, n in Counter(names).items() if n > 1]


def _present(
    path: Path, records: Sequence[Sequence[str]], declared: bool | None
) -> tuple[bool, str]:
    """(whether the first line is a header, why)."""
    if declared is not None:
        return declared, "the first line names the columns" if declared else "there is none"
    first, rest = records[0], records[1:]
    width = len(first)
    if rest and width == len(rest[0]) - 1:
        return True, "the first line has one field fewer than the others, which R leaves out"
    columns = [[r[j].strip() for r in rest if j < len(r)] for j in range(width)]
    over = [j for j, fields in enumerate(columns) if _numbers(fields)]
    words = [j for j in over if not _number(first[j]) and first[j].strip().lower() not in CODES]
    numbers = [j for j in over if _number(first[j])]
    if not words and _counted(first):
        if first[0].strip() and len(first) < MANY:
            raise _either(path, first[0], "a header that counts the columns")
        return True, "the first line numbers the columns"
    if numbers and not all(_year(first[j]) and not all(map(_year, columns[j])) for j in numbers):
        if words:
            raise _either(path, first[numbers[0]], f"a header ({first[words[0]]!r})")
        return False, f"the first line holds {first[numbers[0]]!r} where numbers follow"
    if words or numbers:
        name = first[(words or numbers)[0]]
        return True, f"the first line holds {name!r} where numbers follow"
    return _among_words(first, columns)


def _either(path: Path, field: str, header: str) -> DataError:
    return DataError(
        f"the first line of {path} may be {header} or a row ({field!r}); say which with "
        "reading.header=true or false."
    )


def _among_words(first: Sequence[str], columns: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Decides for a file without a column of numbers."""
    again = [
        name for name, fields in zip(first, columns, strict=False) if name.strip() in set(fields)
    ]
    if again:
        return False, f"{again[0]!r} of the first line occurs again below it"
    return True, "its first line has words that do not occur below them"


def _number(field: str) -> bool:
    return NUMBER.fullmatch(field.strip()) is not None


def _numbers(fields: Sequence[str]) -> bool:
    """Whether the fields are numbers, apart from those that may mean missing."""
    given = [f for f in fields if f.lower() not in CODES]
    return bool(given) and all(map(_number, given))


def _year(field: str) -> bool:
    return field.strip().isdecimal() and 1900 <= int(field) <= 2100


def _counted(names: Sequence[str]) -> bool:
    """Whether the names count from 0, apart from an empty first one, as pandas counts."""
    given = [n.strip() for n in (names[1:] if not names[0].strip() else names)]
    return len(given) > 1 and given == [str(k) for k in range(len(given))]
