"""What is proven survives every attack; what the bounds say by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import make_system
from tests.tables import make_table
from trustbench.evaluators.robustness.autoattack import AutoAttack
from trustbench.evaluators.robustness.robustness import Robustness
from trustbench.evaluators.robustness.verification import Verification

POINTS = 120


def values(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.mark.parametrize("data", ["numeric", "table", "classes"])
@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.3])
def test_no_attack_breaks_what_is_proven(data, epsilon, system, multiclass_system):
    on = {"numeric": system, "classes": multiclass_system, "table": make_system(make_table())}[data]
    found = Verification(epsilon=epsilon, points=POINTS).measure(on)
    proven = found.rows["verified_accuracy"] > 0
    weak = Robustness(epsilon=epsilon, points=POINTS, steps=10, restarts=1, queries=60)
    robust = weak.measure(on).arrays["robust"]
    assert not (proven & ~robust).any()
    if epsilon == 0.02:
        assert proven.mean() > 0.3
        assert values(found)["unproven"].max() < 0.6
    if epsilon == 0.1:
        strong = values(AutoAttack(epsilon=epsilon, points=POINTS).measure(on))
        accuracy = next(v for k, v in strong.items() if k.startswith("racc"))
        assert (values(found)["verified_accuracy"] <= accuracy + 1e-12).all()


def test_the_radius_and_the_accuracy_agree(system):
    found = Verification(epsilon=0.05, points=POINTS, halvings=12).measure(system)
    radius = found.rows["mean_verified_radius"]
    proven = found.rows["verified_accuracy"]
    assert (radius[proven] >= 0.05 - 1e-3).all()
    assert (radius[~proven] <= 0.05).all()
    interval = values(found)["verified_accuracy_interval"]
    assert (interval <= values(found)["verified_accuracy"]).all()
    right = (system.logits(torch.as_tensor(system.problem.rows("test")[0])).argmax(-1).numpy()
             == system.problem.rows("test")[1])  # fmt: skip
    assert np.allclose(right.mean(), (radius > 0).mean(), atol=0.1)


def test_outputs_that_a_method_replaced_have_no_proof(system):
    other = replace(system, forward=lambda X: 2 * system.forward(X))
    assert "weights" in Verification().supports(other)
    assert Verification().supports(system) is None
