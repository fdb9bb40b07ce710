"""RSCP and RSCP+ against their formulas in plain numpy, and under the attack they are made for."""

import dataclasses

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy.stats import norm

from tests.conftest import make_problem, make_system
from trustbench.evaluators.robustness.set_attack import SetAttack
from trustbench.interventions.uncertainty import rscp
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.interventions.uncertainty.rscp import RSCP
from trustbench.methods.attacks.smoothing import draws
from trustbench.methods.conformal import covered, set_sizes

GROUP = np.zeros(0, dtype=np.int64)  # marginal sets do not read it
ALPHA, BETA, SIGMA, DELTA, SAMPLES = 0.4, 0.001, 0.5, 0.1, 300


@pytest.fixture(scope="module")
def overlapping():
    """Four replicates of five classes that overlap: sets of several labels, margins near 0."""
    return make_system(make_problem(n=1500, classes=5, groups=5, seed=1, shift=0.8), steps=80)


def reference(system, r, plus, *, shift=True, correct=True):
    """LAC sets of the test rows of replicate r by the formulas of the papers, in numpy.

    The switches plant errors: no delta / sigma, or no Monte Carlo correction.
    """
    problem = system.problem
    noise = draws(system, SIGMA, SAMPLES, torch.zeros(()), rscp.STREAM)

    def scores(X):
        out = [1 - system.forward(torch.as_tensor(X) + e)[r].double().softmax(-1) for e in noise]
        return torch.stack(out).numpy()  # [S, n, C]

    rows = system.calibration[r]
    own = scores(problem.X[rows])[:, np.arange(len(rows)), problem.y[rows]].mean(0)
    level = ALPHA - 2 * BETA if plus and correct else ALPHA
    k = int(np.ceil((len(own) + 1) * (1 - level)))
    threshold = np.sort(own)[k - 1]
    s = scores(problem.rows("test")[0])
    low = s.mean(0)
    if plus and correct:
        threshold = min(threshold + np.sqrt(-np.log(BETA) / 2 / SAMPLES), 1)
        t = np.log(2 / BETA)
        bound = np.sqrt(2 * s.var(0, ddof=1) * t / SAMPLES) + 7 / 3 * t / (SAMPLES - 1)
        low = np.maximum(low - bound, 0)
    correction = DELTA / SIGMA if shift else 0.0
    with np.errstate(invalid="ignore"):
        return norm.ppf(low) - correction <= norm.ppf(threshold)


@pytest.mark.parametrize("plus", [False, True])
def test_sets_are_those_of_the_formula(overlapping, plus):
    system = overlapping
    method = RSCP(alpha=ALPHA, delta=DELTA, sigma=SIGMA, samples=SAMPLES, plus=plus, beta=BETA)
    X = torch.as_tensor(system.problem.rows("test")[0])
    ours = method.deploy(system).sets(X, "lac", GROUP).numpy()
    for r in (0, 3):
        assert (ours[r] == reference(system, r, plus)).mean() > 0.999  # ties in the last digit
        assert (ours[r] == reference(system, r, plus, shift=False)).mean() < 0.99
    if plus:
        assert (ours[0] == reference(system, 0, plus, correct=False)).mean() < 0.99


def test_attacked_sets_keep_their_coverage_and_pay_in_size(overlapping):
    """Clean split conformal sets lose it; a random direction costs next to nothing."""
    attack = SetAttack(norm="l2", epsilon=0.4)

    def measured(method):
        released = method.deploy(overlapping)
        return {m.name: m.values.mean() for m in attack.measure(released).measurements}

    plain = measured(SplitConformalSets())
    robust = measured(RSCP(delta=0.4, sigma=0.4, samples=64))
    for score in ("aps", "lac"):
        assert plain[f"coverage_attacked_{score}"] < 0.85
        assert plain[f"coverage_random_{score}"] > plain[f"coverage_clean_{score}"] - 0.05
        assert robust[f"coverage_attacked_{score}"] > 0.9
        assert robust[f"size_clean_{score}"] > plain[f"size_clean_{score}"] + 0.3


def test_without_a_radius_rscp_is_split_conformal_on_smoothed_scores(overlapping):
    system = overlapping
    X, y, _ = system.problem.rows("test")
    released = RSCP(delta=0.0, samples=16).deploy(system)
    sizes = {}
    for score in ("aps", "lac"):
        sets = released.sets(torch.as_tensor(X), score, GROUP)
        assert abs(covered(sets, y).mean() - 0.9) < 0.06
        sizes[score] = set_sizes(sets).mean()
    larger = RSCP(delta=0.2, samples=16).deploy(system)
    assert set_sizes(larger.sets(torch.as_tensor(X), "aps", GROUP)).mean() > sizes["aps"]
    assert released.facts["set_alpha"] == 0.1
    assert "approximate" in released.facts["set_guarantee_lac"]
    plus = RSCP(samples=16, plus=True).deploy(system)
    assert "approximate" not in plus.facts["set_guarantee_lac"]


def test_scores_of_the_same_inputs_are_computed_once(overlapping):
    calls = []

    def counted(x):
        calls.append(1)
        return overlapping.forward(x)

    released = RSCP(samples=8).deploy(dataclasses.replace(overlapping, forward=counted))
    X = torch.as_tensor(overlapping.problem.rows("test")[0])
    calls.clear()
    first = released.sets(X, "aps", GROUP)
    released.sets(X.clone(), "lac", GROUP)
    assert len(calls) == 8
    assert torch.equal(first, released.sets(X, "aps", GROUP))
    moved = released.sets(X + 1.0, "aps", GROUP)
    assert len(calls) == 16
    assert not torch.equal(moved, first)


def test_bounds_hold_as_often_as_they_say():
    g = torch.Generator().manual_seed(0)
    sample = torch.rand(20_000, 50, generator=g).double() ** 3  # mean 1/4
    for bound in (
        rscp.hoeffding(50, 0.05),
        rscp.bernstein(sample.var(1), 50, 0.05),
    ):
        assert (sample.mean(1) - bound > 0.25).double().mean() < 0.05


def test_impossible_levels_are_refused():
    check = TypeAdapter(RSCP).validate_python
    with pytest.raises(ValidationError, match="not above 2 beta"):
        check({"alpha": 0.001, "plus": True})
    assert check({"alpha": 0.001}).alpha == 0.001
