"""Null controls: where there is nothing to find, the measurements must find nothing.

Each control is a check that passes on a true null and fails on a planted effect.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.unit.summary.builder import CRESSWELL, record
from trustbench.evaluators.fairness.set_size_gap import SetSizeGap
from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.evaluators.robustness.set_attack import SetAttack
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.evaluators.utility import Utility
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.saliency import overlap, top
from trustbench.methods.explanations.deletion import deletion
from trustbench.methods.explanations.lime_surrogate import Lime, Stream, flatten
from trustbench.summary.table.estimates import Estimator
from trustbench.summary.table.grouping import group_records

SIGMAS = 4.0  # a true null leaves a band this wide once in 16,000 times


def values(evaluator, system):
    """{name: values [R]}"""
    return {m.name: m.values for m in evaluator.measure(system).measurements}


def check_mean(samples, expected, what):
    """The mean of independent samples [n] lies within SIGMAS standard errors of `expected`."""
    samples = np.asarray(samples, dtype=np.float64)
    error = samples.std(ddof=1) / len(samples) ** 0.5
    off = abs(samples.mean() - expected)
    assert off <= SIGMAS * error, f"{what}: {samples.mean():.4f}, expected {expected:.4f}"


# --- shuffled membership: an attack on what was never trained on is at chance --------------------


@pytest.fixture(scope="module")
def overfitted():
    """Replicates that memorise: 8 on halves of 120 rows in 30 dimensions, classes overlapping."""
    problem = make_problem(n=300, d=30, shift=0.1, seed=3)
    return make_system(problem, replicates=8, hidden=32, steps=80)


def auc_band(member):
    """How far the mean AUC over replicates may be from one half, by chance (Mann-Whitney's null
    variance); complementary pairs count as one, as their scores are not independent."""
    inside, outside = member.sum(1).min(), (~member).sum(1).min()
    error = np.sqrt((inside + outside + 1) / (12 * inside * outside))
    return SIGMAS * error / np.sqrt(len(member) / 2)


def check_auc(system, name):
    found = values(Privacy(), system)[name].mean()
    assert abs(found - 0.5) <= auc_band(system.membership), f"{name} is {found:.3f}"


def shuffled(system):
    """The system as if its pairs had been trained on other halves than they were."""
    other = np.empty_like(system.membership)
    for r in range(0, len(other), 2):
        half = np.random.default_rng(r).permutation(other.shape[1])[: other.shape[1] // 2]
        other[r] = np.isin(np.arange(other.shape[1]), half)
        other[r + 1] = ~other[r]
    return replace(system, membership=other)


@pytest.mark.parametrize("name", ["lira_auc", "lira_offline_auc", "loss_auc", "shuffled_auc"])
def test_shuffled_membership_cannot_be_told(overfitted, name):
    check_auc(shuffled(overfitted), name)


@pytest.mark.parametrize("name", ["lira_auc", "loss_auc"])
def test_true_membership_leaves_the_band(overfitted, name):
    with pytest.raises(AssertionError, match=name):
        check_auc(overfitted, name)


# --- permuted groups: a gap is what chance leaves, no more ---------------------------------------


@pytest.fixture(scope="module")
def sets_system():
    """Released sets where the last group's labels are noise: its sets are larger."""
    problem = make_problem(n=1500, seed=5)
    y, group = problem.y.copy(), problem.group
    noise = np.random.default_rng(55).integers(2, size=len(y))
    y[group == 1] = noise[group == 1]
    X = problem.X.copy()
    X[:, 0] += 8.0 * group  # so that a model can see whom it serves badly
    system = make_system(replace(problem, y=y, X=X), replicates=4, steps=30)
    return SplitConformalSets().deploy(system)


def regrouped(system, draw, share=1.0):
    """The system with the groups of a share of its test rows permuted."""
    problem, rng = system.problem, np.random.default_rng(draw)
    group, rows = problem.group.copy(), rng.permutation(problem.splits["test"])
    rows = rows[: round(share * len(rows))]
    group[rows] = rng.permutation(group[rows])
    return replace(system, problem=replace(problem, group=group))


def check_gap(systems):
    """Over draws of the groups, the gap less its permutation null has mean zero. The draw is the
    unit: the replicates of one draw share its rows, and do not count as evidence."""
    excess = []
    for system in systems:
        found = values(SetSizeGap(permutations=40), system)
        excess.append((found["gap_aps"] - found["gap_aps_permuted"]).mean())
    check_mean(excess, 0.0, "excess gap")


def test_permuted_groups_have_no_excess_gap(sets_system):
    check_gap([regrouped(sets_system, draw) for draw in range(40)])


def test_a_badly_served_group_has_an_excess_gap(sets_system):
    with pytest.raises(AssertionError, match="excess gap"):
        check_gap([regrouped(sets_system, draw, share=0.5) for draw in range(40)])


# --- random attributions: deletion at zero, overlap at chance ------------------------------------


def check_deletion(system, effects_of):
    """The mean over rows of what deletion credits to an explanation is zero."""
    lime = Lime(samples=200, patch_samples=50, sigma=0.0, target="margin")
    area = lime.neighbourhood(system)
    X = system.tensor(system.problem.rows("test")[0][:150])
    found = deletion(
        system, area, X, effects_of(lime, area, X), share=0.2, draws=20,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    check_mean(found.mean(0).cpu().numpy(), 0.0, "deletion")


@pytest.fixture(scope="module")
def wide_system():
    return make_system(make_problem(n=900, d=20, seed=7, shift=0.7), replicates=4, steps=80)


def test_random_attributions_find_nothing_to_delete(wide_system):
    generator = torch.Generator().manual_seed(0)
    check_deletion(
        wide_system,
        lambda lime, area, X: torch.randn(4, len(X), area.parts, generator=generator).double(),
    )


def test_real_attributions_are_no_null(wide_system):
    def real(lime, area, X):
        fits = lime.fits(wide_system, area, X, Stream.PROBE)
        return area.effects(fits.coefficients, flatten(wide_system, X))

    with pytest.raises(AssertionError, match="deletion"):
        check_deletion(wide_system, real)


def check_overlap(a, b, k):
    """Unrelated explanations [n, d] share k / d of their top k columns (hypergeometric mean)."""
    check_mean(overlap(top(a, k), top(b, k)).numpy(), k / a.shape[-1], "overlap")


@pytest.mark.parametrize(("d", "k"), [(20, 5), (64, 10), (10, 3)])
def test_random_attributions_overlap_by_chance(d, k):
    generator = torch.Generator().manual_seed(d)
    a, b = (torch.randn(4000, d, generator=generator) for _ in range(2))
    check_overlap(a, b, k)
    with pytest.raises(AssertionError, match="overlap"):
        check_overlap(a, b + 0.3 * a, k)  # a little of the first in the second


# --- a random direction of the attack's own norm does next to nothing ----------------------------


def check_direction(system, epsilon=0.4):
    """The control costs coverage less than .05 and less than a fifth of what the attack does."""
    sets = SplitConformalSets().deploy(system)
    found = values(SetAttack(epsilon=epsilon, steps=8, points=200), sets)
    for score in sets.set_predictors:
        clean = found[f"coverage_clean_{score}"].mean()
        attack = clean - found[f"coverage_attacked_{score}"].mean()
        control = clean - found[f"coverage_random_{score}"].mean()
        assert attack > 0.1, f"the attack does nothing to {score}: {attack:.3f}"
        assert abs(control) < min(0.05, attack / 5), f"control of {score} costs {control:.3f}"


def test_a_random_direction_is_harmless_where_the_attack_is_not(wide_system):
    check_direction(wide_system)


def test_a_control_that_follows_the_gradient_is_caught(wide_system, monkeypatch):
    def towards_the_attack(threat, X, size, generators):
        X = X.detach().clone().requires_grad_(True)
        logits = wide_system.forward(X)
        lead = logits.max(-1).values.sum() - logits.min(-1).values.sum()
        (slope,) = torch.autograd.grad(lead, X)
        return (X - size.amax() * slope.sign()).detach()

    monkeypatch.setattr(ThreatModel, "random_direction", towards_the_attack)
    with pytest.raises(AssertionError, match="control of"):
        check_direction(wide_system)


# --- untrained models know nothing ---------------------------------------------------------------


@pytest.fixture(scope="module")
def untrained():
    """64 replicates as they were initialised: independent draws of the null."""
    return make_system(make_problem(n=900, classes=3, seed=9), replicates=64, steps=0)


@pytest.fixture(scope="module")
def trained():
    return make_system(make_problem(n=900, classes=3, seed=9), replicates=16, steps=60)


def check_chance(system, name):
    chance = 1 / len(system.problem.classes)
    check_mean(values(Utility(), system)[name], chance, name)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy"])
def test_untrained_models_are_at_chance(untrained, trained, name):
    check_chance(untrained, name)
    with pytest.raises(AssertionError, match=name):
        check_chance(trained, name)


def test_untrained_models_remember_nothing(untrained):
    few = replace(
        untrained,
        forward=lambda X: untrained.forward(X.expand(64, *X.shape[-2:]))[:16],
        replicates=16,
        membership=untrained.membership[:16],
        calibration=untrained.calibration[:16],
    )
    for name in ("lira_auc", "loss_auc"):
        check_auc(few, name)


def constant(system, logits):
    """The system whose replicates answer every input with the same logits."""
    answer = torch.tensor(logits)
    R = system.replicates
    return replace(system, forward=lambda X: answer.expand(R, X.shape[-2], len(logits)))


def check_known_ece(system):
    """Undecided thirds: everything is called class 0 with confidence 1/3, so ECE is known.

    One bin: equal-mass bins would split the ties by row order, which adds the bins' own noise.
    """
    y = system.problem.rows("test")[1]
    known = abs((y == 0).mean() - 1 / 3)
    found = values(Uncertainty(bins=1), system)["ece"]
    assert found == pytest.approx(known, abs=1e-6), f"ece is {found[0]:.4f}, known {known:.4f}"


def test_undecided_models_have_a_known_calibration_error(trained):
    check_known_ece(constant(trained, [0.0, 0.0, 0.0]))
    with pytest.raises(AssertionError, match="ece is"):
        check_known_ece(constant(trained, [0.5, 0.0, 0.0]))


def check_learnt_nothing(system):
    """The table voids the cells of an arm with this system's balanced accuracy."""
    found = record(classes=system.problem.classes, replicates=system.replicates)
    measurements = found.evaluations["utility-s1"].measurements
    measured = values(Utility(), system)["balanced_accuracy"].tolist()
    for name in measurements:
        measurements[name] = measurements[name].model_copy(update={"values": measured})
    group = group_records([found])[0]
    verdict = Estimator(group, CRESSWELL).floor.learnt_nothing(group.baseline("tuned"))
    assert verdict is not None, "the floor lets it pass"
    assert verdict.text.startswith("not applicable (learnt nothing: balanced accuracy 0.3")


def test_the_table_says_that_untrained_models_learnt_nothing(untrained, trained):
    check_learnt_nothing(untrained)
    with pytest.raises(AssertionError, match="lets it pass"):
        check_learnt_nothing(trained)
