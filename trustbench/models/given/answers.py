"""The raw answers of a model as probabilities of every class."""

from collections.abc import Iterable

import numpy as np

from trustbench.contracts import Array
from trustbench.contracts.given import ModelSource
from trustbench.errors import UserError
from trustbench.models.given.class_names import class_name, class_positions


def both_classes(positive: Array) -> Array:
    """Probabilities [n, 2] of two classes from that of the second, [n] or [n, 1].

    >>> both_classes(np.array([0.25])).tolist()
    [[0.75, 0.25]]
    """
    p = np.asarray(positive, dtype=np.float64).reshape(-1)
    return np.stack([1 - p, p], axis=1)


def from_margins(margins: Array) -> Array:
    """Probabilities [n, C] of logits [n, C], or of the logit of the second class [n] or [n, 1].

    >>> from_margins(np.array([0.0])).tolist()
    [[0.5, 0.5]]
    """
    z = np.asarray(margins, dtype=np.float64).reshape(len(margins), -1)
    if z.shape[1] == 1:
        z = np.hstack([np.zeros_like(z), z])
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def normalised(each: Array) -> Array:
    """Numbers [n, C], not negative, divided by the sum of each row: float64."""
    p = np.asarray(each, dtype=np.float64)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def own_classes(source: ModelSource, names: Iterable[object]) -> tuple[str, ...]:
    """The classes that a model names itself, in its order.

    The codes 0, 1, ... stand for the target's classes in order, unless these are codes as well.

    >>> own_classes(ModelSource("m", classes=("no", "yes")), ["yes", "no"])
    ('yes', 'no')
    >>> own_classes(ModelSource("m", classes=("bad", "good")), [0, 1])
    ('bad', 'good')
    """
    own = tuple(map(class_name, names))
    target = source.classes or ()
    codes = own == tuple(map(str, range(len(target))))
    return target if codes and (class_positions(own, target) < 0).any() else own


def named_classes(source: ModelSource, count: int) -> tuple[str, ...]:
    """The classes that the user names, or "0", "1", ...: the codes that such models train on.

    Raises:
        UserError: the model has another number of classes.
    """
    if source.classes is None:
        return tuple(map(str, range(count)))
    if len(source.classes) != count:
        raise UserError(
            f"model {source.name} has {count} classes, but {len(source.classes)} are named "
            f"({', '.join(source.classes)}); name one for each, in the model's order."
        )
    return source.classes
