"""Weights by rank against scipy and a loop by hand; the degenerate case of two classes."""

import numpy as np
import pytest
import torch
from scipy import stats

from tests.unit.interventions.fairness.test_fairness_penalty import batch
from trustbench.interventions.uncertainty.at_ur import UncertaintyReducing


@pytest.mark.parametrize("entropy", [0.0, 0.3])
def test_the_objective_is_that_of_a_loop(entropy):
    made, logits = batch(C=5)
    loss = torch.rand(2, 40, dtype=torch.float64)
    found = UncertaintyReducing(entropy=entropy).objective(loss, logits, made).detach()
    for r, i in ((0, 0), (1, 17), (1, 39)):
        total = 0.0
        for v in range(2):
            out = logits[r, i, v].detach().numpy()
            p = np.exp(out) / np.exp(out).sum()
            y = int(made.y[r, i])
            rank = int((out > out[y]).sum())
            total += stats.beta.pdf(rank / 5, 1.1, 5) * -np.log(p[y])
            total += entropy * -(p * np.log(p)).sum()
        assert float(found[r, i] - loss[r, i]) == pytest.approx(total / 2)


def test_no_gradient_passes_the_rank_and_rows_at_the_top_weigh_one():
    made, logits = batch(V=1, C=4)
    added = UncertaintyReducing().objective(logits.new_zeros(2, 40), logits, made)
    top = (logits.argmax(-1) == made.y[..., None])[..., 0]
    assert (added[top] == 0).all()
    assert (added[~top] > 0).all()
    (gradient,) = torch.autograd.grad(added.sum(), logits)
    assert (gradient[top.unsqueeze(-1)] == 0).all()


def test_two_classes_know_two_ranks_only():
    made, logits = batch(V=1, C=2)
    ce = torch.nn.functional.cross_entropy(
        logits.flatten(0, 2), made.y.flatten(), reduction="none"
    ).view(2, 40)
    added = UncertaintyReducing().objective(logits.new_zeros(2, 40), logits, made)
    wrong = (logits.argmax(-1) != made.y[..., None])[..., 0]
    factor = (added / ce)[wrong]
    assert torch.allclose(factor, torch.full_like(factor, stats.beta.pdf(0.5, 1.1, 5)))
