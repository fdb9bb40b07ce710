"""Coverage and size of released sets under attack."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.evaluators.robustness import set_attack
from trustbench.evaluators.robustness.set_attack import SetAttack
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.attacks.evasion.targets import targets

QUICK = SetAttack(points=120, steps=10, epsilon=0.4)


@pytest.fixture
def released(multiclass_system):
    """LAC sets at 90 %, calibrated on clean rows, and sets that always hold every label."""
    system = multiclass_system
    problem = system.problem
    rows = problem.splits["calibration"]
    y = torch.as_tensor(problem.y[rows]).expand(system.replicates, -1)
    p = system.forward(torch.as_tensor(problem.X[rows])).softmax(-1)
    scores = 1 - p.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    k = int(np.ceil((len(rows) + 1) * 0.9))
    threshold = scores.sort(dim=1).values[:, k - 1, None, None]
    return dataclasses.replace(
        system,
        set_predictors={
            "lac": lambda X, group: 1 - system.forward(X).softmax(-1) <= threshold,
            "all": lambda X, group: torch.ones_like(system.forward(X), dtype=torch.bool),
        },
    )


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def test_the_attack_breaks_coverage_far_more_than_a_random_direction(released):
    measured = QUICK.measure(released)
    v = named(measured)
    assert (np.abs(v["coverage_clean_lac"] - 0.9) < 0.1).all()
    assert (v["coverage_attacked_lac"] < v["coverage_clean_lac"] - 0.1).all()
    lost = v["coverage_clean_lac"] - v["coverage_attacked_lac"]
    assert (v["coverage_clean_lac"] - v["coverage_random_lac"] < lost / 2).all()
    at = targets(released, 120)
    sets = released.sets(at.X, "lac", at.group)
    np.testing.assert_allclose(v["size_clean_lac"], sets.double().sum(-1).mean(1))
    covered = sets[:, torch.arange(120), at.y]
    np.testing.assert_allclose(v["coverage_clean_lac"], covered.double().mean(1))
    controls = {m.name for m in measured.measurements if m.diagnostic}
    assert controls == {"coverage_random_lac", "size_random_lac", "size_random_all"}


def test_sets_of_all_labels_have_a_size_and_no_coverage(released):
    measured = QUICK.measure(released)
    inputs = ("clean", "attacked", "random")
    assert measured.missing == {
        f"coverage_{name}_all": "every set of all holds every label" for name in inputs
    }
    every = float(len(released.problem.classes))
    for name in (*inputs, "inflated"):
        np.testing.assert_array_equal(named(measured)[f"size_{name}_all"], every)


def test_a_larger_radius_breaks_more(released):
    small = named(dataclasses.replace(QUICK, epsilon=0.1).measure(released))
    large = named(QUICK.measure(released))
    assert (large["coverage_attacked_lac"] <= small["coverage_attacked_lac"]).all()
    assert (large["coverage_attacked_lac"] < small["coverage_attacked_lac"]).any()


def test_more_restarts_never_cover_more(released):
    one = named(QUICK.measure(released))
    two = named(dataclasses.replace(QUICK, restarts=2).measure(released))
    assert (two["coverage_attacked_lac"] <= one["coverage_attacked_lac"]).all()


@pytest.fixture(scope="module")
def overlapping():
    """LAC and APS sets of several labels: five classes that overlap."""
    system = make_system(make_problem(n=1500, classes=5, groups=5, seed=1, shift=0.8), steps=80)
    return SplitConformalSets().deploy(system)


def test_the_size_attack_inflates_sets_beyond_random_directions(overlapping):
    v = named(dataclasses.replace(QUICK, epsilon=0.2).measure(overlapping))
    for score in ("aps", "lac"):
        assert (v[f"size_inflated_{score}"] > v[f"size_random_{score}"] + 0.2).all()
        assert (v[f"size_inflated_{score}"] > v[f"size_attacked_{score}"] + 0.2).all()


def test_both_climbs_together_inflate_more_than_entropy_alone(overlapping, monkeypatch):
    """Three level labels fall below a LAC threshold that two would pass."""
    quick = dataclasses.replace(QUICK, epsilon=0.2)
    both = named(quick.measure(overlapping))
    monkeypatch.setattr(set_attack, "INFLATING", ("entropy",))
    alone = named(quick.measure(overlapping))
    assert (alone["size_inflated_lac"] <= both["size_inflated_lac"]).all()
    assert (alone["size_inflated_lac"] < both["size_inflated_lac"]).any()


def test_an_attacker_who_can_only_shrink_sets_leaves_them(released):
    v = named(QUICK.measure(released))
    assert (v["size_inflated_lac"] >= v["size_clean_lac"]).all()


def test_what_it_needs(system, released):
    assert QUICK.supports(system) == "needs released prediction sets"
    assert QUICK.supports(released) is None
