"""Coverage and size of released prediction sets under attack, calibrated on clean data (U -> R)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Measured, Measurement, Metric, System, fraction
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.pgd import Loss, Objective, Worst, pgd
from trustbench.methods.attacks.evasion.targets import (
    Targets,
    attack_points,
    generators,
    targets,
)
from trustbench.methods.conformal import uninformative

# The losses of the attacks on the coverage and on the size of sets.
UNCOVERING: tuple[Loss, ...] = ("ce", "margin")
INFLATING: tuple[Objective, ...] = ("entropy", "tie")


@dataclass(frozen=True)
class SetAttack(UnderAttack):
    """How often released prediction sets contain the true label if the inputs are attacked.

    Thresholds stay those calibrated on clean data. The attack lowers the true label's probability,
    by PGD on cross-entropy and on the logit margin, and keeps the iterate with the lowest one: this
    maximises the LAC score exactly, and is a proxy for APS. The control moves each point as far in
    a random direction. Compare with `coverage_clean`, never with 1 - alpha.

    `size_inflated` is the mean size under an attacker who raises the size instead, within the same
    ball. Thresholds are not visible in released sets, so one ascent raises the entropy of the
    predicted distribution and another levels the two likeliest labels; the largest released set of
    each point counts, including that of the clean point. Compare with `size_random`.

    Sets that hold every label cover by construction: their coverage is not measured, but their size
    is.

    Both attacks follow the gradient of the deployed forward. Sets with another source (smoothed
    scores, say) face transferred attacks, and a stronger one may exist.

    `points` is the number of attacked rows of the test split (all if there are fewer); `steps` and
    `restarts` are those of each PGD attack.

    Reference: Gendler et al. 2022, "Adversarially robust conformal prediction", ICLR, section 5
    (the vanilla rows: clean calibration, attacked test); Ghosh et al. 2023, arXiv 2307.16360
    (attacks on set size).
    """

    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 1
    points: Annotated[int, Field(ge=1)] = 400

    version: ClassVar[int] = 5
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "set_predictors"})
    reference: ClassVar[str] = "Gendler et al. 2022, ICLR"
    metrics = (
        fraction(
            "coverage_attacked_<score>",
            "How often prediction sets hold the true label when the inputs are attacked.",
            better="higher",
            null="coverage_clean_<score>",
        ),
        fraction(
            "coverage_clean_<score>",
            "How often prediction sets hold the true label on inputs that nobody attacks.",
            better="higher",
        ),
        fraction(
            "coverage_random_<score>",
            "How often prediction sets hold the true label when inputs move at random.",
            better="higher",
            diagnostic=True,
        ),
        Metric(
            "size_attacked_<score>",
            "How many labels prediction sets hold when an attacker drives the true one out.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
            null="size_clean_<score>",
        ),
        Metric(
            "size_clean_<score>",
            "How many labels prediction sets hold on inputs that nobody attacks.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
        ),
        Metric(
            "size_random_<score>",
            "How many labels prediction sets hold when inputs move at random.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
            diagnostic=True,
        ),
        Metric(
            "size_inflated_<score>",
            "How many labels prediction sets hold when an attacker makes them as large as can be.",
            "labels",
            better="lower",
            lower=0.0,
            upper="number of labels",
            null="size_random_<score>",
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if not system.set_predictors:
            return "needs released prediction sets"
        return super().supports(system)

    def measure(self, system: System) -> Measured:
        """Coverage and size of each released score on clean, attacked and random inputs.

        Also returns its size on inflated ones.
        """
        at = targets(system, self.points)
        threat = self.threat(system, at.X)
        worst = self._uncover(system, at, threat)
        control = threat.random_direction(
            at.X, threat.size(worst.X - at.X), generators(system, "sets_random")
        )
        inputs = {"clean": at.X, "attacked": worst.X, "random": control}
        inflated = [at.X] + [
            self._climb(system, at, threat, loss, loss).X
            for loss in INFLATING
            if loss == "entropy" or not system.problem.binary  # with two labels they are the same
        ]
        # Scores inside: predictors that share work for the same inputs then do it once.
        sets = {
            (score, name): system.sets(X, score, at.group)
            for name, X in inputs.items()
            for score in system.set_predictors
        }
        parts = [Measured((), facts={"norm": self.norm, "epsilon": self.epsilon})]
        for score in system.set_predictors:
            each = [system.sets(X, score, at.group).double().sum(-1) for X in inflated]
            largest = self._size(torch.stack(each).amax(0), system, f"inflated_{score}")
            own = {name: sets[score, name] for name in inputs}
            full = [uninformative(system, score, s) for s in own.values()]
            trivial = full[0] if None not in full else None
            parts.append(self._of_score(system, score, own, at, trivial))
            parts.append(Measured((replace(largest, trivial=trivial),)))
        return Measured.joined(parts)

    def _of_score(
        self,
        system: System,
        score: str,
        sets: Mapping[str, Tensor],
        at: Targets,
        trivial: str | None,
    ) -> Measured:
        """Coverage and size of sets [R, n, C] by input; sizes alone where sets are `trivial`."""
        found: list[Measurement] = []
        missing: dict[str, str] = {}
        for name, each in sets.items():
            if trivial is None:
                found.append(self._coverage(each, at, f"{name}_{score}"))
            else:
                missing[f"coverage_{name}_{score}"] = trivial
            size = self._size(each.double().sum(-1), system, f"{name}_{score}")
            found.append(replace(size, trivial=trivial))
        return Measured(tuple(found), missing=missing)

    def _coverage(self, sets: Tensor, at: Targets, suffix: str) -> Measurement:
        """Coverage [R] of sets [R, n, C]."""
        true = at.y.expand(sets.shape[:2]).unsqueeze(-1)
        covered = sets.gather(-1, true).squeeze(-1).double().mean(1)
        return self.measurement(f"coverage_{suffix}", covered, len(at.y))

    def _size(self, size: Tensor, system: System, suffix: str) -> Measurement:
        """The mean [R] of sizes [R, n]."""
        classes = float(len(system.problem.classes))
        return self.measurement(f"size_{suffix}", size.mean(1), size.shape[1], upper=classes)

    def _uncover(self, system: System, at: Targets, threat: ThreatModel) -> Worst:
        """The inputs found with the smallest probability of the true label."""
        runs = [
            self._climb(system, at, threat, loss, "ce", restart)
            for restart in range(self.restarts)
            for loss in UNCOVERING
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
        restart: int = 0,
    ) -> Worst:
        """The worst of one PGD run on all points."""
        climb = partial(pgd, threat=threat, steps=self.steps, loss=loss, worst_by=worst_by)
        return attack_points(system, at.X, at.y, climb, f"sets_{loss}", restart)
