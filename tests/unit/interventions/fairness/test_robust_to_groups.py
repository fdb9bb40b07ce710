"""Group DRO and CVaR: known answers, and that each does what it is for."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import make_problem
from tests.unit.interventions.fairness.test_fairness_penalty import batch
from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Schedule
from trustbench.interventions.fairness.balanced_weights import BalancedWeights
from trustbench.interventions.fairness.cvar import CVaR
from trustbench.interventions.fairness.group_dro import GroupDRO
from trustbench.training import loop

SHORT = Schedule("memorising", epochs=3, batch_size=32, lr=0.1)
LONG = Schedule("memorising", epochs=25, batch_size=60, lr=0.2)


def trained(problem, *plugins, schedule=SHORT):
    made, params = trainer(problem, plugins, schedule, replicates=2)
    return made, loop.train(made, params, ignore)


def same(a, b):
    return all(torch.allclose(a[n], b[n], atol=1e-5) for n in a)


def overlapping():
    """A minority whose classes lie close together."""
    problem = make_problem(n=1500, shift=0.6, seed=2)
    X, minority = problem.X.copy(), problem.group == 1
    X[minority] -= 0.9 * (X[problem.y == 1].mean(0) - X[problem.y == 0].mean(0))
    return replace(problem, X=X)


def test_one_group_is_ordinary_training(problem):
    alone = replace(problem, group=np.zeros_like(problem.group), groups=("all",))
    plain = trained(alone)[1].best
    assert same(trained(alone, GroupDRO(0.5, by="group"))[1].best, plain)
    assert not same(trained(alone, GroupDRO(0.5))[1].best, plain)  # labels differ in size


def test_weights_that_never_move_are_balanced_weights(problem):
    balanced = trained(problem, BalancedWeights())[1].best
    assert same(trained(problem, GroupDRO(0.0))[1].best, balanced)
    assert not same(trained(problem, GroupDRO(0.5))[1].best, balanced)


def test_weights_follow_the_losses_of_the_validation_rows(problem):
    method, memory = GroupDRO(0.7), {}
    made, _ = batch(R=1, B=60, C=2, G=2)
    made = replace(made, X=torch.zeros(1, 60, 1, 1))
    logits = torch.randn(1, 60, 2, generator=torch.Generator().manual_seed(1))

    def forward(_):
        return logits

    method.adapt(memory, made, forward, problem)
    assert torch.allclose(memory["q"], torch.full((1, 4), 0.25))
    method.adapt(memory, made, forward, problem)
    loss = torch.nn.functional.cross_entropy(logits[0], made.y[0], reduction="none")
    cell = made.group[0] * 2 + made.y[0]
    each = torch.stack([loss[cell == c].mean() for c in range(4)])
    assert torch.allclose(memory["q"][0], (0.7 * each).softmax(0), atol=1e-6)
    made.y[made.group == 1] = 0  # the last cell has no row: it moves like the average
    cell, memory = made.group[0] * 2 + made.y[0], {}
    for _ in range(2):
        method.adapt(memory, made, forward, problem)
    loss = torch.nn.functional.cross_entropy(logits[0], made.y[0], reduction="none")
    each = torch.stack([loss[cell == c].mean() for c in range(3)])
    expected = (0.7 * torch.cat([each, each.mean()[None]])).softmax(0)
    assert torch.allclose(memory["q"][0], expected, atol=1e-6)


def test_the_largest_loss_of_a_cell_falls():
    problem = overlapping()
    X, y, group = problem.rows("test")

    def worst(*plugins):
        made, state = trained(problem, *plugins, schedule=LONG)
        logits = made.engine.forward(state.best, torch.as_tensor(X))
        loss = torch.nn.functional.cross_entropy(
            logits.mT, torch.as_tensor(y).expand(2, -1), reduction="none"
        )
        return max(loss[:, (group == g) & (y == c)].mean() for g in (0, 1) for c in (0, 1))

    assert worst(GroupDRO(0.3)) < 0.97 * worst()


def test_all_rows_are_the_worst_share_one(problem):
    plain = trained(problem)[1].best
    assert same(trained(problem, CVaR(1.0))[1].best, plain)
    assert not same(trained(problem, CVaR(0.3))[1].best, plain)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9, 1.0])
def test_the_objective_has_the_mean_of_the_worst_rows(share, problem):
    made, _ = batch(R=2, B=40)
    made = replace(made, X=torch.zeros(2, 40, 1, 1))
    logits = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0))
    memory = {}
    CVaR(share).adapt(memory, made, lambda _: logits, problem)
    loss = torch.stack(
        [
            torch.nn.functional.cross_entropy(lg, y, reduction="none")
            for lg, y in zip(logits, made.y, strict=True)
        ]
    )
    objective = CVaR(share).objective(loss, logits[:, :, None], replace(made, memory=memory))
    worst = loss.sort(1, descending=True).values[:, : round(share * 40)].mean(1)
    assert torch.allclose(objective.mean(1), worst, atol=1e-5)
    wrong = CVaR(share).objective(
        loss, logits[:, :, None], replace(made, memory={"z": loss * 0 + 2})
    )
    assert share == 1.0 or not torch.allclose(wrong.mean(1), worst, atol=1e-3)


def test_on_errors_it_is_the_error_divided_by_the_share():
    loss = torch.tensor([[0.0] * 8 + [1.0] * 2])
    made, _ = batch(R=1, B=10)
    for share, z in ((0.5, 0.0), (0.1, 1.0)):
        given = replace(made, memory={"z": torch.tensor([[z]])})
        objective = CVaR(share).objective(loss, torch.zeros(1, 10, 1, 3), given)
        assert objective.mean().item() == pytest.approx(min(1.0, 0.2 / share))
