"""IBP training: its loss and gradient by hand, the ramp, what it buys, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.unit.training.test_loop import DP, TinyMLP, ignore, trainer
from trustbench.config.arms import Chosen
from trustbench.contracts import Batch
from trustbench.errors import ConfigError
from trustbench.execution.clashes import of_bounds, of_hooks
from trustbench.interventions.robustness.ibp import IBPTraining
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.verification.bounds import margins
from trustbench.training import layer_loss, loop
from trustbench.training.layers import chain_of


def worst_by_hand(module, low, high, y, *, absolute=True):
    """Worst-case cross-entropy [n] of Flatten, Linear, activation, Linear; one replicate."""
    first, activation, last = [m for m in module if not isinstance(m, nn.Flatten)]
    centre, reach = (low + high) / 2, (high - low) / 2
    size = first.weight.abs() if absolute else first.weight
    middle, reach = first(centre), reach @ size.T
    low, high = activation(middle - reach), activation(middle + reach)
    rows = last.weight.unsqueeze(0) - last.weight[y].unsqueeze(1)
    highest = (
        (rows.clamp(min=0) * high.unsqueeze(1) + rows.clamp(max=0) * low.unsqueeze(1)).sum(-1)
        + last.bias
        - last.bias[y].unsqueeze(1)
    )
    return nn.functional.cross_entropy(highest, y, reduction="none")


def batch_of(problem, epochs, R=4, n=20, **fields):
    X, y, group = (torch.as_tensor(a[:n]) for a in problem.rows("train"))
    return Batch(
        X=X.expand(R, *X.shape).unsqueeze(2),
        y=y.expand(R, n),
        group=group.expand(R, n),
        weight=torch.rand(R, n, generator=torch.Generator().manual_seed(0)),
        rows=torch.arange(n).expand(R, n),
        generators=[],
        epoch=epochs,
        **fields,
    )


def test_the_gradient_is_that_of_the_blend_by_hand(problem):
    method = IBPTraining(epsilon=0.2, kappa=0.5, ramp=4)
    made, params = trainer(problem, (method,))
    batch = batch_of(problem, epochs=2)  # half of the ramp
    got = loop.batch_gradient(made, params, batch, [], torch.full((4,), 20.0), [{}])
    clean = batch.X[0, :, 0]
    threat = ThreatModel.of(problem, "linf", 0.1, clean)
    module = TinyMLP().build(problem)
    for r in range(4):
        module.load_state_dict({n: p[r] for n, p in params.items()})
        y = batch.y[r]
        grads = []
        for absolute in (True, False):
            ce = nn.functional.cross_entropy(module(clean), y, reduction="none")
            worst = worst_by_hand(module, *threat.bounds(clean), y, absolute=absolute)
            loss = ((0.75 * ce + 0.25 * worst) * batch.weight[r]).sum() / 20
            grads.append(torch.autograd.grad(loss, list(module.parameters())))
        names = [n for n, _ in module.named_parameters()]
        for name, right in zip(names, grads[0], strict=True):
            torch.testing.assert_close(got[name][r], right, rtol=1e-4, atol=1e-6)
        # planted error: radii that pass a layer with their signs
        assert any(
            not torch.allclose(got[n][r], g, rtol=1e-3)
            for n, g in zip(names, grads[1], strict=True)
        )


def test_validation_rows_count_at_the_full_radius(problem):
    method = IBPTraining(epsilon=0.2, ramp=4)
    made, params = trainer(problem, (method,))
    first, second = (batch_of(problem, k, validation=True) for k in (0, 3))
    a, b = (layer_loss.losses(made, params, x, [{}]) for x in (first, second))
    torch.testing.assert_close(a, b)
    start = batch_of(problem, 0)
    assert (layer_loss.losses(made, params, start, [{}]) == 0).all()
    assert (b > 0).all()
    torch.testing.assert_close(method.objective(torch.ones(4, 20), None, start), torch.ones(4, 20))


def proven(made, params, epsilon):
    """The share of test rows that intervals prove, [R]."""
    X, y, _ = made.problem.rows("test")
    X, y = torch.as_tensor(X).expand(4, -1, -1), torch.as_tensor(y)
    chain = chain_of(made.engine.module, params, made.engine.forward, 1)
    threat = ThreatModel.of(made.problem, "linf", epsilon, X)
    found = margins(chain, *threat.bounds(X), y, "interval")
    others = found.scatter(-1, y.expand(4, -1).unsqueeze(-1), torch.inf)
    return (others.amin(-1) > 0).double().mean(1).numpy()


def test_more_is_proven_after_it(problem):
    shares = {}
    for name, methods in {"plain": (), "ibp": (IBPTraining(epsilon=0.3, ramp=3),)}.items():
        made, params = trainer(problem, methods)
        made = replace(made, schedule=replace(made.schedule, epochs=12))
        state = loop.train(made, params, ignore)
        assert np.isfinite(state.best_loss).all()
        shares[name] = proven(made, state.best, 0.3)
    assert (shares["ibp"] > shares["plain"]).all()
    assert shares["ibp"].mean() > shares["plain"].mean() + 0.02


def test_rules_that_bound_gradients_and_other_views_are_refused():
    ibp, dp = Chosen("ibp", IBPTraining()), Chosen("dpsgd", DP)
    assert "would not be bounded" in of_bounds(dp, ibp)
    assert of_bounds(ibp, dp) is None
    assert "`perturb`" in of_hooks(ibp, Chosen("pgd_at", PGDAdversarialTraining()))


def test_a_network_that_is_not_a_chain_is_refused(problem):
    made, params = trainer(problem, (IBPTraining(),))
    odd = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.GELU(), nn.Linear(4, 2))
    engine = type("Odd", (), {"module": odd})()
    with pytest.raises(ConfigError, match="model=mlp"):
        loop.train(replace(made, engine=engine), params, ignore)
