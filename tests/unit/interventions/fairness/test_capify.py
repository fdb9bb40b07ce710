"""CAPIFY and its baselines against gradients of gradients, closed forms and brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, grad

from tests.conftest import make_system
from tests.tables import make_table
from tests.unit.interventions.robustness.test_regularisers import linear, rows
from tests.unit.training.test_loop import TinyMLP, ignore, trainer
from trustbench.contracts import Schedule, Streams
from trustbench.evaluators.fairness.unfair_area import UnfairArea
from trustbench.interventions.fairness.cal import CausalAdversarialLearning
from trustbench.interventions.fairness.cal_as_published import CausalLearningAsPublished
from trustbench.interventions.fairness.capify import Capify
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.adversarial_learning import AdversarialLearning
from trustbench.interventions.robustness.llr import LocalLinearity
from trustbench.methods.attacks.evasion.actionable import actionable_mask
from trustbench.methods.attacks.evasion.linearity import margin_of, penalties
from trustbench.methods.causal.twins import twins
from trustbench.training import loop

TABLE = make_table()
SCHEDULE = Schedule("memorising", epochs=15, batch_size=50, lr=0.1, momentum=0.9)


def generators(R=2):
    return [Streams(0).torch("attacks", r) for r in range(R)]


def causal_rows(n=40):
    return replace(rows(TABLE, n=n), generators=generators())


def by_double_backpropagation(net, names, x, d, mask, y, others, weight=1.0):
    """The loss of one example as the paper writes it, with autograd's own gradient of g."""

    def loss(params):
        def g(at):
            return margin_of(functional_call(net, params, (at[None],))[0])

        slope = grad(g)(x)
        curved = (g(x + d) - g(x) - (d * slope).sum()).abs()
        steep = (slope * mask).square().sum()
        clean, *each = (
            F.cross_entropy(functional_call(net, params, (at[None],)), y[None])
            for at in (x, *others)
        )
        return clean + curved + weight * steep + torch.stack(each).amax()

    return grad(loss)(names)


def test_views_give_the_gradients_of_double_backpropagation_example_by_example():
    """Per-example norms are what DP-SGD clips: relative error below 1 %."""
    made, params = trainer(TABLE, [Capify()], replicates=2)
    params = {n: 3 * p.double() for n, p in params.items()}
    batch = causal_rows(n=30)
    batch.X = batch.X.double()

    def forward(X):
        return made.engine.forward(params, X)

    X = Capify().perturb(batch, forward, TABLE)
    seen = {}

    def coefficients(norms, part):
        seen[part.start or 0] = norms
        return torch.ones_like(norms)

    def loss(logits, part):
        at = replace(batch, y=batch.y[part])
        return Capify().objective(torch.zeros(logits.shape[:2]), logits, at)

    total = made.engine.gradient(params, X, loss, coefficients).total
    norms = torch.cat([seen[k] for k in sorted(seen)])
    net, mask = TinyMLP().build(TABLE).double(), actionable_mask(TABLE, (), X)
    for r in range(2):
        own = {n: p[r] for n, p in params.items()}
        each = [
            by_double_backpropagation(
                net, own, X[r, i, 0], X[r, i, 1] - X[r, i, 0], mask, batch.y[r, i], X[r, i, 6:]
            )
            for i in range(30)
        ]
        flat = torch.stack([torch.cat([g.flatten() for g in e.values()]) for e in each])
        torch.testing.assert_close(norms[r], flat.norm(dim=1), rtol=0.01, atol=1e-6)
        ours = torch.cat([total[n][r].flatten() for n in own])
        assert (ours - flat.sum(0)).norm() < 0.01 * flat.sum(0).norm()
        planted = by_double_backpropagation(  # half the flatness: what a missing factor of 2 does
            net, own, X[r, 0, 0], X[r, 0, 1] - X[r, 0, 0], mask, batch.y[r, 0], X[r, 0, 6:], 0.5
        )
        wrong = torch.cat([g.flatten() for g in planted.values()]).norm()
        assert abs(wrong - norms[r, 0]) > 0.01 * norms[r, 0]


@pytest.mark.parametrize("method", [Capify(epsilon=0.5), LocalLinearity(epsilon=0.5)])
def test_a_linear_margin_is_straight_and_as_steep_as_its_weights(method):
    forward, weight = linear(TABLE)
    batch = causal_rows()
    X = method.perturb(batch, forward, TABLE)
    assert (X[:, :, 1] - X[:, :, 0]).norm(dim=-1) == pytest.approx(0.5, abs=1e-4)
    curved, steep = penalties((X.double().flatten(1, 2) @ weight.double()).unflatten(1, (40, -1)))
    free = (weight[:, :, 1] - weight[:, :, 0]) * actionable_mask(TABLE, (), weight)
    assert curved.abs().max() < 1e-4
    torch.testing.assert_close(
        steep, free.double().square().sum(1)[:, None].expand(2, 40), rtol=1e-3, atol=1e-6
    )


def test_the_flatness_is_of_the_features_that_are_named():
    assert actionable_mask(TABLE, ("x1",), torch.ones(1)).tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert "no input 'x9'; Available" in Capify(actionable=("x9",)).supports(TABLE, SCHEDULE)


def test_twins_are_the_last_views_and_the_worst_of_them_counts():
    forward, weight = linear(TABLE)
    batch = causal_rows()
    X = Capify().perturb(batch, forward, TABLE)
    truth = torch.as_tensor(twins(TABLE.scm, batch.X[0, :, 0].numpy())).transpose(0, 1)
    torch.testing.assert_close(X[0, :, 6:], truth)
    logits = (X.flatten(1, 2) @ weight).unflatten(1, (40, -1))
    with_, without = (Capify(twins=v).objective(None, logits, batch) for v in (1.0, 0.0))
    each = [F.cross_entropy(logits[0, :, v], batch.y[0], reduction="none") for v in (6, 7)]
    torch.testing.assert_close((with_ - without)[0], torch.maximum(*each), rtol=1e-4, atol=1e-5)


def test_cal_takes_the_worst_and_the_published_code_a_random_one():
    forward, weight = linear(TABLE)
    X = CausalAdversarialLearning(epsilon=0.3, samples=200).perturb(causal_rows(), forward, TABLE)
    random = CausalLearningAsPublished(epsilon=0.3, level=1).perturb(causal_rows(), forward, TABLE)
    assert X.shape == random.shape == (2, 40, 1, 7)
    scm, clean, y = TABLE.scm, causal_rows().X[:, :, 0], causal_rows().y
    jacobian = scm.from_latent(np.eye(7)) - scm.from_latent(np.zeros((1, 7)))
    for r in range(2):
        w = (weight[r, :, 1] - weight[r, :, 0]).numpy()
        reach = 0.3 * np.linalg.norm((jacobian @ w)[:5])
        level = scm.levels()[1]
        assert (random[r, :, 0, 5:].numpy() == level).all(), "everybody has the same sex"
        sign = 1 - 2 * y[r].numpy()  # a loss grows with the margin of the other class
        worst = (twins(scm, clean[r].numpy()) @ w * sign).max(0) + reach
        found = (X[r, :, 0].numpy() @ w) * sign
        assert (found <= worst + 1e-4).all()
        assert (worst - found < 0.4 * reach).all()
        assert ((random[r, :, 0].numpy() @ w) * sign < found - 1e-6).mean() > 0.9


def test_adversarial_learning_goes_uphill_within_its_ball():
    forward, weight = linear(TABLE)
    batch = causal_rows()
    moved = AdversarialLearning(epsilon=0.2).perturb(batch, forward, TABLE) - batch.X
    torch.testing.assert_close(moved.norm(dim=-1), torch.full((2, 40, 1), 0.2))
    w = (weight[:, :, 1] - weight[:, :, 0])[:, None] * (1 - 2 * batch.y)[..., None]
    cosine = F.cosine_similarity(moved[:, :, 0], w, dim=-1)
    assert cosine.min() > 0.5  # the direction of Adam is between the gradient and its signs


def trained(*plugins, schedule=SCHEDULE):
    made, params = trainer(TABLE, plugins, schedule, replicates=2)
    best = loop.train(made, params, ignore).best
    toy = make_system(TABLE, replicates=2, steps=1)
    return replace(toy, forward=lambda X: made.engine.forward(best, X.expand(2, *X.shape[-2:])))


def test_training_lowers_the_unfair_area_and_the_published_shortcut_does_less():
    def area(*plugins):
        found = UnfairArea(draws=50).measure(trained(*plugins))
        return {m.name: m.values.mean() for m in found.measurements}["uai_05"]

    plain = area()
    assert area(Capify(twins=5.0)) < 0.9 * plain
    assert area(CausalAdversarialLearning()) < plain


def test_under_dpsgd_the_ledger_counts_no_more_than_dpsgd():
    method, dp = Capify(), DPSGD(epsilon=3.0)
    assert method.per_example
    assert method.declares(TABLE, SCHEDULE, 100) == ()
    made, params = trainer(TABLE, [method, dp], replace(SCHEDULE, epochs=2), replicates=2)
    state = loop.train(made, params, ignore)
    assert all(torch.isfinite(p).all() for p in state.best.values())
    alone, _ = trainer(TABLE, [dp], replace(SCHEDULE, epochs=2), replicates=2)
    assert made.rule.read == alone.rule.read


def test_what_cannot_be_trained_says_why(problem, multiclass_system):
    five = multiclass_system.problem
    assert "this task has 5" in Capify().supports(five, SCHEDULE)
    assert "this task has 5" in LocalLinearity().supports(five, SCHEDULE)
    for method in (Capify(), CausalAdversarialLearning(), CausalLearningAsPublished()):
        assert "no causal model; take silobank" in method.supports(problem, SCHEDULE)
    assert "levels 0 to 1" in CausalLearningAsPublished(level=2).supports(TABLE, SCHEDULE)
