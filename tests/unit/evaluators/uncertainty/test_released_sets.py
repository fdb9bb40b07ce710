"""Released sets against MAPIE's metrics and by hand; the null without calibration."""

import dataclasses

import numpy as np
import pytest
import torch
from mapie.metrics.classification import (
    classification_coverage_score,
    classification_mean_width_score,
)

from tests.conftest import make_problem, make_system
from trustbench.evaluators.uncertainty.released_sets import LEVEL_UNKNOWN, ReleasedSets, believed
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.interventions.uncertainty.raps import RegularisedSets
from trustbench.methods import conformal


def named(measured):
    return {m.name: m.values for m in measured.measurements}


def releasing(system, sets, **facts):
    """The system with given sets [R, n, C] on the test set."""
    return dataclasses.replace(
        system,
        set_predictors={"aps": lambda X, group: torch.as_tensor(sets)},
        facts=facts,
    )


def test_size_and_coverage_equal_mapie(multiclass_system):
    system = SplitConformalSets().deploy(multiclass_system)
    X, y, group = system.problem.rows("test")
    found = named(ReleasedSets().measure(system))
    for score in ("aps", "lac"):
        sets = system.sets(torch.as_tensor(X), score, group).numpy()
        for r in range(4):
            coverage = classification_coverage_score(y, sets[r][..., None])[0]
            assert found[f"coverage_{score}"][r] == pytest.approx(coverage)
            assert found[f"shortfall_{score}"][r] == pytest.approx(max(0, 0.9 - coverage))
            width = classification_mean_width_score(sets[r][..., None])[0]
            assert found[f"size_{score}"][r] == pytest.approx(width)
        others = classification_coverage_score(y, sets[3][..., None])[0]
        assert found[f"coverage_{score}"][0] != pytest.approx(others), "of its own replicate"


def test_every_number_by_hand(multiclass_system):
    """Class c of five is covered where its row is even, classes 0 and 1 always; sizes 1 or 0."""
    system, y = multiclass_system, multiclass_system.problem.rows("test")[1]
    held = (y < 2) | (np.arange(len(y)) % 2 == 0)
    sets = np.stack([(np.arange(5) == y[:, None]) & held[:, None]] * 4)
    sets[3] = True
    found = named(ReleasedSets(min_class=1).measure(releasing(system, sets, set_alpha=0.3)))
    rate = held.mean()
    assert found["coverage_aps"] == pytest.approx([rate] * 3 + [1.0])
    assert found["shortfall_aps"] == pytest.approx([max(0, 0.7 - rate)] * 3 + [0.0])
    assert found["singleton_rate_aps"] == pytest.approx([rate] * 3 + [0.0])
    assert found["empty_rate_aps"] == pytest.approx([1 - rate] * 3 + [0.0])
    assert found["size_sd_aps"] == pytest.approx([np.sqrt(rate * (1 - rate))] * 3 + [0.0])
    gap = np.mean([abs(held[y == c].mean() - 0.7) for c in range(5)])
    assert found["class_coverage_gap_aps"] == pytest.approx([gap] * 3 + [0.3])
    assert gap != pytest.approx(abs(rate - 0.7), abs=0.01), "classes are not pooled"


def test_rare_classes_are_left_out_of_the_class_gap(multiclass_system):
    y = multiclass_system.problem.rows("test")[1]
    counts = np.bincount(y)
    rare = counts.argmin()
    sets = np.stack([np.broadcast_to(y[:, None] != rare, (len(y), 5))] * 4)
    released = releasing(multiclass_system, sets, set_alpha=0.1)
    all_but_one = named(ReleasedSets(min_class=int(counts.min()) + 1).measure(released))
    assert all_but_one["class_coverage_gap_aps"] == pytest.approx([0.1] * 4)
    every = named(ReleasedSets(min_class=1).measure(released))
    assert every["class_coverage_gap_aps"] == pytest.approx([(4 * 0.1 + 0.9) / 5] * 4)
    none = ReleasedSets(min_class=10**6).measure(released)
    assert none.missing["class_coverage_gap_aps"] == "no class has 1000000 test rows"


def with_labels(system, sharpen, seed=0):
    """The system with test labels drawn from its probabilities, its logits then `sharpen` times."""
    p = system.logits(torch.as_tensor(system.problem.X))[0].double().softmax(-1)
    y = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))[:, 0].numpy()
    problem = dataclasses.replace(system.problem, y=y)
    right = system.forward
    return dataclasses.replace(
        system, problem=problem, replicates=1, forward=lambda X: sharpen * right(X)[:1],
        calibration=system.calibration[:1],
    )  # fmt: skip


@pytest.fixture(scope="module")
def soft():
    return make_system(make_problem(n=8000, classes=5, groups=2, seed=2, shift=0.5), 1, steps=60)


def naive(system):
    return named(ReleasedSets().measure(SplitConformalSets().deploy(system)))


def test_without_calibration_right_probabilities_cover_and_sharp_ones_do_not(soft):
    honest, sharp = naive(with_labels(soft, 1.0)), naive(with_labels(soft, 3.0))
    for score in ("aps", "lac"):
        # 2,400 test rows: two standard errors of a coverage of .9 are .012.
        assert honest[f"shortfall_naive_{score}"][0] < 0.013
        assert sharp[f"shortfall_naive_{score}"][0] > 0.05
        assert sharp[f"shortfall_{score}"][0] < 0.03, "calibration fixes it"


def test_what_sets_hold_of_the_predicted_mass():
    p = torch.rand(3, 200, 4, generator=torch.Generator().manual_seed(0)).double().softmax(-1)
    for score in (conformal.lac(p, p[..., 0]), conformal.aps(p, p[..., 0])):
        threshold = believed(score, p, 0.1)
        held = (p * (score <= threshold[:, None, None])).sum(-1).mean(-1)
        less = (p * (score < threshold[:, None, None])).sum(-1).mean(-1)
        assert (held >= 0.9).all()
        assert (less < 0.9).all()


def test_the_null_is_a_diagnostic_and_needs_a_score_that_has_one(multiclass_system):
    released = RegularisedSets().deploy(SplitConformalSets(scores=("lac",)).deploy(
        multiclass_system))  # fmt: skip
    measured = ReleasedSets().measure(released)
    assert [m.name for m in measured.measurements if m.diagnostic] == [
        "class_coverage_gap_lac_permuted",
        "shortfall_naive_lac",
        "class_coverage_gap_raps_permuted",
    ]
    assert list(measured.missing) == ["shortfall_naive_raps"]


def test_the_band_is_that_of_the_rows_used(multiclass_system):
    n = len(multiclass_system.problem.rows("test")[1])
    facts = ReleasedSets().measure(SplitConformalSets(rows=50).deploy(multiclass_system)).facts
    band = conformal.coverage_band(50, n, 0.1)
    assert (facts["band_low_aps"], facts["band_high_aps"]) == (band.low, band.high)
    assert facts["rows_aps"] == 50
    assert facts["guarantee_lac"] == "marginal coverage"
    expected = conformal.coverage_variation(50, n, 0.1).shortfall
    assert facts["shortfall_expected_aps"] == expected
    assert 0 <= facts["replicates_in_band_aps"] <= 4


def test_sets_of_an_unknown_level_keep_their_sizes(multiclass_system):
    y = multiclass_system.problem.rows("test")[1]
    four = np.ones((4, len(y), 5), bool)
    four[:, :, 0] = False
    measured = ReleasedSets().measure(releasing(multiclass_system, four))
    assert named(measured)["size_aps"].tolist() == [4.0] * 4
    assert measured.missing["shortfall_aps"] == LEVEL_UNKNOWN
    assert "shortfall_aps" not in named(measured)


def test_it_needs_sets(multiclass_system):
    assert ReleasedSets().supports(multiclass_system) is not None
    assert ReleasedSets().supports(SplitConformalSets().deploy(multiclass_system)) is None
