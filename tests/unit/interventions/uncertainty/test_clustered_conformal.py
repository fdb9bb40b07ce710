"""Clusters against another weighted k-means, thresholds against a loop, and what is left alone."""

import itertools

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.contracts import Schedule
from trustbench.interventions.uncertainty.clustered_conformal import ClusteredSets
from trustbench.methods.conformal import CalibrationScores
from trustbench.methods.conformal.clusters import (
    NULL,
    ClusterPlan,
    clustered,
    clusters_of,
    heuristic,
)

SCHEDULE = Schedule(regime="tuned", epochs=1, batch_size=32, lr=0.1)
LEVELS = [0.5, 0.6, 0.7, 0.8, 0.9]


def best_partition(points, weights, k):
    """The partition of few points with the least weighted squared distance, by trying all."""
    best, labels = np.inf, None
    for assigned in itertools.product(range(k), repeat=len(points)):
        assigned = np.array(assigned)
        if len(set(assigned)) < k:
            continue
        cost = 0.0
        for c in range(k):
            own, w = points[assigned == c], weights[assigned == c]
            centre = (w[:, None] * own).sum(0) / w.sum()
            cost += (w[:, None] * (own - centre) ** 2).sum()
        if cost < best:
            best, labels = cost, assigned
    return labels


def together(labels):
    """Which pairs share a cluster: what a partition is, whatever its names."""
    return np.equal.outer(labels, labels)


@pytest.fixture(scope="module")
def scored():
    """Six classes on a line, of such numbers that each way to weigh them parts them differently."""
    rng = np.random.default_rng(0)
    counts = np.array([100, 40, 3000, 12, 3000, 10])
    y = np.repeat(np.arange(6), counts)
    scores = np.array([0.1, 0.3, 0.46, 0.67, 0.9, 1.59])[y] + 0.001 * rng.random(len(y))
    return scores, y, counts


@pytest.mark.parametrize(("power", "same"), [(0.5, True), (0.0, False), (1.0, False)])
def test_clusters_minimise_distances_weighted_by_the_root_of_the_rows(scored, power, same):
    scores, y, counts = scored
    ours = clusters_of(scores, y, 6, k=2, alpha=0.1, seed=0)
    points = np.stack([np.quantile(scores[y == c], LEVELS) for c in range(6)])
    expected = best_partition(points, counts**power, 2)
    assert (together(ours) == together(expected)).all() == same


def test_rare_classes_and_too_few_classes_are_not_clustered(scored):
    scores, y, _ = scored
    strict = clusters_of(scores, y, 7, k=2, alpha=0.05, seed=0)  # 19 rows are needed
    assert (strict == NULL).tolist() == [False, False, False, True, False, True, True]
    assert (clusters_of(scores, y, 6, k=6, alpha=0.1, seed=0) == NULL).all()
    assert (clusters_of(scores, y, 6, k=1, alpha=0.1, seed=0) == NULL).all()


def quantile_by_hand(scores, alpha):
    k = int(np.ceil((len(scores) + 1) * (1 - alpha) - 1e-9))
    return np.inf if k > len(scores) else np.sort(scores)[k - 1]


def test_thresholds_are_those_of_each_cluster_and_of_all_for_the_null_cluster():
    rng = np.random.default_rng(1)
    y = np.concatenate([rng.integers(6, size=600), [6] * 3])
    labels = rng.random((len(y), 7)) + 0.3 * (y[:, None] % 3)
    tensors = [torch.as_tensor(a)[None] for a in (labels, y, np.zeros_like(y))]
    found = clustered(
        CalibrationScores(*tensors), 0, ClusterPlan(0.5, 3), 0.1, np.random.default_rng(5)
    )
    rest = np.random.default_rng(5).random(len(y)) >= 0.5
    true = labels[np.arange(len(y)), y]
    assert together(found.cluster)[:6, :6].tolist() == together(np.arange(6) % 3).tolist()
    assert found.cluster[6] == NULL
    for c in range(6):
        members = np.isin(y, np.flatnonzero(found.cluster == found.cluster[c]))
        assert found.threshold[c] == quantile_by_hand(true[rest & members], 0.1)
        assert found.threshold[c] != quantile_by_hand(true[members], 0.1), "no row is used twice"
    assert found.threshold[6] == quantile_by_hand(true[rest], 0.1)


def test_the_rule_of_the_paper_by_hand():
    """1,000 classes of 10 to 20 rows; n = 10, K = 1000: 10 * 1000 // 1075 = 9 rows, 4 clusters."""
    assert heuristic(np.linspace(10, 20, 1000).astype(int), 0.1) == ClusterPlan(0.9, 4)
    # A class with 3 rows is below the 9 that a threshold needs: it counts for nothing.
    assert heuristic(np.array([3] + [90] * 99), 0.1) == ClusterPlan(5 / 9, 2)
    assert heuristic(np.full(10, 15), 0.1) == ClusterPlan(1 / 15, 0)


def test_with_few_classes_the_sets_have_one_threshold():
    system = make_system(make_problem(n=3000, classes=5, groups=2, seed=2, shift=0.6), 2)
    automatic = ClusteredSets(scores=("lac",)).deploy(system)
    assert automatic.facts["set_clusters_lac"] == 0
    assert automatic.facts["set_null_classes_lac"] == 1.0
    asked = ClusteredSets(scores=("lac",), clusters=2, fraction=0.3).deploy(system)
    assert asked.facts["set_clusters_lac"] == 2
    assert asked.facts["set_null_classes_lac"] == 0.0
    X, _, group = system.problem.rows("test")
    different = [s.sets(torch.as_tensor(X), "lac", group) for s in (automatic, asked)]
    assert not torch.equal(*different)


def test_two_classes_are_a_reason(problem):
    reason = ClusteredSets().supports(problem, SCHEDULE)
    assert reason == "the 2 classes of toy leave nothing to cluster"
