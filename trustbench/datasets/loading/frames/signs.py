"""The decimal and thousands signs of a text file: one choice for all of its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from trustbench.datasets.loading.frames.numbers import (
    PLAIN,
    SIGNS,
    NumberSigns,
    fitting,
)
from trustbench.datasets.loading.frames.reading import NONE, Reading
from trustbench.datasets.loading.frames.text_files import CutText
from trustbench.datasets.loading.frames.typed import TextColumn
from trustbench.errors import DataError


def signs_of(
    origin: str,
    columns: Sequence[TextColumn],
    declared: Reading,
    text: CutText,
    why: dict[str, str],
    doubts: dict[str, str],
) -> tuple[NumberSigns, Reading]:
    """(the signs of a file's numbers, its form with them).

    The signs are those that fit the most columns; a column that they do not fit is a doubt.

    Raises:
        DataError: a comma may be a decimal comma or stand between thousands everywhere.
    """
    candidates = _candidates(declared)
    fits, examples = _fitting(columns, candidates)
    signs = candidates[0]
    if fits:
        fitted = {s: sum(s in f for f in fits.values()) for s in candidates}
        signs = max(candidates, key=lambda s: (fitted[s], -candidates.index(s)))
        _refuse_either(origin, signs, fits, examples, text.form.separator == ",")
        example = next(name for name in fits if signs in fits[name])
        why["decimal"] = f"{signs.described()}, as in {examples[example]} of column {example}"
    for name, found in fits.items():
        if signs not in found:
            doubts[name] = (
                f"column {name} writes numbers with {found[0].described()} ({examples[name]}), but "
                f"the rest of {origin} with {signs.described()}; write them alike, or read the "
                f"column as text with reading.types={{{name}: text}}."
            )
    decimal: Literal[".", ","] = "," if signs.decimal == "," else "."
    return signs, replace(text.form, decimal=decimal, thousands=signs.thousands)


def _candidates(declared: Reading) -> list[NumberSigns]:
    """The signs that the declaration leaves open."""
    decimals = [declared.decimal] if declared.decimal else [".", ","]
    if declared.thousands is not None:
        found = [NumberSigns(d, declared.thousands) for d in decimals if d != declared.thousands]
    else:
        found = [s for s in SIGNS if s.decimal in decimals]
    if not found:
        raise DataError(
            f"reading.decimal and reading.thousands are both {declared.thousands!r}; give two "
            f"different signs, or thousands={NONE}."
        )
    return found


def _fitting(
    columns: Sequence[TextColumn], candidates: Sequence[NumberSigns]
) -> tuple[dict[str, list[NumberSigns]], dict[str, str]]:
    """(the signs that fit each column which they concern, an example of each).

    They concern columns that are not plain numbers; if there are such, also those with a point.
    """
    fits: dict[str, list[NumberSigns]] = {}
    examples: dict[str, str] = {}
    plain = []
    for column in columns:
        if column.type not in (None, "number"):
            continue
        words, _ = column.given
        if words.numbers is not None:
            plain.append((column.name, words))
        elif found := fitting(words, candidates):
            fits[column.name] = found
            examples[column.name] = words.first(words.matching("[^0-9+-]"))
    if any(PLAIN not in found for found in fits.values()):
        for name, words in plain:
            pointed = words.matching("[.]")
            if pointed.any() and (found := fitting(words, candidates)):
                fits[name], examples[name] = found, words.first(pointed)
    return fits, examples


def _refuse_either(
    origin: str,
    signs: NumberSigns,
    fits: Mapping[str, Sequence[NumberSigns]],
    examples: Mapping[str, str],
    comma: bool,
) -> None:
    """Raises DataError if each comma may be a decimal comma or stand between thousands.

    Where commas also separate fields, a decimal comma would be most unusual.
    """
    rival = NumberSigns(",", NONE)
    decided = [name for name, found in fits.items() if signs in found]
    if (
        signs == NumberSigns(".", ",")
        and not comma
        and all(rival in fits[name] for name in decided)
    ):
        name = decided[0]
        raise DataError(
            f"{examples[name]} in column {name} of {origin} may have a decimal comma or a comma "
            "between thousands; say which with reading.decimal=',' or reading.thousands=','."
        )
