"""A differentially private calibration threshold, by the exponential mechanism."""

import math

import numpy as np

from trustbench.contracts import Array


def level(n: int, alpha: float, epsilon: float, gamma: float, bins: int) -> float:
    """The target quantile: 1 - alpha, raised to pay for the noise. May exceed 1.

    (n + 1)(1 - alpha) / (n (1 - gamma alpha)) + 2 / (epsilon n) log(bins / (gamma alpha)). Coverage
    is then at least 1 - alpha, also over the noise: the mechanism falls short by more than the
    second term with probability at most gamma alpha.

    Reference: Angelopoulos et al. 2022, arXiv 2102.06202, section 3.

    >>> round(level(800, 0.1, epsilon=8.0, gamma=0.05, bins=1000), 3)
    0.909
    """
    raised = (n + 1) * (1 - alpha) / (n * (1 - gamma * alpha))
    return raised + 2 / (epsilon * n) * math.log(bins / (gamma * alpha))


def fewest_rows(alpha: float, epsilon: float, gamma: float, bins: int) -> int:
    """The minimum number of rows for a level below 1, so that a threshold is drawn.

    >>> n = fewest_rows(0.1, epsilon=8.0, gamma=0.05, bins=1000)
    >>> n, level(n - 1, 0.1, 8.0, 0.05, 1000) >= 1 > level(n, 0.1, 8.0, 0.05, 1000)
    (42, True)
    """
    limit = (1 - alpha) / (1 - gamma * alpha)  # of the level, for n to infinity: below 1
    noise = 2 / epsilon * math.log(bins / (gamma * alpha))
    n = max(1, math.floor((limit + noise) / (1 - limit)))
    while level(n, alpha, epsilon, gamma, bins) >= 1:
        n += 1
    return n


def candidates(bins: int) -> Array:
    """The candidate thresholds 1/bins, ..., 1; the last is infinite (scores <= 1)."""
    edges = np.arange(1, bins + 1) / bins
    edges[-1] = np.inf
    return edges


def log_probabilities(scores: Array, quantile: float, epsilon: float, bins: int) -> Array:
    """The log-probability of choosing each candidate [bins], given scores [n] in [0, 1].

    Scores are rounded up to candidates b. With w = max(#(s < b) / q, #(s > b) / (1 - q)), a
    candidate is drawn with probability proportional to exp(-epsilon min(q, 1 - q) w / 2).

    Replacing one row changes a count by at most 1 and w by at most 1 / min(q, 1 - q), so the draw
    is epsilon-differentially private. The scale uses the raised level q: with alpha in place of 1 -
    q, which is larger, the ratio of two probabilities can exceed e^epsilon.

    Reference: McSherry and Talwar 2007, "Mechanism design via differential privacy", Theorem 6;
    Angelopoulos et al. 2022, arXiv 2102.06202, section 3 (w).
    """
    above = len(scores) - np.searchsorted(np.sort(scores), candidates(bins), side="right")
    # Rounded up, a score is below b_j if it is at most b_(j-1).
    below = len(scores) - np.concatenate([[len(scores)], above[:-1]])
    w = np.maximum(below / quantile, above / (1 - quantile))
    logits = -epsilon * min(quantile, 1 - quantile) * w / 2
    return np.asarray(logits - np.logaddexp.reduce(logits))


def threshold(
    scores: Array, alpha: float, epsilon: float, gamma: float, bins: int, rng: np.random.Generator
) -> float:
    """Draws a private threshold for scores [n]; infinite, without reading them, if n is small."""
    quantile = level(len(scores), alpha, epsilon, gamma, bins)
    if quantile >= 1:
        return math.inf
    p = np.exp(log_probabilities(scores, quantile, epsilon, bins))
    return float(rng.choice(candidates(bins), p=p / p.sum()))
