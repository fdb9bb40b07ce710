"""Intervals for attacks whose replicates are each other's shadow models.

Every score of a target depends on its shadows, which are the other targets, so that the R values
of a metric move together and their t interval is too short. The mean over targets is a
U-statistic of the replicates; leaving out one replicate, as a target and as a shadow, tells how
much the mean depends on it.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from trustbench.attacks.membership.report import Report
from trustbench.contracts import Array

# The attack on the replicates kept, int64 [k]; all arrays of it have k rows, in this order.
Attack = Callable[[Array], Report]


def jackknifed(attack: Attack, replicates: int) -> Report:
    """The attack on all replicates, its measurements with pseudo-values where these exist.

    With A the mean over all R targets and A_(r) the mean when replicate r is left out, they are
    A + (R - 1) (mean of A_(.) - A_(r)). Where no target depends on another they are the values
    themselves.

    Reference: Tukey 1958; Arvesen 1969, Annals of Mathematical Statistics 40(6), theorem 9
    (U-statistics).
    """
    everyone = np.arange(replicates)
    whole = attack(everyone)
    parts = [attack(np.delete(everyone, r)) for r in everyone] if replicates > 2 else []
    means = [{m.name: m.values.mean() for m in part.measurements} for part in parts]
    found = []
    for m in whole.measurements:
        if not means or not all(m.name in part for part in means):
            found.append(m)
            continue
        left_out = np.array([part[m.name] for part in means])
        pseudo = m.values.mean() + (replicates - 1) * (left_out.mean() - left_out)
        found.append(replace(m, pseudo=pseudo))
    return replace(whole, measurements=found)
