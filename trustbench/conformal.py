"""Split conformal prediction sets of every replicate: LAC and randomised APS."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.system import SetPredictor

Score = Literal["aps", "lac"]
# Second index of the `conformal` streams: whose U is drawn.
CALIBRATING, PREDICTING = 0, 1


def lac(probabilities: Tensor, uniforms: Tensor) -> Tensor:  # noqa: ARG001 one signature
    """Scores 1 - p_y of every label, [..., C]; nothing random.

    Reference: Sadinle et al. 2019, arXiv 1609.00451.

    >>> lac(torch.tensor([0.75, 0.25]), torch.tensor(0.0)).tolist()
    [0.25, 0.75]
    """
    return 1 - probabilities


def aps(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """Scores of every label, [..., C]: the mass of likelier labels plus U p_y.

    One U [...] serves all labels of a row, so sets are nested in the order of probability.

    Reference: Romano et al. 2020, arXiv 2006.02544, section 2.1.

    >>> aps(torch.tensor([0.25, 0.75]), torch.tensor(0.5)).tolist()
    [0.875, 0.375]
    """
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered
    scores = before + uniforms[..., None] * ordered
    return torch.empty_like(scores).scatter_(-1, order, scores)


SCORES: Mapping[Score, Callable[[Tensor, Tensor], Tensor]] = {"aps": aps, "lac": lac}


def rank(n: int, alpha: float) -> int:
    """Which smallest calibration score is the threshold: ceil((n + 1)(1 - alpha)).

    >>> rank(9, 0.1), rank(100, 0.1)
    (9, 91)
    """
    # 1e-9: (n + 1)(1 - alpha) that is whole in exact arithmetic must not round up.
    return math.ceil((n + 1) * (1 - alpha) - 1e-9)


def thresholds(scores: Tensor, alpha: float) -> Tensor:
    """The k-th smallest of each row of scores [R, n], k = rank(n, alpha); infinite if k > n."""
    k = rank(scores.shape[-1], alpha)
    if k > scores.shape[-1]:
        return torch.full(scores.shape[:-1], torch.inf, dtype=scores.dtype, device=scores.device)
    return scores.kthvalue(k, dim=-1).values


def uniforms(system: System, n: int, use: int) -> Tensor:
    """U of the first n positions, float64 [R, n], from each replicate's own stream.

    By position: row i of a test set and its attacked copy share their U.
    """
    draws = [system.streams.numpy("conformal", r, use).random(n) for r in range(system.replicates)]
    return torch.as_tensor(np.stack(draws), device=system.device)


@dataclass(frozen=True)
class SplitConformal:
    """A set predictor per replicate, calibrated on that replicate's own rows.

    `threshold` is [R]. A label is in the set if its score is at most the threshold; empty sets
    are left empty. Marginal coverage is at least 1 - alpha for exchangeable rows.

    Reference: Angelopoulos and Bates 2021, arXiv 2107.07511, section 1.
    """

    score: Score
    alpha: float
    threshold: Tensor

    def sets(self, logits: Tensor, uniforms: Tensor) -> Tensor:
        """Sets, bool [R, n, C], of logits [R, n, C]."""
        scores = SCORES[self.score](logits.double().softmax(-1), uniforms)
        return scores <= self.threshold[:, None, None]


def calibrate(system: System, score: Score, alpha: float) -> SplitConformal:
    """Each replicate's threshold from its calibration rows."""
    rows = system.calibration
    logits = system.logits(system.tensor(system.problem.X[rows]))
    scores = SCORES[score](
        logits.double().softmax(-1), uniforms(system, rows.shape[1], CALIBRATING)
    )
    y = system.tensor(system.problem.y[rows])
    return SplitConformal(score, alpha, thresholds(scores.gather(-1, y[..., None])[..., 0], alpha))


def set_predictor(system: System, score: Score, alpha: float) -> SetPredictor:
    """X [n, *shape] or [R, n, *shape] -> sets, bool [R, n, C]; the same rule for every group."""
    predictor = calibrate(system, score, alpha)

    def predict(X: Tensor, group: Array) -> Tensor:  # noqa: ARG001 one signature
        logits = system.logits(X)
        return predictor.sets(logits, uniforms(system, logits.shape[1], PREDICTING))

    return predict


def covered(sets: Tensor, y: Array) -> Array:
    """Whether each set holds its row's label: float64 [R, n] of sets [R, n, C]."""
    index = torch.as_tensor(y, device=sets.device).expand(sets.shape[:2])
    return sets.gather(-1, index[..., None])[..., 0].double().cpu().numpy()


def set_sizes(sets: Tensor) -> Array:
    """Labels in each set: float64 [R, n]."""
    return sets.sum(-1).double().cpu().numpy()


class Band(NamedTuple):
    """Where the coverage of a correct method falls."""

    low: float
    high: float


def coverage_band(n_calibration: int, n_test: int, alpha: float, level: float = 0.95) -> Band:
    """The central `level` band of test coverage of a valid method with continuous scores.

    Covered test rows are BetaBinomial(n_test, k, n + 1 - k) with n calibration rows and
    k = rank(n, alpha): the draw of the calibration set and of the test set together.

    Reference: Angelopoulos and Bates 2021, arXiv 2107.07511, section 3.2 and appendix C.

    >>> coverage_band(1000, 1000, 0.1)
    Band(low=0.873, high=0.925)
    """
    from scipy.stats import betabinom

    k = rank(n_calibration, alpha)
    if k > n_calibration:
        return Band(1.0, 1.0)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = betabinom.ppf(tails, n_test, k, n_calibration + 1 - k) / n_test
    return Band(float(low), float(high))
