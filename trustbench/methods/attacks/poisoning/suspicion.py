"""How suspicious training rows are, and the weights that leave the worst out."""

import math

import numpy as np

from trustbench.contracts import Array


def without(suspicion: Array, share: Array | float, labels: Array) -> Array:
    """Weights [m], 0 for the most suspicious `share` of each label, equal for others; mean 1.

    At least one row of each label stays. `share` may be one for each label.
    """
    kept = np.ones(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        part = share if isinstance(share, float) else share[label]
        drop = min(round(part * len(rows)), len(rows) - 1)
        kept[rows[np.argsort(-suspicion[rows], kind="stable")[:drop]]] = False
    return weights(kept)


def weights(kept: Array) -> Array:
    """Weights [m] of mean 1 that are 0 outside of the rows `kept`, bool [m].

    >>> weights(np.array([True, False, True, True])).round(2).tolist()
    [1.33, 0.0, 1.33, 1.33]
    """
    return np.asarray(kept * (len(kept) / kept.sum()))


def spectral(hidden: Array, labels: Array) -> Array:
    """Squared projection [m] of each label's centred features on their top singular vector.

    Reference: Tran et al. 2018, arXiv 1811.00636, algorithm 1. Their script and others project
    features that are not centred; the paper, and this function, centre them.
    """
    out = np.zeros(len(labels))
    for label in np.unique(labels):
        rows = labels == label
        centred = hidden[rows].astype(np.float64)
        centred -= centred.mean(0)
        if rows.sum() > 1:
            top = np.linalg.svd(centred, full_matrices=False)[2][0]
            out[rows] = (centred @ top) ** 2
    return out


def small_clusters(
    hidden: Array, labels: Array, *, components: int, size: float, silhouette: float
) -> Array:
    """Which rows lie in a small, separate half of their label's features: bool [m].

    The features of each label are reduced to principal components and divided into two clusters.
    The smaller one is suspicious if its share is below `size` and the clusters' silhouette above
    `silhouette`.

    Reference: Chen et al. 2018, arXiv 1811.03728, sections 3 and 4 (there with independent
    components).
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        features = hidden[rows].astype(np.float64)
        if len(rows) < 4 or np.ptp(features, axis=0).max() == 0:
            continue
        few = min(components, *features.shape)
        reduced = PCA(few, svd_solver="full").fit_transform(features)
        cluster = KMeans(2, n_init=10, random_state=0).fit_predict(reduced)
        if len(np.unique(cluster)) < 2:
            continue
        smaller = int(np.bincount(cluster).argmin())
        inside = cluster == smaller
        if inside.mean() < size and silhouette_score(reduced, cluster) > silhouette:
            out[rows[inside]] = True
    return out


def shapley(X: Array, y: Array, reference: Array, truth: Array, *, neighbours: int) -> Array:
    """Shapley value [m] of every row for a nearest-neighbour vote on the reference rows.

    The utility is the share of right votes among the `neighbours` nearest rows, averaged over the
    reference rows [v]. Values sum to that of all rows.

    Reference: Jia et al. 2019, arXiv 1908.08619, theorem 1.
    """
    m = len(y)
    total, rank = np.zeros(m), np.arange(1, m + 1)
    # min(K, i) / (i K) for i = 1 .. m - 1
    factor = np.minimum(neighbours, rank[:-1]) / (rank[:-1] * neighbours)
    squares = (X**2).sum(1)
    for row, label in zip(reference, truth, strict=True):
        order = np.argsort(squares - 2 * X @ row, kind="stable")
        match = (y[order] == label).astype(np.float64)
        value = np.empty(m)
        value[-1] = match[-1] * min(neighbours, m) / (neighbours * m)
        steps = (match[:-1] - match[1:]) * factor
        value[:-1] = value[-1] + np.cumsum(steps[::-1])[::-1]
        total[order] += value
    return total / len(truth)


def losses(logits: Array, labels: Array) -> Array:
    """Cross-entropy [m] of logits [m, C] on labels [m]."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return np.asarray(np.log(np.exp(shifted).sum(1)) - shifted[np.arange(len(labels)), labels])


def removed_share(expected: float, factor: float = 1.5) -> float:
    """The share to remove if a share `expected` is poisoned: 1.5 times as many, but below all."""
    return min(factor * expected, math.nextafter(1.0, 0.0))
