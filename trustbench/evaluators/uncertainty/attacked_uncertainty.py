"""Conformal sets and calibration of the model under attack (R -> U)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Array,
    Measured,
    Measurement,
    Metric,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods import calibration
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import attack_points, targets
from trustbench.methods.conformal import (
    CALIBRATING,
    PREDICTING,
    SCORES,
    Score,
    covered,
    set_sizes,
    thresholds,
    too_few_rows,
    uniforms,
)

CALIBRATED = ("attacked", "clean_calibrated")


@dataclass(frozen=True)
class AttackedUncertainty(UnderAttack):
    """The cost of sets with 1 - `alpha` coverage if every input is attacked, and the ECE there.

    `*_size_attacked` and `*_coverage_attacked`: APS and LAC calibrated and tested under the same
    cross-entropy PGD, so that coverage stays near 1 - alpha and the size is the price.
    `*_coverage_clean_calibrated`: thresholds from the same rows unattacked, tested under attack.
    `ece_attacked` is over `bins` bins of equal mass. Replicates calibrate on their own rows, the
    first `calibration_points` of them.

    `points` is the maximum number of test rows; `steps` is that of PGD.

    Reference: Liu et al. 2024, "The pitfalls and promise of conformal inference under
    adversarial attacks", ICML, arXiv 2405.08886, section 3.
    """

    steps: Annotated[int, Field(ge=1)] = 20
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    bins: Annotated[int, Field(ge=1)] = 15
    points: Annotated[int, Field(ge=1)] = 400
    calibration_points: Annotated[int, Field(ge=10)] = 400

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Liu et al. 2024, arXiv 2405.08886"
    metrics = (
        Metric(
            "<aps|lac>_size_attacked",
            "How many labels a set needs to keep its promise where every input is attacked.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
        ),
        # only with coverage is it a price
        Metric(
            "<aps|lac>_size_clean_calibrated",
            "How many labels a set holds under attack that was calibrated without an attack.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
            diagnostic=True,
        ),
        fraction(
            "<aps|lac>_coverage_attacked",
            "How often a set calibrated under attack holds the true label of an attacked input.",
            better="higher",
        ),
        fraction(
            "<aps|lac>_coverage_clean_calibrated",
            "How often a set calibrated without an attack holds the true label of an attacked "
            "input.",
            better="higher",
        ),
        fraction(
            "ece_attacked",
            "How far stated confidence is from the accuracy reached, under attack.",
            better="lower",
        ),
        fraction(
            "accuracy_attacked",
            "The share of test rows decided correctly under attack.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        rows = system.calibration[:, : self.calibration_points]
        X = system.tensor(system.problem.X[rows])
        y = system.tensor(system.problem.y[rows])
        test = self._attacked(system, at.X, at.y, "attacked_test_rows")
        labels, outcomes = at.y.cpu().numpy(), {"test": test.cpu().numpy()}
        if rows.shape[1]:
            hard = self._attacked(system, X, y, "attacked_calibration_rows")
            clean = system.logits(X).double().softmax(-1)
            for name, p in zip(CALIBRATED, (hard, clean), strict=True):
                for score in SCORES:
                    sets = self._sets(system, score, p, y, test)
                    outcomes[f"{score}_size_{name}"] = set_sizes(sets)
                    outcomes[f"{score}_coverage_{name}"] = covered(sets, labels)
        summarised = partial(self._summarised, rows.shape[1])
        return replace(
            summarised(outcomes, labels, at.group),
            redraw=RowRedraw.of(outcomes, labels, at.group, summarised),
        )

    def _summarised(
        self, calibrating: int, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes [R, n] and probabilities under attack [R, n, C]."""
        test, n = outcomes["test"], len(y)
        sizes: list[Measurement] = []
        coverages: list[Measurement] = []
        names = [(score, name) for score in SCORES for name in CALIBRATED]
        reason = too_few_rows(self.alpha, calibrating)
        missing = {
            f"{score}_{what}_{name}": reason
            for score, name in names
            for what in ("size", "coverage")
            if reason is not None
        }
        for score, name in names if reason is None else ():
            size, cover = (outcomes[f"{score}_{k}_{name}"].mean(1) for k in ("size", "coverage"))
            top = float(test.shape[-1])
            sizes.append(self.measurement(f"{score}_size_{name}", size, n, upper=top))
            coverages.append(self.measurement(f"{score}_coverage_{name}", cover, n))
        confidence, hit = calibration.top_label(test, y)
        ece = calibration.ece(confidence, hit, self.bins)
        return Measured(
            measurements=(
                *sorted(sizes, key=lambda m: m.diagnostic),
                *coverages,
                self.measurement("ece_attacked", ece, n),
                # without it no set size can be read
                self.measurement("accuracy_attacked", hit.mean(1), n),
            ),
            missing=missing,
            facts={
                "norm": self.norm,
                "epsilon": self.epsilon,
                "alpha": self.alpha,
                "n_calibration": calibrating,
            },
        )

    def _attacked(self, system: System, X: Tensor, y: Tensor, stream: str) -> Tensor:
        """Probabilities [R, n, C] of attacked X [R, n, *shape] with labels [n] or [R, n]."""
        threat = self.threat(system, X)
        climb = partial(pgd, threat=threat, steps=self.steps, loss="ce", worst_by="ce")
        worst = attack_points(system, X, y, climb, stream)
        return system.logits(worst.X).double().softmax(-1)

    def _sets(
        self, system: System, score: Score, calibrating: Tensor, y: Tensor, test: Tensor
    ) -> Tensor:
        """Sets, bool [R, n, C], of test probabilities, calibrated on others with labels y."""
        u = uniforms(system, y.shape[1], CALIBRATING)
        own = SCORES[score](calibrating, u).gather(-1, y.unsqueeze(-1)).squeeze(-1)
        level = thresholds(own, self.alpha)
        scores = SCORES[score](test, uniforms(system, test.shape[1], PREDICTING))
        return torch.le(scores, level[:, None, None])
