"""The risk-coverage curve: how often the most confident answers are wrong."""

import numpy as np

from trustbench.contracts import Array


def risks(confidence: Array, wrong: Array) -> Array:
    """The expected share of wrong answers among the k most confident, k = 1 to n: [R, n].

    `confidence` and `wrong` are [R, n]. Rows of equal confidence come in random order, of which
    this is the expectation, so an order of the rows cannot leak into the curve.

    Reference: El-Yaniv and Wiener 2010, JMLR 11, section 2.

    >>> risks(np.array([[0.9, 0.5, 0.5]]), np.array([[False, True, False]])).round(2).tolist()
    [[0.0, 0.25, 0.33]]
    """
    n = confidence.shape[-1]
    out = np.empty(confidence.shape)
    for r, (sure, bad) in enumerate(zip(confidence, wrong, strict=True)):
        _, block, size = np.unique(-sure, return_inverse=True, return_counts=True)
        rate = np.bincount(block, weights=bad) / size
        out[r] = np.repeat(rate, size).cumsum() / np.arange(1, n + 1)
    return out


def area(risk: Array) -> Array:
    """The area under the curve [R]: its mean over all coverages.

    Reference: Geifman et al. 2019, arXiv 1805.08206.
    """
    return np.asarray(risk.mean(-1))


def oracle_area(wrong: Array) -> Array:
    """The smallest area [R] that answers with these errors allow: every wrong one comes last."""
    return area(risks(-wrong.astype(np.float64), wrong))
