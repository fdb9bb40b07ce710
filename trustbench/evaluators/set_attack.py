"""Coverage and size of released prediction sets under attack, calibrated on clean data (U -> R)."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from trustbench.aspects import Aspect
from trustbench.attacks.evasion.box import Norm, ThreatModel, attackable
from trustbench.attacks.evasion.pgd import Loss, Worst, pgd
from trustbench.attacks.evasion.targets import Targets, generators, in_chunks, targets
from trustbench.contracts import Evaluator, Measured, Measurement, System

# Random streams, see targets.generators; apart from those of the other attacks.
PGD_STREAM: dict[Loss, int] = {"ce": 20, "margin": 21}
CONTROL_STREAM = 22


@dataclass(frozen=True)
class SetAttack(Evaluator):
    """How often released prediction sets hold the true label when the inputs are attacked.

    Thresholds stay those calibrated on clean data. The attack drives the true label's probability
    down, by PGD on cross-entropy and on the logit margin, and keeps the iterate where it is
    lowest: that is the largest LAC score exactly, and a proxy for APS. The control moves each
    point as far in a random direction. Shown against `coverage_clean`, never against 1 - alpha.

    `points`: at most so many rows of the test split. `steps`, `restarts`: of each PGD attack.

    Reference: Gendler et al. 2022, "Adversarially robust conformal prediction", ICLR, section 5
    (the vanilla rows: clean calibration, attacked test).
    """

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 1
    points: Annotated[int, Field(ge=1)] = 400

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    reference: ClassVar[str] = "Gendler et al. 2022, ICLR"

    def supports(self, system: System) -> str | None:
        """None, or what is lacking: prediction sets, or columns to move."""
        if not system.set_predictors:
            return "needs released prediction sets"
        if not attackable(system.problem):
            return f"no column of {system.problem.name} may be perturbed (immutable or of scale 0)"
        return None

    def measure(self, system: System) -> Measured:
        """Coverage, then size, of each released score: clean, attacked, random direction."""
        at = targets(system, self.points)
        threat = ThreatModel.of(system.problem, self.norm, self.epsilon, at.X)
        worst = self._attack(system, at, threat)
        control = threat.random_direction(
            at.X, threat.size(worst.X - at.X), generators(system, CONTROL_STREAM)
        )
        inputs = {"clean": at.X, "attacked": worst.X, "random": control}
        return Measured(
            measurements=tuple(
                m
                for score in system.set_predictors
                for name, X in inputs.items()
                for m in _coverage_and_size(system.sets(X, score, at.group), at, f"{name}_{score}")
            ),
            facts={"norm": self.norm, "epsilon": self.epsilon},
        )

    def _attack(self, system: System, at: Targets, threat: ThreatModel) -> Worst:
        """The inputs with the smallest probability of the true label that were found."""
        worst: Worst | None = None
        for restart in range(self.restarts):
            for loss, stream in PGD_STREAM.items():
                attack = partial(
                    pgd,
                    system.forward,
                    threat=threat,
                    generators=generators(system, stream, restart),
                    steps=self.steps,
                    loss=loss,
                    worst_by="ce",
                )
                found = in_chunks(attack, at.X, at.y)
                if worst is None:
                    worst = found
                else:
                    worst.offer(found.X, found.score)
        assert worst is not None  # restarts >= 1
        return worst


def _coverage_and_size(sets: Tensor, at: Targets, suffix: str) -> tuple[Measurement, Measurement]:
    """Coverage and mean size [R] of sets [R, n, C]; those of random directions are controls."""
    n, classes = sets.shape[1:]
    true = at.y.expand(sets.shape[:2]).unsqueeze(-1)
    covered = sets.gather(-1, true).squeeze(-1).double().mean(1).cpu().numpy()
    size = sets.double().sum(-1).mean(1).cpu().numpy()
    control = suffix.startswith("random")
    return (
        Measurement(f"coverage_{suffix}", covered, True, "fraction", n, 0.0, 1.0, control),
        Measurement(f"size_{suffix}", size, False, "labels", n, 0.0, float(classes), control),
    )
