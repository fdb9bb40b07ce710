"""Prediction sets with a threshold calibrated on attacked rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Fact, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import generators, in_chunks
from trustbench.methods.conformal import (
    CALIBRATING,
    CalibrationScores,
    ReleasedScores,
    thresholds,
    uniforms,
)


@dataclass(frozen=True)
class AttackedCalibration(ReleasedScores):
    """Split conformal sets with 1 - `alpha` coverage of rows attacked by PGD instead of clean ones.

    The calibration rows are attacked with `steps` steps of cross-entropy PGD within `epsilon`.
    Coverage then holds for test rows attacked by the same adversary; clean rows are covered more
    often. There is no guarantee against a different or stronger attack.

    Reference: Liu et al. 2024, "The pitfalls and promise of conformal inference under
    adversarial attacks", ICML, arXiv 2405.08886, section 3.
    """

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect] = Aspect.UNCERTAINTY
    reference: ClassVar[str] = "Liu et al. 2024, arXiv 2405.08886"
    dose: ClassVar[tuple[str, ...]] = ("alpha", "epsilon")
    guarantee: ClassVar[str] = "marginal coverage of rows that the same PGD attacked"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return unattackable(problem) or super().supports(problem, schedule)

    def thresholds(
        self, system: System, own: CalibrationScores, score: str
    ) -> tuple[Tensor, Mapping[str, Fact]]:
        """Returns thresholds [R, 1, 1] from each replicate's attacked calibration rows."""
        rows = system.calibration[:, : own.y.shape[1]]
        X = system.tensor(system.problem.X[rows])
        attack = partial(
            pgd,
            system.forward,
            threat=ThreatModel.of(system.problem, self.norm, self.epsilon, X),
            generators=generators(system, "attacked_calibration"),
            steps=self.steps,
            loss="ce",
            worst_by="ce",
        )
        p = system.logits(in_chunks(attack, X, own.y).X).double().softmax(-1)
        labels = self.functions()[score](p, uniforms(system, rows.shape[1], CALIBRATING))
        true = labels.gather(-1, own.y[..., None])[..., 0]
        return thresholds(true, self.alpha)[:, None, None], {"attack_epsilon": self.epsilon}
