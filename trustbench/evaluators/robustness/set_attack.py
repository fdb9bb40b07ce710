"""Coverage and size of released prediction sets under attack, calibrated on clean data (U -> R)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trustbench.contracts import Evaluator, Measured, Measurement, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import Loss, Objective, Worst, pgd
from trustbench.methods.attacks.evasion.targets import Targets, generators, in_chunks, targets
from trustbench.methods.conformal import uninformative

# Random streams, see targets.generators; apart from those of the other attacks.
PGD_STREAM: dict[Loss, int] = {"ce": 20, "margin": 21}
CONTROL_STREAM = 22
SIZE_STREAM: dict[Objective, int] = {"entropy": 23, "tie": 24}


@dataclass(frozen=True)
class SetAttack(Evaluator):
    """How often released prediction sets hold the true label when the inputs are attacked.

    Thresholds stay those calibrated on clean data. The attack drives the true label's probability
    down, by PGD on cross-entropy and on the logit margin, and keeps the iterate where it is
    lowest: that is the largest LAC score exactly, and a proxy for APS. The control moves each
    point as far in a random direction. Shown against `coverage_clean`, never against 1 - alpha.

    `size_inflated` is the mean size where an attacker raises the size instead, within the same
    ball: thresholds are not visible in released sets, so one climb raises the entropy of the
    predicted distribution, another brings the two likeliest labels level, and of each point the
    largest released set counts, that of the clean point included. Shown against `size_random`.

    Sets that hold every label cover by construction: their coverage is not measured, their size is.

    Both attacks follow the gradient of the deployed forward. Sets with another source (smoothed
    scores, say) are met by transferred attacks, and a stronger one may exist.

    `points`: how many rows of the test split are attacked, all where there are fewer.
    `steps`, `restarts`: of each PGD attack.

    Reference: Gendler et al. 2022, "Adversarially robust conformal prediction", ICLR, section 5
    (the vanilla rows: clean calibration, attacked test); Ghosh et al. 2023, arXiv 2307.16360
    (attacks on set size).
    """

    norm: Norm = "linf"
    epsilon: Annotated[float, Field(gt=0)] = 0.1
    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 1
    points: Annotated[int, Field(ge=1)] = 400

    version: ClassVar[int] = 4
    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    reference: ClassVar[str] = "Gendler et al. 2022, ICLR"

    def supports(self, system: System) -> str | None:
        """A reason if there are no prediction sets or no columns to move, else None."""
        if not system.set_predictors:
            return "needs released prediction sets"
        return unattackable(system.problem)

    def measure(self, system: System) -> Measured:
        """Coverage and size of each released score on clean, attacked and random inputs.

        Then its size on inflated ones.
        """
        at = targets(system, self.points)
        threat = ThreatModel.of(system.problem, self.norm, self.epsilon, at.X)
        worst = self._uncover(system, at, threat)
        control = threat.random_direction(
            at.X, threat.size(worst.X - at.X), generators(system, CONTROL_STREAM)
        )
        inputs = {"clean": at.X, "attacked": worst.X, "random": control}
        inflated = [at.X] + [
            self._climb(system, at, threat, loss, loss, stream).X
            for loss, stream in SIZE_STREAM.items()
            if loss == "entropy" or not system.problem.binary  # of two labels they are the same
        ]
        found: dict[str, list[Measurement]] = {score: [] for score in system.set_predictors}
        full: dict[str, list[str | None]] = {score: [] for score in found}
        # Scores inside: predictors that share work for the same inputs then do it once.
        for name, X in inputs.items():
            for score, own in found.items():
                sets = system.sets(X, score, at.group)
                size = sets.double().sum(-1)
                full[score].append(uninformative(system, score, sets))
                own += [_coverage(sets, at, f"{name}_{score}"), _size(size, system, name, score)]
        for score, own in found.items():
            each = [system.sets(X, score, at.group).double().sum(-1) for X in inflated]
            own.append(_size(torch.stack(each).amax(0), system, "inflated", score))
        trivial = {score: each[0] for score, each in full.items() if None not in each}
        kept, missing = _without_coverage(found, trivial)
        return Measured(kept, facts={"norm": self.norm, "epsilon": self.epsilon}, missing=missing)

    def _uncover(self, system: System, at: Targets, threat: ThreatModel) -> Worst:
        """The inputs with the smallest probability of the true label that were found."""
        runs = [
            self._climb(system, at, threat, loss, "ce", stream, restart)
            for restart in range(self.restarts)
            for loss, stream in PGD_STREAM.items()
        ]
        for run in runs[1:]:
            runs[0].offer(run.X, run.score)
        return runs[0]

    def _climb(
        self,
        system: System,
        at: Targets,
        threat: ThreatModel,
        loss: Objective,
        worst_by: Objective,
        *stream: int,
    ) -> Worst:
        """The worst of one PGD run on all points."""
        attack = partial(
            pgd,
            system.forward,
            threat=threat,
            generators=generators(system, *stream),
            steps=self.steps,
            loss=loss,
            worst_by=worst_by,
        )
        return in_chunks(attack, at.X, at.y)


def _without_coverage(
    found: Mapping[str, list[Measurement]], trivial: Mapping[str, str | None]
) -> tuple[tuple[Measurement, ...], dict[str, str]]:
    """The measurements of all scores, and why those of scores with a reason have no coverage."""
    kept: list[Measurement] = []
    missing: dict[str, str] = {}
    for score, own in found.items():
        reason = trivial.get(score)
        for m in own:
            if reason is not None and m.name.startswith("coverage_"):
                missing[m.name] = reason
            else:
                kept.append(replace(m, trivial=reason))
    return tuple(kept), missing


def _coverage(sets: Tensor, at: Targets, suffix: str) -> Measurement:
    """Coverage [R] of sets [R, n, C]; that of random directions is a control."""
    true = at.y.expand(sets.shape[:2]).unsqueeze(-1)
    covered = sets.gather(-1, true).squeeze(-1).double().mean(1).cpu().numpy()
    control = suffix.startswith("random")
    return Measurement(
        f"coverage_{suffix}", covered, True, "fraction", len(at.y), 0.0, 1.0, control
    )


def _size(size: Tensor, system: System, name: str, score: str) -> Measurement:
    """The mean [R] of sizes [R, n]; that of random directions is a control."""
    return Measurement(
        name=f"size_{name}_{score}",
        values=size.mean(1).cpu().numpy(),
        higher_is_better=False,
        unit="labels",
        n=size.shape[1],
        lower=0.0,
        upper=float(len(system.problem.classes)),
        diagnostic=name == "random",
    )
