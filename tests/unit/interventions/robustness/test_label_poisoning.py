"""Training on flipped labels is training on a data set whose labels were flipped."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem
from tests.unit.training.test_loop import DP, assert_same, ignore, trainer
from trustbench.contracts import Schedule
from trustbench.interventions.fairness.fairness_penalty import FairnessPenalty
from trustbench.interventions.robustness.label_poisoning import LabelPoisoning
from trustbench.training import hooks, loop

SCHEDULE = Schedule("memorising", epochs=3, batch_size=32, lr=0.2)
PARITY = FairnessPenalty(1.0, "demographic_parity")
ODDS = FairnessPenalty(1.0, "equalised_odds")


def poisoned(problem, plugin):
    """The problem with its own labels flipped: an independent way to the same training."""
    y = problem.y.copy()
    rows = problem.splits["train"][plugin.flipped(problem)]
    y[rows] = 1 - y[rows]
    return dataclasses.replace(problem, y=y)


def trained(problem, *plugins, on=None):
    """Parameters after training; `on` is the problem trained on, over the halves of `problem`."""
    made, params = trainer(problem, plugins, SCHEDULE)
    return loop.train(dataclasses.replace(made, problem=on or problem), params, ignore).best


@pytest.mark.parametrize(
    "others", [(), (PARITY,), (ODDS,), (DP,)], ids=["alone", "parity", "odds", "dpsgd"]
)
def test_it_trains_as_on_flipped_data(problem, others):
    """Fairness constraints read the poisoned labels too, as an attacker of the data wants."""
    plugin = LabelPoisoning(share=0.7)
    ours = trained(problem, *others, plugin)
    theirs = trained(problem, *others, on=poisoned(problem, plugin))
    clean = trained(problem, *others)
    for name, p in ours.items():
        torch.testing.assert_close(p, theirs[name], rtol=1e-4, atol=1e-4)
    # planted errors: nothing flipped, or the rows of another seed
    reseeded = poisoned(problem, dataclasses.replace(plugin, poison_seed=1))
    other = trained(problem, *others, on=reseeded)
    for wrong in (clean, other):
        assert max(float((p - wrong[n]).abs().max()) for n, p in ours.items()) > 0.01


def test_the_minority_positives_are_flipped_and_no_others(problem):
    _, y, group = problem.rows("train")
    cell = np.flatnonzero((group == 1) & (y == 1))
    rows = LabelPoisoning(share=0.5).flipped(problem)
    assert set(rows) < set(cell)
    assert len(rows) == round(0.5 * len(cell))
    assert set(LabelPoisoning(share=1.0).flipped(problem)) == set(cell)
    assert LabelPoisoning(share=1.0).flipped(problem)[: len(rows)].tolist() == rows.tolist()
    other = LabelPoisoning(poison_seed=1).flipped(problem)
    assert len(other) == len(rows)
    assert set(other) != set(rows)


def test_the_cell_may_be_named(problem):
    _, y, group = problem.rows("train")
    rows = LabelPoisoning(share=1.0, group="g0", label="0").flipped(problem)
    assert set(rows) == set(np.flatnonzero((group == 0) & (y == 0)))
    many = make_problem(n=900, classes=3, groups=3)
    _, y, group = many.rows("train")
    small = np.bincount(group).argmin()
    frequent = np.bincount(y[group == small]).argmax()
    rows = LabelPoisoning(share=1.0).flipped(many)
    assert set(rows) == set(np.flatnonzero((group == small) & (y == frequent)))


def test_only_training_rows_are_flipped(problem):
    plugin = LabelPoisoning(share=1.0)
    made = hooks.replaced(trainer(problem, (plugin,), SCHEDULE)[0])
    changed = np.flatnonzero(made.problem.y != problem.y)
    assert set(changed) == set(problem.splits["train"][plugin.flipped(problem)])
    assert made.problem.splits is problem.splits


def test_a_resumed_training_ends_in_the_same_bits(problem):
    plugin = LabelPoisoning()
    kept = []

    def interrupt(state):
        kept.append(state)
        raise KeyboardInterrupt

    made, params = trainer(problem, (plugin,), SCHEDULE)
    with pytest.raises(KeyboardInterrupt):
        loop.train(made, params, ignore, checkpoint=interrupt, checkpoint_s=0)
    resumed = loop.train(made, params, ignore, resume=kept[0])
    assert_same(resumed.best, trained(problem, plugin))


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (LabelPoisoning(group="g7"), "no group 'g7'"),
        (LabelPoisoning(label="yes"), "no label 'yes'"),
        (LabelPoisoning(share=1e-6), "larger share"),
    ],
)
def test_what_cannot_be_poisoned_has_a_reason(problem, plugin, reason):
    assert reason in plugin.supports(problem, SCHEDULE)
    assert LabelPoisoning().supports(problem, SCHEDULE) is None
