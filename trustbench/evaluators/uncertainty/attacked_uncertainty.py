"""Conformal sets and calibration of the model under attack (R -> U)."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Evaluator, Measured, Measurement, Metric, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.methods import calibration
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import generators, in_chunks, targets
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


@dataclass(frozen=True)
class AttackedUncertainty(Evaluator):
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

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 20
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    bins: Annotated[int, Field(ge=1)] = 15
    points: Annotated[int, Field(ge=1)] = 400
    calibration_points: Annotated[int, Field(ge=10)] = 400

    version: ClassVar[int] = 3
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "gradients"})
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
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        rows = system.calibration[:, : self.calibration_points]
        X = system.tensor(system.problem.X[rows])
        y = system.tensor(system.problem.y[rows])
        clean = system.logits(X).double().softmax(-1)
        hard = self._attacked(system, X, y, "attacked_calibration_rows")
        test = self._attacked(system, at.X, at.y, "attacked_test_rows")
        labels, n = at.y.cpu().numpy(), len(at.y)
        sizes: list[Measurement] = []
        coverages: list[Measurement] = []
        for score in SCORES:
            for p, name in ((hard, "attacked"), (clean, "clean_calibrated")):
                sets = self._sets(system, score, p, y, test)
                size, cover = set_sizes(sets).mean(1), covered(sets, labels).mean(1)
                top = float(sets.shape[-1])
                sizes.append(self.measurement(f"{score}_size_{name}", size, n, upper=top))
                coverages.append(self.measurement(f"{score}_coverage_{name}", cover, n))
        confidence, hit = calibration.top_label(test.cpu().numpy(), labels)
        ece = calibration.ece(confidence, hit, self.bins)
        probes = (*sorted(sizes, key=lambda m: m.diagnostic), *coverages)
        reason = too_few_rows(self.alpha, rows.shape[1])
        missing = {m.name: reason for m in probes if reason is not None}
        return Measured(
            measurements=(
                *(m for m in probes if m.name not in missing),
                self.measurement("ece_attacked", ece, n),
                # without it no set size can be read
                self.measurement("accuracy_attacked", hit.mean(1), n),
            ),
            missing=missing,
            facts={
                "norm": self.norm,
                "epsilon": self.epsilon,
                "alpha": self.alpha,
                "n_calibration": rows.shape[1],
            },
        )

    def _attacked(self, system: System, X: Tensor, y: Tensor, stream: str) -> Tensor:
        """Probabilities [R, n, C] of attacked X [R, n, *shape] with labels [n] or [R, n]."""
        attack = partial(
            pgd,
            system.forward,
            threat=ThreatModel.of(system.problem, self.norm, self.epsilon, X),
            generators=generators(system, stream),
            steps=self.steps,
            loss="ce",
            worst_by="ce",
        )
        return system.logits(in_chunks(attack, X, y).X).double().softmax(-1)

    def _sets(
        self, system: System, score: Score, calibrating: Tensor, y: Tensor, test: Tensor
    ) -> Tensor:
        """Sets, bool [R, n, C], of test probabilities, calibrated on others with labels y."""
        u = uniforms(system, y.shape[1], CALIBRATING)
        own = SCORES[score](calibrating, u).gather(-1, y.unsqueeze(-1)).squeeze(-1)
        level = thresholds(own, self.alpha)
        scores = SCORES[score](test, uniforms(system, test.shape[1], PREDICTING))
        return torch.le(scores, level[:, None, None])
