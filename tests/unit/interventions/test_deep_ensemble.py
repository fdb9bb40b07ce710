"""The averaged forward, its members, and arms that cannot have any."""

import dataclasses

import pytest
import torch

from trustbench.errors import Unsupported
from trustbench.interventions.deep_ensemble import STRIDE, DeepEnsemble


def test_it_is_the_mean_softmax_of_the_arm_and_its_twins(multiclass_system):
    system = multiclass_system
    ensemble = DeepEnsemble(members=3).deploy(system)
    X = torch.as_tensor(system.problem.rows("test")[0])
    twins = [system, system.reseeded(STRIDE), system.reseeded(2 * STRIDE)]
    each = torch.stack([s.forward(X).softmax(-1) for s in twins])
    torch.testing.assert_close(ensemble.forward(X).softmax(-1), each.mean(0))
    assert not torch.allclose(each[0], each[1], atol=1e-3)
    # planted error: averaged logits
    logits = torch.stack([s.forward(X) for s in twins]).mean(0).softmax(-1)
    assert not torch.allclose(logits, each.mean(0), atol=1e-4)
    y = torch.as_tensor(system.problem.rows("test")[1])
    nll = -each[:, :, torch.arange(len(y)), y].log().mean(-1)
    joint = -ensemble.forward(X).log_softmax(-1)[:, torch.arange(len(y)), y].mean(-1)
    assert (joint <= nll.mean(0) + 1e-6).all()  # Jensen
    X = X[:3].clone().requires_grad_()
    assert torch.autograd.grad(ensemble.forward(X).sum(), X)[0].abs().sum() > 0


class Arm:
    """Systems as the runner makes them: every draw of an arm runs the arm's deploy hooks."""

    def __init__(self, bare, intervention):
        self.bare, self.intervention, self.trained = bare, intervention, []

    def system(self, draw):
        self.trained.append(draw)
        trained = self.bare if draw == 0 else self.bare.reseeded(draw)
        twin = dataclasses.replace(trained, reseeded=lambda k: self.system(draw + k))
        return self.intervention.deploy(twin)


def test_twins_of_an_arm_that_averages_are_joined_before_they_average(multiclass_system):
    arm = Arm(multiclass_system, DeepEnsemble(members=3))
    ensemble = arm.system(0)
    assert arm.trained == [0, STRIDE, 2 * STRIDE]
    X = torch.as_tensor(multiclass_system.problem.rows("test")[0])
    plain = DeepEnsemble(members=3).deploy(multiclass_system)
    torch.testing.assert_close(ensemble.forward(X), plain.forward(X))
    # the same arm drawn again is an ensemble too, and shares no member with the first
    arm.trained.clear()
    again = ensemble.reseeded(1)
    assert not set(arm.trained) & {0, STRIDE, 2 * STRIDE}
    assert len(arm.trained) == 3
    assert not torch.allclose(again.forward(X), ensemble.forward(X), atol=1e-3)


def test_an_arm_without_other_draws_is_refused(system):
    with pytest.raises(Unsupported, match="early-stopped control has none"):
        DeepEnsemble().deploy(dataclasses.replace(system, reseeded=None))
