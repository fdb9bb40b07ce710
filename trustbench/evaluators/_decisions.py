"""The deployed decisions on a split."""

import numpy as np

from trustbench.contracts import Array, SplitName, System


def decisions(system: System, split: SplitName) -> Array:
    """The deployed decisions on a split: int64 [R, n], ABSTAIN for rows that are not decided."""
    X, _, group = system.problem.rows(split)
    if system.decider is None:
        return np.asarray(system.split_logits(split).argmax(-1).cpu().numpy())
    return np.asarray(system.decide(system.tensor(X), group).cpu().numpy())
