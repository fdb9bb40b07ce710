"""The redrawn rows of an audit: stacks look the same to an evaluator, and draw as they should."""

import numpy as np
import pytest

from trustbench.contracts import fraction
from trustbench.execution.audit.answers import Answers
from trustbench.execution.audit.draws import LEAST, identity, stacks
from trustbench.execution.audit.intervals import bootstrap, exact, two_sided_p


def rows(n, seed=0, rare=0.3):
    rng = np.random.default_rng(seed)
    group = (rng.random(n) < rare).astype(int)
    y = (rng.random(n) < 0.4 + 0.2 * group).astype(int)
    return Answers(y, group, np.full((n, 2), 0.5))


def test_all_draws_of_a_stack_have_the_same_labels_and_groups():
    test, inside = rows(400), rows(90, seed=1)
    seen = set()
    for stack in stacks(test, inside, np.random.default_rng(0), 6, 5):
        assert stack.test.shape == (5, 400)
        assert stack.members.shape == (5, 90)
        for of, drawn in ((test, stack.test), (inside, stack.members)):
            assert (of.y[drawn] == of.y[drawn[0]]).all()
            assert (of.group[drawn] == of.group[drawn[0]]).all()
        # group sizes stay; the number of rows of a class within a group is drawn
        assert (np.bincount(test.group[stack.test[0]]) == np.bincount(test.group)).all()
        seen.add(int(test.y[stack.test[0]].sum()))
    assert len(seen) > 1


def test_a_group_with_few_rows_of_a_class_keeps_its_classes():
    test = rows(400, rare=0.08)
    assert np.bincount(test.y[test.group == 1]).min() < LEAST
    for stack in stacks(test, Answers.none(2), np.random.default_rng(0), 5, 2):
        own = test.group[stack.test[0]] == 1
        drawn = np.bincount(test.y[stack.test[0]][own])
        assert drawn.tolist() == np.bincount(test.y[test.group == 1]).tolist()


def test_the_draws_of_a_mean_spread_as_the_plain_bootstrap_of_each_group():
    test = rows(600)
    value = test.y + np.random.default_rng(5).normal(size=600)
    found = [
        value[stack.test].mean(axis=1)
        for stack in stacks(test, Answers.none(2), np.random.default_rng(0), 400, 5)
    ]
    spread = np.concatenate(found).std()
    within = sum((test.group == g).sum() * value[test.group == g].var() for g in (0, 1))
    assert spread == pytest.approx(np.sqrt(within) / 600, rel=0.06)


def test_the_identity_is_every_row_once():
    stack = identity(3, 2)
    assert stack.test.tolist() == [[0, 1, 2]]
    assert stack.members.tolist() == [[0, 1]]


def test_intervals():
    # Clopper and Pearson: R's binom.test(90, 100)$conf.int
    found = exact(0.9, 100)
    assert (found.low, found.high) == pytest.approx((0.8237774, 0.9509953), abs=1e-6)
    assert (exact(0.0, 50).low, exact(1.0, 50).high) == (0.0, 1.0)
    metric = fraction("gap", "A gap.", better="lower")
    draws = np.random.default_rng(0).normal(0.08, 0.02, 100_000)
    moved = bootstrap(0.03, draws, metric)  # the draws are larger by noise, and are moved back
    assert (moved.low, moved.high) == pytest.approx((0.0, 0.03 + 1.96 * 0.02), abs=1e-3)
    assert moved.low90 == 0.0
    assert two_sided_p(bootstrap(0.0392, draws)) == pytest.approx(0.05, abs=2e-3)
    same = bootstrap(0.0, np.zeros(10))
    assert (same.low, same.high, two_sided_p(same)) == (0.0, 0.0, 1.0)
