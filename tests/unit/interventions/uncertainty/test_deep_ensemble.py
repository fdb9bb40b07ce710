"""The averaged forward, its members, and arms that cannot have any."""

import dataclasses

import pytest
import torch

from trustbench.errors import Unsupported
from trustbench.interventions.uncertainty.deep_ensemble import STRIDE, DeepEnsemble


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


def test_an_arm_without_other_draws_is_refused(system):
    with pytest.raises(Unsupported, match="needs other draws of this arm"):
        DeepEnsemble().deploy(dataclasses.replace(system, reseeded=None))
