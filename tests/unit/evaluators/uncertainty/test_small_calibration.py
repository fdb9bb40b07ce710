"""Redrawn calibration sets against loops over rows, and against the Beta-binomial law."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.evaluators.uncertainty.small_calibration import SmallCalibration
from trustbench.methods import conformal
from trustbench.methods.conformal import redraws


def named(measured):
    return {m.name: m.values for m in measured.measurements}


@pytest.fixture(scope="module")
def hard():
    return make_system(make_problem(n=1500, classes=4, groups=3, seed=2, shift=0.6), 2)


def quantile(scores, alpha):
    k = int(np.ceil((len(scores) + 1) * (1 - alpha) - 1e-9))
    return np.inf if k > len(scores) else sorted(scores)[k - 1]


def by_hand(labels, y, group, drawn, alpha, mondrian):
    """Coverage, size and coverage gap of one draw, row by row."""
    true, chosen = labels[np.arange(len(y)), y], np.isin(np.arange(len(y)), drawn)
    q = {
        g: quantile(true[chosen & (group == g)] if mondrian else true[chosen], alpha)
        for g in np.unique(group)
    }
    covered, sizes, of = [], [], []
    for i in np.flatnonzero(~chosen):
        covered.append(true[i] <= q[group[i]])
        sizes.append((labels[i] <= q[group[i]]).sum())
        of.append(group[i])
    rates = [np.mean(np.array(covered)[np.array(of) == g]) for g in np.unique(group)]
    return np.mean(covered), np.mean(sizes), max(rates) - min(rates)


@pytest.mark.parametrize("n", [12, 200])
@pytest.mark.parametrize("kind", ["marginal", "mondrian"])
def test_every_draw_equals_a_loop(n, kind):
    rng = np.random.default_rng(0)
    labels, y = rng.random((400, 3)), rng.integers(3, size=400)
    group = np.where(rng.random(400) < 0.1, 2, rng.integers(2, size=400))
    drawn = np.stack([rng.choice(400, n, replace=False) for _ in range(6)])
    found = redraws.evaluate(
        redraws.ScoredRows(labels, y, group), redraws.redraw(drawn, group, 1), alpha=0.2
    )
    mine = getattr(found, kind)
    hand = [by_hand(labels, y, group, d, 0.2, kind == "mondrian") for d in drawn]
    for field, expected in zip(mine, zip(*hand, strict=True), strict=True):
        np.testing.assert_allclose(field, expected, atol=1e-12)
    other = [by_hand(labels, y, group, d, 0.2, kind != "mondrian") for d in drawn]
    assert not np.allclose(mine.size, [o[1] for o in other]), "the other method is told apart"


@pytest.fixture
def many(hard):
    return SmallCalibration(sizes=(50,), draws=1500, scores=("aps",)), hard


def test_coverage_varies_as_the_law_says(many, monkeypatch):
    plugin, system = many
    measured = plugin.measure(system)
    found, facts = named(measured), measured.facts
    left = 300 + 450 - 50
    theory = conformal.coverage_variation(50, left, 0.1)
    assert facts["breach_expected_50"] == theory.breach
    error = 3.5 * np.sqrt(theory.breach * (1 - theory.breach) / 1500)
    assert found["coverage_sd_50"] == pytest.approx([theory.sd] * 2, rel=0.08)
    assert (np.abs(found["breach_50"] - theory.breach) < error).all()
    right = redraws.rank
    monkeypatch.setattr(redraws, "rank", lambda n, alpha: right(n, alpha) - 1)
    wrong = named(plugin.measure(system))
    assert (np.abs(wrong["breach_50"] - theory.breach) > error).all(), "a rank too few is seen"


def test_thresholds_by_group_pay_off_where_groups_differ_and_there_are_rows():
    problem = make_problem(n=4000, classes=4, groups=2, seed=3)
    noise = np.random.default_rng(0).integers(4, size=len(problem.y))
    problem = dataclasses.replace(problem, y=np.where(problem.group == 1, noise, problem.y))
    system = make_system(problem, 2)
    found = named(SmallCalibration(sizes=(600,), draws=40).measure(system))
    for score in ("aps", "lac"):
        mondrian = found[f"mondrian_coverage_gap_{score}_600"]
        assert (mondrian < 0.5 * found[f"marginal_coverage_gap_{score}_600"]).all()


def test_thresholds_by_group_cost_size_where_rows_are_few(hard):
    found = named(SmallCalibration(sizes=(24, 300), draws=40).measure(hard))
    for score in ("aps", "lac"):
        few, many = (
            found[f"mondrian_size_{score}_{n}"] - found[f"marginal_size_{score}_{n}"]
            for n in (24, 300)
        )
        # Eight rows a group in twenty-four: most have no threshold, and get all labels.
        assert (few > 0.3).all()
        assert (np.abs(many) < 0.15).all()


def test_names_sizes_that_do_not_fit_and_groups_that_cannot_be_compared(hard):
    measured = SmallCalibration(sizes=(40, 300, 301), draws=3).measure(hard)
    names = set(named(measured))
    assert {"coverage_sd_40", "breach_300", "mondrian_breach_40"} <= names
    assert {"marginal_size_lac_40", "mondrian_coverage_gap_aps_300"} <= names
    assert len(names) == 2 * (12 + 4), "four of the twelve are gaps, which have a null"
    assert len(measured.missing) == 12
    assert measured.missing["breach_301"] == "301 is more than the 300 rows of the calibration pool"
    strict = SmallCalibration(sizes=(40,), draws=3, min_group=10**6).measure(hard)
    assert "marginal_size_lac_40" in named(strict)
    assert "2 groups" in strict.missing["mondrian_coverage_gap_lac_40"]
    assert SmallCalibration(sizes=(301,)).supports(hard) == (
        "the calibration pool has 300 rows, fewer than sizes=[301]"
    )
    assert SmallCalibration(sizes=(40, 4000)).supports(hard) is None


def test_a_replicate_depends_on_no_other(hard):
    plugin = SmallCalibration(sizes=(40,), draws=5)
    one = dataclasses.replace(
        hard, replicates=1, forward=lambda X: hard.forward(X)[:1], calibration=hard.calibration[:1]
    )
    both, alone = named(plugin.measure(hard)), named(plugin.measure(one))
    assert {k: v[0] for k, v in both.items()} == {k: v[0] for k, v in alone.items()}
    assert both["marginal_size_aps_40"][0] != both["marginal_size_aps_40"][1]


def test_scores_are_those_of_the_rows_that_are_drawn(hard):
    """All labels of equal probability: LAC ties everywhere, so every set is full."""
    flat = dataclasses.replace(hard, forward=lambda X: torch.zeros(2, X.shape[-2], 4))
    found = named(SmallCalibration(sizes=(40,), draws=3, scores=("lac",)).measure(flat))
    assert found["marginal_size_lac_40"].tolist() == [4.0, 4.0]
    assert found["breach_40"].tolist() == [0.0, 0.0]
