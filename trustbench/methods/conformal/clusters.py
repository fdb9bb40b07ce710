"""Clustered conformal prediction: classes with similar scores share a threshold."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array
from trustbench.methods.conformal.quantiles import by_category, rank, thresholds
from trustbench.methods.conformal.split import CalibrationScores

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
NULL = -1


class ClusterPlan(NamedTuple):
    """How a calibration set is used: the share of rows that cluster, and the number of clusters."""

    fraction: float
    clusters: int


def heuristic(counts: Array, alpha: float) -> ClusterPlan:
    """The paper's choice from the calibration rows of each class [C].

    It gives each cluster about as many rows as its threshold needs, and more clustering rows if
    more distributions must be distinguished.

    Reference: Ding et al. 2023, arXiv 2306.09335, and its code (get_clustering_parameters).
    """
    rarest = max(int(counts.min()), fewest(alpha))
    kept = int((counts >= rarest).sum())
    per_class = rarest * kept // (75 + kept)
    return ClusterPlan(per_class / rarest, per_class // 2)


def fewest(alpha: float) -> int:
    """The minimum number of rows for a finite threshold.

    >>> fewest(0.1), fewest(0.05)
    (9, 19)
    """
    n = 1
    while rank(n, alpha) > n:
        n += 1
    return n


def clusters_of(scores: Array, y: Array, classes: int, k: int, alpha: float, seed: int) -> Array:
    """Assigns each class to a cluster, int64 [C]; NULL for classes with too few rows.

    Classes are embedded by the quantiles of their scores and clustered by k-means, weighted by the
    square root of their rows. If there are no more classes than clusters, or one cluster, all are
    NULL.

    Args:
        scores: scores of true labels, [n].
        y: labels, [n].
        classes: C.
        k: number of clusters.
        alpha: a class with fewer than `fewest(alpha)` rows is rare.
        seed: the seed of the starts of k-means.
    """
    from sklearn.cluster import KMeans

    counts = np.bincount(y, minlength=classes)
    placed = np.flatnonzero(counts >= fewest(alpha))
    out = np.full(classes, NULL)
    if k < 2 or len(placed) <= k:
        return out
    embedded = np.stack([np.quantile(scores[y == c], LEVELS) for c in placed])
    means = KMeans(n_clusters=k, n_init=10, random_state=seed)
    out[placed] = means.fit(embedded, sample_weight=np.sqrt(counts[placed])).labels_
    return out


class Clustered(NamedTuple):
    """One replicate's thresholds [C] and the cluster of each class [C]."""

    threshold: Tensor
    cluster: Array


def clustered(
    own: CalibrationScores, r: int, plan: ClusterPlan, alpha: float, rng: np.random.Generator
) -> Clustered:
    """Clusters from a random part of replicate r's rows, thresholds from the rest.

    A class of a cluster gets the threshold of all scores in the cluster; NULL classes get that of
    all scores. Each row is used for clustering with probability `plan.fraction`.
    """
    true, y = own.true[r], own.y[r]
    classes = own.labels.shape[-1]
    first = rng.random(len(y)) < plan.fraction
    cluster = clusters_of(
        true.cpu().numpy()[first],
        y.cpu().numpy()[first],
        classes,
        plan.clusters,
        alpha,
        int(rng.integers(2**31)),
    )
    rest = torch.as_tensor(~first, device=true.device)
    true, y = true[rest], y[rest]
    label = torch.as_tensor(cluster, device=true.device)
    marginal = thresholds(true, alpha).expand(classes)
    if (cluster == NULL).all():
        return Clustered(marginal, cluster)
    each = by_category(true[None], label[y][None], int(cluster.max()) + 1, alpha)[0]
    return Clustered(torch.where(label == NULL, marginal, each[label]), cluster)
