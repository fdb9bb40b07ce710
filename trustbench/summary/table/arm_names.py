"""Every name by which a user may choose an arm: its labels, and its name in the sweep."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from trustbench.contracts.shortening import listed
from trustbench.errors import UserError
from trustbench.store.labels import describe, labels, tell_apart
from trustbench.store.records import Record, Sweep

Names = Mapping[str, frozenset[str]]
"""Name -> the ids of the records that it denotes, such as one for each seed."""


def arm_names(records: Sequence[Record], sweeps: Iterable[Sweep]) -> Names:
    """The names of some records.

    These are the labels that a sweep prints, those of tables, which state the data set and the
    model once and cover all seeds, and the names in the sweeps' own lists of arms.
    """
    found = defaultdict[str, set[str]](set)
    for record, text in zip(records, labels([r.arm for r in records]), strict=True):
        found[text].add(record.id)
    for same in _by_table(records):
        texts = tell_apart([describe(r.arm, ("seed",)) for r in same])
        for record, text in zip(same, texts, strict=True):
            found[text].add(record.id)
    stored = {r.id for r in records}
    for sweep in sweeps:
        for name, arm in sweep.names.items():
            if arm in stored:
                found[name].add(arm)
    return {name: frozenset(ids) for name, ids in found.items()}


def _by_table(records: Sequence[Record]) -> list[list[Record]]:
    tables = defaultdict[tuple[str, str], list[Record]](list)
    for record in records:
        tables[record.arm.dataset.name, record.arm.model.name].append(record)
    return list(tables.values())


def completed(given: str, names: Mapping[str, frozenset[Any]]) -> str:
    """The name that is given, or the one that begins with it; the given one if none does.

    Raises UserError if names of different arms begin with it.

    >>> completed("conf", {"conformal alpha=0.1": frozenset({1}), "dpsgd": frozenset({2})})
    'conformal alpha=0.1'
    """
    if given in names:
        return given
    begun = sorted(name for name in names if given and name.startswith(given))
    if len({names[name] for name in begun}) > 1:
        raise UserError(
            f"{listed([repr(name) for name in begun], 8)} begin with {given!r}; give more of one."
        )
    return begun[0] if begun else given
