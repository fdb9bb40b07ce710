"""Class names as text, and the classes of a model as positions among those of a target."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from trustbench.contracts import Array
from trustbench.contracts.truth_words import FALSE_WORDS, TRUE_WORDS
from trustbench.errors import UserError


def class_name(value: object) -> str:
    """A class as text; a whole number is written without a decimal point.

    >>> class_name(1.0), class_name(np.True_), class_name("yes")
    ('1', 'True', 'yes')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def class_positions(values: Iterable[Any], classes: Sequence[str]) -> Array:
    """The position of each value among the classes, int64 [n]; -1 for one that names no class.

    Two classes that read as no and yes are also named by 0 and 1, false and true.

    >>> class_positions([1.0, 0, "maybe"], ("no", "yes")).tolist()
    [1, 0, -1]
    """
    place = {name: k for k, name in enumerate(classes)}
    truth = _truths(classes)
    names = [class_name(value) for value in values]
    found = [place.get(n, truth.get(n.lower(), -1)) for n in names]
    return np.asarray(found, dtype=np.int64)


def columns_in_order(model: Sequence[str], target: Sequence[str], name: str) -> Array:
    """For each class of the target, the model's column of probabilities; -1 if it never answers it.

    Raises:
        UserError: the model answers a class that the target does not have, or none in common.
    """
    place = class_positions(model, target)
    if (place < 0).any():
        unknown = model[int((place < 0).argmax())]
        raise UserError(
            f"model {name} answers the classes {', '.join(model)}, but the target has "
            f"{', '.join(target)}: {unknown!r} is not among them; name the target's classes as the "
            "model does."
        )
    if len(np.unique(place)) < len(place):
        raise UserError(
            f"model {name} answers the classes {', '.join(model)}, of which two are the same class "
            "of the target; give each class one name."
        )
    order = np.full(len(target), -1, dtype=np.int64)
    order[place] = np.arange(len(model))
    return order


def _truths(classes: Sequence[str]) -> dict[str, int]:
    """Other names of two classes that read as no and yes; empty for any others."""
    lower = [c.lower() for c in classes]
    if len(lower) != 2:
        return {}
    for no, yes in ((0, 1), (1, 0)):
        if lower[no] in FALSE_WORDS and lower[yes] in TRUE_WORDS:
            return {**dict.fromkeys(FALSE_WORDS, no), **dict.fromkeys(TRUE_WORDS, yes)}
    return {}
