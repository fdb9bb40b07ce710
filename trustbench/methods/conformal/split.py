"""Split conformal prediction sets of every replicate, from that replicate's own rows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, System
from trustbench.contracts.system import SetPredictor
from trustbench.errors import ConfigError
from trustbench.methods.conformal.quantiles import thresholds
from trustbench.methods.conformal.scores import SCORES, Score, ScoreFunction

# The `conformal` sub-streams: the rows for which U is drawn.
CALIBRATING, PREDICTING, REDRAWING = "calibrating", "predicting", "redrawing"


def uniforms(system: System, n: int, use: str) -> Tensor:
    """U of the first n positions, float64 [R, n], from each replicate's own stream.

    Draws by position: row i of a test set and its attacked copy share their U.
    """
    draws = [system.streams.numpy("conformal", r, use).random(n) for r in range(system.replicates)]
    return torch.as_tensor(np.stack(draws), device=system.device)


@dataclass(frozen=True)
class CalibrationScores:
    """The scores of all labels on each replicate's calibration rows, with the true labels."""

    labels: Tensor  # float64 [R, n, C]
    y: Tensor  # int64 [R, n]
    group: Tensor  # int64 [R, n]

    @property
    def true(self) -> Tensor:
        """Scores of the true labels, [R, n]."""
        return self.labels.gather(-1, self.y[..., None])[..., 0]


def calibration_scores(
    system: System, score: ScoreFunction, rows: int | None = None
) -> CalibrationScores:
    """Scores all calibration rows of each replicate, or its first `rows`.

    Raises:
        ConfigError: replicates have fewer calibration rows.
    """
    have = system.calibration.shape[1]
    if rows is not None and rows > have:
        raise ConfigError(
            f"rows={rows} asks for more calibration rows than the {have} of each replicate; "
            f"give at most {have}, or raise protocol.calibration."
        )
    chosen = system.calibration[:, :rows]
    logits = system.logits(system.tensor(system.problem.X[chosen]))
    u = uniforms(system, chosen.shape[1], CALIBRATING)
    return CalibrationScores(
        score(logits.double().softmax(-1), u),
        system.tensor(system.problem.y[chosen]),
        system.tensor(system.problem.group[chosen]),
    )


@dataclass(frozen=True)
class SplitConformal:
    """A set predictor per replicate, calibrated on that replicate's own rows.

    `threshold` is [R]. A label is in the set if its score is at most the threshold; empty sets stay
    empty. Marginal coverage is at least 1 - alpha for exchangeable rows.

    Reference: Angelopoulos and Bates 2021, arXiv 2107.07511, section 1.
    """

    score: Score
    alpha: float
    threshold: Tensor

    def sets(self, logits: Tensor, uniforms: Tensor) -> Tensor:
        """Sets, bool [R, n, C], of logits [R, n, C]."""
        return self.sets_of(logits.double().softmax(-1), uniforms)

    def sets_of(self, probabilities: Tensor, uniforms: Tensor) -> Tensor:
        """Sets, bool [R, n, C], of probabilities [R, n, C] in double precision."""
        return SCORES[self.score](probabilities, uniforms) <= self.threshold[:, None, None]


def calibrate(system: System, score: Score, alpha: float) -> SplitConformal:
    """Computes each replicate's threshold from its calibration rows."""
    own = calibration_scores(system, SCORES[score])
    return SplitConformal(score, alpha, thresholds(own.true, alpha))


def predictor(system: System, score: ScoreFunction, threshold: Tensor) -> SetPredictor:
    """Returns a predictor of the sets of labels that score at most a threshold.

    Args:
        system: provides the logits and the random numbers.
        score: scores of every label.
        threshold: [R, G, C]; G is 1 if all groups share it, C is 1 if all labels do.
    """

    def predict(X: Tensor, group: Array) -> Tensor:
        logits = system.logits(X)
        u = uniforms(system, logits.shape[1], PREDICTING)
        scores = score(logits.double().softmax(-1), u)
        if threshold.shape[1] == 1:
            return scores <= threshold
        return scores <= threshold[:, torch.as_tensor(group, device=threshold.device)]

    return predict


def set_predictor(system: System, score: Score, alpha: float) -> SetPredictor:
    """Maps X [n, *shape] or [R, n, *shape] to sets, bool [R, n, C]; one rule for all groups."""
    threshold = calibrate(system, score, alpha).threshold
    return predictor(system, SCORES[score], threshold[:, None, None])
