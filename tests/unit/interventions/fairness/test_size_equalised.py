"""Equal sizes against a search, coverage against its guarantee."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.interventions.fairness.mondrian import MondrianSets
from trustbench.interventions.fairness.size_equalised import SizeEqualisedSets
from trustbench.interventions.uncertainty.conformal import SplitConformalSets
from trustbench.methods.conformal import CalibrationScores, covered, quantiles, set_sizes
from trustbench.methods.conformal.equal_size import SizeCurve, equal_size


def drawn(rng, n, classes=4):
    """Scores that are larger for group 1, with labels and groups."""
    group = rng.integers(2, size=n)
    labels = rng.random((n, classes)) ** (2 - group[:, None])
    y = np.where(rng.random(n) < 0.7, labels.argmin(1), rng.integers(classes, size=n))
    return labels, y, group


def tensors(*arrays):
    return CalibrationScores(*(torch.as_tensor(a)[None] for a in arrays))


def by_search(labels, y, group, alpha, first):
    """The smallest set size at which enough of the later rows are covered, tried one by one."""
    n = len(y)
    own = [labels[:first][group[:first] == g] for g in range(2)]
    size = [(own[group[i]] <= labels[i, y[i]]).sum() / len(own[group[i]]) for i in range(first, n)]
    needed = int(np.ceil((n - first + 1) * (1 - alpha) - 1e-9))
    for common in sorted(size):
        if (np.array(size) <= common).sum() >= needed:
            return lambda score, g: (own[g] <= score).sum() / len(own[g]) <= common
    return lambda score, g: True


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_the_common_size_is_the_smallest_that_covers(alpha):
    rng = np.random.default_rng(0)
    labels, y, group = drawn(rng, 301)
    found = equal_size(tensors(labels, y, group), 2, alpha, 0.5, 20)
    inside = by_search(labels, y, group, alpha, 150)
    for score in rng.random(500):
        for g in range(2):
            assert (score <= float(found.threshold[0, g])) == inside(score, g)
    # One size for all is not one threshold: that of the other group is told apart.
    scores = rng.random(500)
    assert any((s <= float(found.threshold[0, 1])) != inside(s, 0) for s in scores)


def test_sizes_are_equal_on_the_first_rows_and_nowhere_near_with_one_threshold():
    labels, y, group = drawn(np.random.default_rng(1), 2001)
    found = equal_size(tensors(labels, y, group), 2, 0.1, 0.5, 20).threshold[0]
    first = np.arange(2001) < 1000
    sizes = [(labels[first & (group == g)] <= float(found[g])).sum(1).mean() for g in range(2)]
    assert abs(sizes[0] - sizes[1]) < 2 / 400
    one = [(labels[first & (group == g)] <= float(found[0])).sum(1).mean() for g in range(2)]
    assert abs(one[0] - one[1]) > 0.2


@pytest.mark.parametrize(("rank_less", "valid"), [(0, True), (1, False)])
def test_overall_coverage_is_exact(rank_less, valid, monkeypatch):
    """Of a new row, over 1,500 draws of 44 rows for the curves and 11 for the threshold.

    Its mean is 10/12 but for ties, and 9/12 with a rank too few.
    """
    right = quantiles.rank
    monkeypatch.setattr(quantiles, "rank", lambda n, alpha: right(n, alpha) - rank_less)
    rng, hits = np.random.default_rng(2), []
    for _ in range(1500):
        labels, y, group = drawn(rng, 56)
        own = tensors(labels[:55], y[:55], group[:55])
        threshold = equal_size(own, 2, 0.2, 0.8, 5).threshold[0]
        hits.append(labels[55, y[55]] <= float(threshold[group[55]]))
    assert (0.8 < np.mean(hits) < 0.88) == valid


def test_a_curve_and_its_inverse():
    curve = SizeCurve(torch.tensor([[0.1, 0.4], [0.2, 0.9]], dtype=torch.float64))
    assert curve.size(torch.tensor([0.05, 0.1, 0.4, 2.0], dtype=torch.float64)).tolist() == [
        0,
        0.5,
        1.5,
        2,
    ]
    for size in (0.0, 0.5, 1.0, 1.5):
        threshold = curve.largest(size)
        assert curve.size(torch.tensor([threshold], dtype=torch.float64)) == size
        next_one = np.nextafter(threshold, np.inf)
        assert curve.size(torch.tensor([next_one], dtype=torch.float64)) == size + 0.5
    assert curve.largest(2.0) == np.inf


def gaps(plugin, system):
    X, y, group = system.problem.rows("test")
    sets = plugin.deploy(system).sets(torch.as_tensor(X), "lac", group)
    size = set_sizes(sets)
    by_group = [size[:, group == g].mean() for g in (0, 1)]
    return abs(by_group[0] - by_group[1]), covered(sets, y).mean()


def test_released_sets_are_of_equal_size_where_mondrian_makes_them_unequal():
    problem = make_problem(n=8000, classes=4, groups=2, seed=3)
    noise = np.random.default_rng(0).integers(4, size=len(problem.y))
    problem = dataclasses.replace(problem, y=np.where(problem.group == 1, noise, problem.y))
    system = make_system(problem, 2)
    gap, coverage = gaps(SizeEqualisedSets(), system)
    assert gap < 0.1
    assert coverage == pytest.approx(0.9, abs=0.03)
    assert gaps(MondrianSets(), system)[0] > 0.5 > gap
    assert gaps(SplitConformalSets(), system)[0] > 2 * gap


def test_small_groups_take_the_sizes_of_all_and_are_named():
    labels, y, group = drawn(np.random.default_rng(4), 200)
    group[20:] = 0
    found = equal_size(tensors(labels, y, group), 2, 0.1, 0.5, 30)
    assert found.pooled.tolist() == [[False, True]]
    assert found.threshold.isfinite().all()
    system = make_system(make_problem(n=400), 2, steps=1)
    facts = SizeEqualisedSets(min_rows=15).deploy(system).facts
    assert facts["set_pooled_lac"] == "g1"
    assert facts["set_guarantee_lac"] == "marginal coverage; none for a group"


def test_too_few_rows_give_full_sets():
    labels, y, group = drawn(np.random.default_rng(5), 12)
    assert equal_size(tensors(labels, y, group), 2, 0.1, 0.5, 1).threshold.isinf().all()
