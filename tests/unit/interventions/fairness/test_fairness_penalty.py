"""The penalty against loops by hand, and its direction against fairlearn."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import torch
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference

from tests.conftest import make_problem
from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Batch, Schedule
from trustbench.interventions.fairness.fairness_penalty import FairnessPenalty
from trustbench.training import loop

SCHEDULE = Schedule("memorising", epochs=60, batch_size=300, lr=0.2)


def batch(R=2, B=40, V=2, C=3, G=3, seed=0):
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(R, B, V, C, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(R, B, generator=g, dtype=torch.float64) + 0.1
    weight[:, -7:] = 0  # padding
    made = Batch(
        X=torch.zeros(R, B, V, 1),
        y=torch.randint(C, (R, B), generator=g),
        group=torch.randint(G, (R, B), generator=g),
        weight=weight,
        rows=torch.arange(B).expand(R, B),
        generators=[],
    )
    return made, logits


def by_hand(made, logits, constraint, *, padding=False, first_pair_only=False):
    """[R]; the last two are planted errors."""
    p = logits.detach().softmax(-1).mean(2).numpy()
    y, group, weight = (t.numpy() for t in (made.y, made.group, made.weight))
    labels = [None] if constraint == "demographic_parity" else range(p.shape[-1])
    totals = []
    for r in range(len(p)):
        total = 0.0
        for label in labels:
            pairs = list(combinations(range(group.max() + 1), 2))
            for a, b in pairs[:1] if first_pair_only else pairs:
                rows = []
                for g in (a, b):
                    inside = group[r] == g
                    if label is not None:
                        inside = inside & (y[r] == label)
                    rows.append(p[r][inside if padding else inside & (weight[r] > 0)])
                if all(len(some) for some in rows):
                    gap = rows[0].mean(0) - rows[1].mean(0)
                    total += sum(gap**2) / 2
        totals.append(total)
    return np.array(totals)


@pytest.mark.parametrize("constraint", ["demographic_parity", "equalised_odds"])
@pytest.mark.parametrize(("C", "G"), [(2, 2), (3, 3), (4, 6)])
def test_the_penalty_is_that_of_loops_by_hand(constraint, C, G):
    made, logits = batch(C=C, G=G)
    loss = torch.rand(2, 40, dtype=torch.float64)
    added = (FairnessPenalty(2.5, constraint).objective(loss, logits, made) - loss).detach()
    expected = 2.5 * by_hand(made, logits, constraint)
    np.testing.assert_allclose(added, np.repeat(expected[:, None], 40, axis=1))
    for error in ({"padding": True}, {"first_pair_only": True} if G > 2 else {"padding": True}):
        assert not np.allclose(added[:, 0], 2.5 * by_hand(made, logits, constraint, **error))


def test_two_classes_and_groups_give_the_squared_gap_in_the_positive_class():
    made, logits = batch(V=1, C=2, G=2)
    p = logits.softmax(-1)[:, :, 0, 1].detach()
    expected = []
    for r in range(2):
        real = made.weight[r] > 0
        mean = [p[r][real & (made.group[r] == g)].mean() for g in (0, 1)]
        expected.append(float(mean[0] - mean[1]) ** 2)
    plugin = FairnessPenalty(1.0, "demographic_parity")
    added = plugin.objective(torch.zeros(2, 40, dtype=torch.float64), logits, made)
    np.testing.assert_allclose(added[:, 0].detach(), expected)


def test_a_batch_without_a_second_group_adds_nothing_and_has_a_gradient():
    made, logits = batch()
    made.group = torch.zeros_like(made.group)
    added = FairnessPenalty().objective(torch.zeros(2, 40, dtype=torch.float64), logits, made)
    (gradient,) = torch.autograd.grad(added.sum(), logits)
    assert (added == 0).all()
    assert (gradient == 0).all()


@pytest.fixture(scope="module")
def biased():
    """One group's positives look like negatives: unequal error rates for any accurate model."""
    problem = make_problem(n=1500, shift=0.6, seed=2)
    X = problem.X.copy()
    X[problem.group == 1] -= 0.8 * (X[problem.y == 1].mean(0) - X[problem.y == 0].mean(0))
    return dataclasses.replace(problem, X=X)


@pytest.mark.parametrize(
    ("constraint", "metric"),
    [
        ("demographic_parity", demographic_parity_difference),
        ("equalised_odds", equalized_odds_difference),
    ],
)
def test_training_with_it_lowers_the_gap_that_fairlearn_measures(biased, constraint, metric):
    X, y, group = biased.rows("test")
    shuffled = dataclasses.replace(biased, group=np.random.default_rng(0).permutation(biased.group))

    def gap(*plugins, on=biased):
        made, params = trainer(biased, plugins, SCHEDULE)
        state = loop.train(dataclasses.replace(made, problem=on), params, ignore)
        decided = made.engine.forward(state.best, torch.as_tensor(X)).argmax(-1).numpy()
        return np.mean([metric(y, d, sensitive_features=group) for d in decided])

    weak, strong = FairnessPenalty(5.0, constraint), FairnessPenalty(20.0, constraint)
    none = gap()
    assert none > gap(weak) > gap(strong)
    assert gap(strong) < 0.7 * none
    assert gap(strong, on=shuffled) > 0.7 * none  # planted error: groups that mean nothing


def test_what_it_declares(problem):
    plugin = FairnessPenalty()
    assert not plugin.per_example
    assert plugin.supports(problem, SCHEDULE) is None
    classes = dataclasses.replace(problem, group=problem.y, group_name="class")
    assert "share a label" in plugin.supports(classes, SCHEDULE)
