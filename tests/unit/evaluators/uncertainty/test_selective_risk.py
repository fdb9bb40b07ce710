"""Risk-coverage curves against enumeration, and rejection by group against planted groups."""

import dataclasses
import itertools

import numpy as np
import pytest

from tests.conftest import make_problem, make_system
from trustbench.contracts import ABSTAIN
from trustbench.evaluators.uncertainty.selective_risk import SelectiveRisk
from trustbench.methods.risk_coverage import area, oracle_area, risks


def by_hand(confidence, wrong):
    """The curve: its mean over all orders of the rows that do not contradict the confidence."""
    curves = [
        [np.mean([wrong[i] for i in order[: k + 1]]) for k in range(len(wrong))]
        for order in itertools.permutations(range(len(wrong)))
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order))
    ]
    return np.mean(curves, axis=0)


def test_the_curve_is_that_of_enumeration_with_ties():
    rng = np.random.default_rng(0)
    for _ in range(5):
        sure, wrong = rng.integers(3, size=6), rng.random(6) < 0.4
        # planted: an argsort gives ties the order of the rows, which this notices
        np.testing.assert_allclose(risks(sure[None], wrong[None])[0], by_hand(sure, wrong))


def test_a_perfect_score_has_the_area_of_the_oracle_and_a_reversed_one_the_largest():
    wrong = np.random.default_rng(1).random((3, 4000)) < 0.2
    perfect = area(risks(-wrong.astype(float), wrong))
    np.testing.assert_array_equal(perfect, oracle_area(wrong))
    r = wrong.mean(1)
    # its limit in many rows (Geifman et al. 2019)
    np.testing.assert_allclose(perfect, r + (1 - r) * np.log(1 - r), atol=1e-3)
    assert (area(risks(wrong.astype(float), wrong)) > r).all()
    np.testing.assert_allclose(area(risks(np.zeros((3, 4000)), wrong)), r)


@pytest.fixture(scope="module")
def bare():
    return make_system(make_problem(n=1500))


def values(system, **settings):
    return {m.name: m.values for m in SelectiveRisk(**settings).measure(system).measurements}


def leaving_out(system, left):
    """The system, undecided on the test rows `left`, bool [n]."""

    def decide(X, group):
        out = system.logits(X).argmax(-1)
        return out.where(~system.tensor(left), ABSTAIN)

    return dataclasses.replace(system, decider=decide, abstains=True)


def test_leaving_one_group_out_is_a_gap_of_its_share_and_not_of_its_errors(bare):
    _, y, group = bare.problem.rows("test")
    before = values(bare)
    assert (before["rejection_gap"] == 0).all()
    small = np.flatnonzero(group == 1)
    left = np.zeros(len(y), dtype=bool)
    left[small[: len(small) // 2]] = True
    after = values(leaving_out(bare, left))
    share = left[small].mean()
    np.testing.assert_allclose(after["rejection_gap"], share)
    assert after["rejection_gap_permuted"].mean() < share / 3
    right = bare.split_logits("test").argmax(-1).numpy() == y
    kept = ~left
    # planted: errors per test row in place of per decided row would halve those of the small group
    risk = np.stack([1 - right[:, kept & (group == g)].mean(1) for g in (0, 1)])
    np.testing.assert_allclose(after["selective_risk_gap"], np.ptp(risk, axis=0))
    np.testing.assert_allclose(after["worst_group_selective_risk"], risk.max(0))
    np.testing.assert_array_equal(after["aurc"], before["aurc"])


def test_a_group_with_few_decided_rows_is_a_reason_and_not_a_risk(bare):
    group = bare.problem.rows("test")[2]
    found = SelectiveRisk().measure(leaving_out(bare, group == 1))
    assert {m.name for m in found.measurements} >= {"aurc", "rejection_gap"}
    assert "decided test rows" in found.missing["selective_risk_gap"]
