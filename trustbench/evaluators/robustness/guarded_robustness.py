"""What an attacker gets past a system that may reject inputs, knowing its guard or not."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import ABSTAIN, Array, Measured, Metric, System, fraction
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.guarded import selective_pgd
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import Targets, attack_points, targets

NOT_ADAPTIVE = (
    "the decider abstains without releasing a score that an attack can follow, so the attack is "
    "not adaptive; read `fooled_unaware` as a lower bound"
)


@dataclass(frozen=True)
class GuardedRobustness(UnderAttack):
    """The share of points at which an attacker gets a wrong decision that is not rejected.

    The attacker who does not know the guard runs PGD on cross-entropy and on the margin. The one
    who does also follows the guard's score downwards wherever a point is fooled, and keeps what the
    other one found. A system without a guard meets the same attacks. Decisions are the deployed
    ones; the attacks follow the logits. All arms are attacked on the same points, at most `points`
    test rows.

    `masking` is 1 where the attack with the whole box fools fewer points than in the ball, or fewer
    than half of all: it is then too weak for a small `fooled` to mean robustness.

    Reference: Bryniarski et al. 2021, arXiv 2106.15023; Carlini & Wagner 2017, arXiv 1705.07263
    (detectors fail against attackers who know them).
    """

    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 2
    points: Annotated[int, Field(ge=1)] = 300

    version: ClassVar[int] = 1
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    takes_abstention: ClassVar[bool] = True
    reference: ClassVar[str] = "Bryniarski et al. 2021, arXiv 2106.15023"
    metrics = (
        fraction(
            "fooled",
            "The share of test points at which an attacker who knows the guard gets a wrong "
            "decision past it.",
            better="lower",
        ),
        fraction(
            "fooled_unaware",
            "The same for an attacker who does not know the guard; not an adaptive attack.",
            better="lower",
        ),
        fraction(
            "detected",
            "The share of the points that an unaware attacker flips which the guard rejects.",
            better="higher",
        ),
        fraction(
            "rejected_clean",
            "The share of the same points that the guard rejects before any attack.",
            better="lower",
            diagnostic=True,
        ),
        fraction(
            "fooled_box",
            "The same where every input may be changed within its bounds; far below 1 means a weak "
            "attack.",
            better="lower",
            diagnostic=True,
        ),
        Metric(
            "masking",
            "Whether the attack is too weak for its failure to mean robustness.",
            "flag",
            better="lower",
            lower=0.0,
            upper=1.0,
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = self.threat(system, at.X)
        flipped, rejected, fooled = self._unaware(system, at, threat)
        found = {"fooled_unaware": fooled.mean(1)}
        missing = {}
        if flipped.any(1).all():
            found["detected"] = (flipped & rejected).sum(1) / flipped.sum(1)
        else:
            missing["detected"] = "the attack flips no point of a replicate"
        found["rejected_clean"] = (_decided(system, at, at.X) == ABSTAIN).mean(1)
        adaptive = not system.abstains or system.rejection is not None
        if adaptive:
            known = self._aware(system, at, threat, "guard") | fooled
            box = self._aware(system, at, threat.whole_box(), "guard_box").mean(1)
            weak = (box < known.mean(1)) | (box < 0.5)
            found = {"fooled": known.mean(1), **found, "fooled_box": box, "masking": weak}
        else:
            missing |= dict.fromkeys(("fooled", "fooled_box", "masking"), NOT_ADAPTIVE)
        return Measured(
            tuple(self.measurement(k, v, len(at.y)) for k, v in found.items()),
            facts={"norm": self.norm, "epsilon": self.epsilon, "adaptive": adaptive},
            missing=missing,
        )

    def _unaware(
        self, system: System, at: Targets, threat: ThreatModel
    ) -> tuple[Array, Array, Array]:
        """Which points flip the model, are rejected then, and get past the guard: bool [R, n].

        The input of a point is the worst that all runs found for the model alone.
        """
        worst = None
        for restart in range(self.restarts):
            for loss in ("ce", "margin"):
                climb = partial(pgd, threat=threat, steps=self.steps, loss=loss)
                run = attack_points(system, at.X, at.y, climb, f"pgd_{loss}", restart)
                if worst is None:
                    worst = run
                else:
                    worst.offer(run.X, run.score)
        assert worst is not None  # there is at least one restart
        decided = _decided(system, at, worst.X)
        y = at.y.cpu().numpy()
        return worst.fooled.cpu().numpy(), decided == ABSTAIN, _wrong(decided, y)

    def _aware(self, system: System, at: Targets, threat: ThreatModel, stream: str) -> Array:
        """Which points get past the guard after an attack on both: bool [R, n]."""
        past = np.zeros(at.X.shape[:2], dtype=bool)
        climb = partial(selective_pgd, threat=threat, steps=self.steps, rejection=system.rejection)
        for restart in range(self.restarts):
            run = attack_points(system, at.X, at.y, climb, stream, restart)
            past |= _wrong(_decided(system, at, run.X), at.y.cpu().numpy())
        return past


def _decided(system: System, at: Targets, X: Tensor) -> Array:
    """The deployed decisions on X [R, n, *shape]: int64 [R, n]."""
    with torch.no_grad():
        return np.asarray(system.decide(X, at.group).cpu().numpy())


def _wrong(decided: Array, y: Array) -> Array:
    return np.asarray((decided != ABSTAIN) & (decided != y))
