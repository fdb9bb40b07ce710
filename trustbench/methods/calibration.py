"""Calibration errors and selective risk of predicted probabilities."""

from typing import Literal

import numpy as np

from trustbench.contracts import Array


def top_label(probabilities: Array, y: Array) -> tuple[Array, Array]:
    """(confidence [R, n], hit [R, n]) of the most probable class; probabilities [R, n, C]."""
    return probabilities.max(axis=-1), (probabilities.argmax(axis=-1) == y).astype(np.float64)


def by_size(confidence: Array) -> Array:
    """The rows from the least confident to the most, ties in row order: int64 [R, n]."""
    return np.argsort(confidence, axis=1, kind="stable")


def ece(
    confidence: Array,
    hit: Array,
    bins: int = 15,
    binning: Literal["mass", "width"] = "mass",
    order: Array | None = None,
) -> Array:
    """Expected calibration error [R]: mean over rows of |confidence - accuracy| of their bin.

    Args:
        confidence: [R, n] in [0, 1].
        hit: [R, n], 1 if the decision is right.
        bins: number of bins.
        binning: `mass` = equally many rows in every bin, ties kept in row order; `width` =
        intervals
            (k/bins, (k+1)/bins], the classical form.
        order: `by_size(confidence)`, if it is at hand.

    Reference: Guo et al. 2017, arXiv 1706.04599, Eq. 3; Nixon et al. 2019, arXiv 1904.01685
    (equal mass).

    >>> c, h = np.array([[0.6, 0.6, 0.9, 0.9]]), np.array([[1.0, 0.0, 1.0, 1.0]])
    >>> round(float(ece(c, h, bins=2)[0]), 3)
    0.1
    """
    n = confidence.shape[1]
    if binning == "mass":
        order = by_size(confidence) if order is None else order
        gaps = np.take_along_axis(confidence - hit, order, axis=1)
        # Rows k n / bins to (k + 1) n / bins; bins beyond n stay empty.
        edges = np.arange(bins + 1) * n // bins
        running = np.concatenate([np.zeros((len(gaps), 1)), gaps.cumsum(axis=1)], axis=1)
        return np.asarray(np.abs(np.diff(running[:, edges], axis=1)).sum(axis=1) / n)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    flat = (index + bins * np.arange(len(index))[:, None]).ravel()
    sums = np.bincount(flat, (confidence - hit).ravel(), minlength=bins * len(index))
    return np.asarray(np.abs(sums.reshape(-1, bins)).sum(axis=1) / n)


def reliability(
    confidence: Array, hit: Array, bins: int = 15, order: Array | None = None
) -> tuple[Array, Array]:
    """Mean confidence and accuracy of each bin of equal mass: [R, bins] each; NaN in an empty bin.

    The bins and `order` are those of `ece`: a reliability diagram is their accuracy over their
    confidence.

    Reference: Guo et al. 2017, arXiv 1706.04599, Eq. 1 and 2.

    >>> c, h = np.array([[0.6, 0.6, 0.9, 0.9]]), np.array([[1.0, 0.0, 1.0, 1.0]])
    >>> [x.round(2).tolist() for x in reliability(c, h, bins=2)]
    [[[0.6, 0.9]], [[0.5, 1.0]]]
    """
    n = confidence.shape[1]
    order = by_size(confidence) if order is None else order
    edges = np.arange(bins + 1) * n // bins
    size = np.diff(edges)
    means = []
    for values in (confidence, hit):
        running = np.take_along_axis(values, order, axis=1).cumsum(axis=1)
        running = np.concatenate([np.zeros((len(values), 1)), running], axis=1)
        total = np.diff(running[:, edges], axis=1)
        means.append(np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0))
    return means[0], means[1]


def nll(log_probabilities: Array, y: Array) -> Array:
    """Mean negative log-likelihood [R], nats; log-probabilities [R, n, C]."""
    return np.asarray(-log_probabilities[:, np.arange(len(y)), y].mean(axis=1))


def brier(probabilities: Array, y: Array) -> Array:
    """Brier score [R], the squared error summed over classes: 0 is best, 2 worst.

    Reference: Brier 1950, Eq. 2 (twice the one-class form that is common for binary tasks).

    >>> brier(np.array([[[0.8, 0.2]]]), np.array([0])).round(2).tolist()
    [0.08]
    """
    truth = np.eye(probabilities.shape[-1])[y]
    return np.asarray(np.square(probabilities - truth).sum(axis=-1).mean(axis=-1))


def aurc(confidence: Array, hit: Array, order: Array | None = None) -> Array:
    """Area under the risk-coverage curve [R]: mean error of the k most confident rows, over all k.

    `order` is `by_size(confidence)`, if it is at hand.

    Reference: Geifman et al. 2019, arXiv 1805.08206, section 2.

    >>> aurc(np.array([[0.9, 0.6]]), np.array([[1.0, 0.0]])).tolist()  # risks 0 and 1/2
    [0.25]
    """
    down = _from_largest(confidence, by_size(confidence) if order is None else order)
    errors = np.take_along_axis(1 - hit, down, axis=1).cumsum(axis=1)
    return np.asarray((errors / np.arange(1, errors.shape[1] + 1)).mean(axis=1))


def _from_largest(values: Array, order: Array) -> Array:
    """`order` from the largest value to the smallest; equal values stay in row order: [R, n].

    Faster than a second sort: only runs of equal values have to be turned round.
    """
    n = values.shape[1]
    ordered = np.take_along_axis(values, order, axis=1)
    rises = np.ones((len(ordered), n + 1), dtype=bool)
    rises[:, 1:-1] = ordered[:, 1:] != ordered[:, :-1]
    place = np.arange(n)
    first = np.maximum.accumulate(np.where(rises[:, :-1], place, 0), axis=1)
    last = np.minimum.accumulate(np.where(rises[:, 1:], place, n)[:, ::-1], axis=1)[:, ::-1]
    # the place within its run, counted from the run's other end
    return np.take_along_axis(order, (first + last - place)[:, ::-1], axis=1)
