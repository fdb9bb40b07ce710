"""SAPS as released: scores are tested against a loop in tests/unit/test_conformal.py."""

import numpy as np
import torch

from tests.conftest import make_problem, make_system
from trustbench.interventions.uncertainty.saps import SortedSets
from trustbench.methods.conformal import covered, set_sizes


def test_sets_cover_and_the_weight_reaches_them():
    system = make_system(make_problem(n=4000, classes=8, groups=2, seed=2, shift=0.5), 2)
    X, y, group = system.problem.rows("test")
    found = {}
    for weight in (0.02, 0.2, 5.0):
        released = SortedSets(weight=weight).deploy(system)
        assert list(released.set_predictors) == ["saps"]
        sets = released.sets(torch.as_tensor(X), "saps", group)
        assert (np.abs(covered(sets, y).mean(axis=1) - 0.9) < 0.04).all()
        found[weight] = set_sizes(sets)
    # With a heavy weight the ranks alone decide: sets have one of two sizes.
    assert len(np.unique(found[5.0][0])) <= 3
    assert found[0.02].std() > found[5.0].std()
