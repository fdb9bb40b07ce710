"""Input-gradient penalty, label smoothing and mixup against closed forms and loops by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.unit.interventions.fairness.test_fairness_penalty import batch
from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Schedule
from trustbench.interventions.robustness.input_gradient_penalty import InputGradientPenalty
from trustbench.interventions.robustness.label_smoothing import LabelSmoothing
from trustbench.interventions.robustness.mixup import Mixup
from trustbench.training import loop


def linear(problem, seed=0):
    """Two linear models, R x [d -> 2]."""
    weight = torch.randn(2, problem.n_features, 2, generator=torch.Generator().manual_seed(seed))
    return lambda X: X @ weight, weight


def rows(problem, n=50):
    X, y, group = (torch.as_tensor(v[:n]) for v in problem.rows("train"))
    made, _ = batch(R=2, B=n, C=2, G=2)
    weight = torch.ones(2, n)
    return replace(
        made,
        X=X.expand(2, *X.shape).unsqueeze(2).clone(),
        y=y.expand(2, n).clone(),
        group=group.expand(2, n),
        weight=weight,
    )


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_linear_model_pays_its_closed_form_gradient(problem, norm):
    forward, weight = linear(problem)
    frozen = [replace(problem.features[0], mutable=False), *problem.features[1:]]
    problem = replace(problem, features=tuple(frozen))
    made = rows(problem)
    method = InputGradientPenalty(strength=2.0, norm=norm, step=1e-3)
    X = method.perturb(made, forward, problem)
    assert (X[:, :, 1, 0] == X[:, :, 0, 0]).all()  # an immutable column
    X = X.double()
    logits = torch.stack([X[:, :, v] @ weight.double() for v in (0, 1)], dim=2)
    added = method.objective(torch.zeros(2, 50), logits, made)
    p = logits[:, :, 0].softmax(-1)
    onehot = F.one_hot(made.y, 2).double()
    gradient = (p - onehot) @ weight.double().mT
    free = gradient[..., 1:] * torch.as_tensor(problem.per_column("scale")[1:]).double()
    size = free.norm(dim=-1) if norm == "l2" else free.abs().sum(-1)
    clean = F.cross_entropy(logits[:, :, 0].flatten(0, 1), made.y.flatten(), reduction="none")
    torch.testing.assert_close(added - clean.view(2, 50), 2 * size**2, rtol=0.02, atol=1e-4)
    other = free.abs().sum(-1) if norm == "l2" else free.norm(dim=-1)
    assert not torch.allclose(added - clean.view(2, 50), 2 * other**2, rtol=0.02)


def test_training_with_the_penalty_flattens_the_loss(problem):
    schedule = Schedule("memorising", epochs=15, batch_size=32, lr=0.1)
    X, y, _ = (torch.as_tensor(v) for v in problem.rows("test"))

    def steepness(*plugins):
        made, params = trainer(problem, plugins, schedule, replicates=2)
        best = loop.train(made, params, ignore).best
        at = X.expand(2, *X.shape).clone().requires_grad_()
        logits = made.engine.forward(best, at)
        loss = F.cross_entropy(logits.flatten(0, 1), y.repeat(2))
        return torch.autograd.grad(loss, at)[0].abs().mean().item()

    assert steepness(InputGradientPenalty(strength=10.0)) < 0.7 * steepness()


def test_smoothing_is_that_of_torch_on_every_view():
    made, logits = batch()
    flat, y = logits.flatten(0, 2), made.y.unsqueeze(2).expand(2, 40, 2).flatten()

    def mean(share):
        each = F.cross_entropy(flat, y, reduction="none", label_smoothing=share)
        return each.view(2, 40, 2).mean(2)

    smoothed = LabelSmoothing(0.2).objective(mean(0.0), logits, made)
    torch.testing.assert_close(smoothed, mean(0.2))
    assert not torch.allclose(smoothed, mean(0.1))


def test_pairs_are_mixed_as_by_hand_and_padding_stays(problem):
    made = rows(problem)
    made.weight[:, 40:] = 0
    forward, weight = linear(problem)
    X = Mixup(0.4).perturb(made, forward, problem)
    logits = torch.stack([X[:, :, 0] @ weight], dim=2)
    loss = Mixup(0.4).objective(torch.zeros(2, 50), logits, made)
    lam, other = Mixup(0.4)._pairs(made)
    assert other[0, :40].sort().values.tolist() == list(range(40))
    assert (other[0, :40] != torch.arange(40)).all()
    for k in (0, 7, 39, 45):
        j, share = int(other[1, k]), float(lam[1, k])
        expected = share * made.X[1, k] + (1 - share) * made.X[1, j]
        torch.testing.assert_close(X[1, k], expected)
        log_p = logits[1, k, 0].log_softmax(-1)
        by_hand = -share * log_p[made.y[1, k]] - (1 - share) * log_p[made.y[1, j]]
        torch.testing.assert_close(loss[1, k], by_hand)
    assert (X[:, 40:] == made.X[:, 40:]).all()
    assert float(lam[0, :40].mean()) == pytest.approx(0.5)
    variance = 0.4 * 0.4 / (0.8**2 * 1.8)  # of Beta(.4, .4)
    assert float(lam[0, :40].var(correction=0)) == pytest.approx(variance, rel=0.02)


def test_validation_rows_are_not_mixed(problem):
    made = replace(rows(problem), validation=True)
    X = Mixup().perturb(made, None, problem)
    assert X is made.X
    loss = torch.rand(2, 50)
    assert Mixup().objective(loss, torch.zeros(2, 50, 1, 2), made) is loss
    np.testing.assert_array_equal(made.X, rows(problem).X)
