"""Which replicates may be shadow models of a target."""

import numpy as np

from trustbench.contracts import Array


def shadows_of(member: Array, target: int) -> Array:
    """Which replicates may be shadows of `target`: bool [R].

    All others except those trained on exactly the rows that the target did not see. A partner in a
    complementary pair depends on what the attacker wants to know: with it, every row has one IN
    shadow fewer if it is a member and one OUT shadow fewer if it is not. That difference in
    averaging error alone moves the AUC of a model that leaks nothing away from one half.
    """
    keep = (member != ~member[target]).any(axis=1)
    keep[target] = False
    return np.asarray(keep)


def folds(member: Array) -> Array:
    """Splits the replicates into two folds, int [R]; complementary partners share a fold.

    Models learned on one fold attack the other. Every replicate is a target once, its partner is
    never learned from, and every row is as often IN as OUT in the fold learned from.

    >>> folds(np.array([[1, 0], [0, 1], [1, 0], [0, 1]], dtype=bool)).tolist()
    [0, 0, 1, 1]
    """
    fold = np.full(len(member), -1)
    pairs = 0
    for r in range(len(member)):
        if fold[r] >= 0:
            continue
        # of several replicates with the complementary rows, as in the example, the next one
        partners = [s for s in range(r + 1, len(member)) if fold[s] < 0]
        partner = next((s for s in partners if (member[s] == ~member[r]).all()), r)
        fold[[r, partner]] = pairs % 2
        pairs += 1
    return fold
