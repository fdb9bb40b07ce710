"""How far an attacker can move a released explanation without changing the decision (E -> R)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Measured, Metric, System, fraction
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.saliency import (
    equal_norm_control,
    explanation_attack,
    overlap,
    top,
)
from trustbench.methods.attacks.evasion.targets import generators, targets


@dataclass(frozen=True)
class ExplanationAttack(UnderAttack):
    """Overlap of the top-k columns of the released explanation, before and after an attack.

    The attacker has the model's gradients and moves saliency off the columns that the released
    explanation ranks highest, keeping the decision; the overlap is that of the *released*
    explanations. The control moves each point as far in a random direction. Overlap is best at
    1; the attack's effect is `overlap_random` minus `overlap_attack`, kept as `overlap_loss`.

    On networks of ReLUs the second derivative that the attack climbs is zero; it then becomes
    a random search over corners of the ball, and `zero_second_derivative` says on how many
    points: the measured loss is a lower bound there.

    `points` is the number of explained rows of the test split, each explained three times. `top_k`
    is the number of compared columns.

    Reference: Ghorbani et al. 2019, arXiv 1710.10547, section 3.
    """

    steps: Annotated[int, Field(ge=1)] = 20
    restarts: Annotated[int, Field(ge=1)] = 2
    top_k: Annotated[int, Field(ge=1)] = 5
    points: Annotated[int, Field(ge=1)] = 40

    version: ClassVar[int] = 2
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    reference: ClassVar[str] = "Ghorbani et al. 2019, arXiv 1710.10547"
    metrics = (
        fraction(
            "overlap_attack",
            "How much of the explanation stays when an attacker alters the row, not the decision.",
            better="higher",
            null="overlap_random",
        ),
        fraction(
            "overlap_random",
            "How much of the explanation stays when the row moves as far in a random direction.",
            better="higher",
        ),
        Metric(
            "overlap_loss",
            "How much more of the explanation an attack destroys than a random change does.",
            "fraction",
            better="lower",
            lower=-1.0,
            upper=1.0,
            null=0.0,
            diagnostic=True,
        ),
        # needing more radius is a good sign too
        fraction(
            "attack_radius",
            "How far the attack moves a row, as a share of the radius that it may use.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "zero_second_derivative",
            "The share of rows on which the attack has no gradient and searches at random.",
            better="lower",
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.explainer is None:
            return "needs released explanations"
        fixed = super().supports(system)
        if fixed:
            return fixed
        if self.top_k >= system.problem.n_features:
            return (
                f"top_k={self.top_k} covers all {system.problem.n_features} columns of "
                f"{system.problem.name}, so any two explanations agree; give a smaller top_k"
            )
        return None

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = self.threat(system, at.X)
        clean = top(system.explain(at.X), self.top_k)
        worst, blind = explanation_attack(
            system.forward,
            at.X,
            clean,
            threat,
            generators(system, "explanation_attack"),
            steps=self.steps,
            restarts=self.restarts,
        )
        control = equal_norm_control(
            system.forward, at.X, worst.X, threat, generators(system, "explanation_random")
        )
        attacked = overlap(clean, top(system.explain(worst.X), self.top_k)).double()
        random = overlap(clean, top(system.explain(control), self.top_k)).double()
        moved = threat.size(worst.X - at.X).double()
        n = len(at.y)
        of_rows = {
            "overlap_attack": attacked,
            "overlap_random": random,
            "overlap_loss": random - attacked,
            "attack_radius": moved / self.epsilon,
            "zero_second_derivative": blind.double(),
        }
        return Measured(
            measurements=(
                self.measurement("overlap_attack", attacked.mean(1), n),
                self.measurement("overlap_random", random.mean(1), n),
                self.measurement("overlap_loss", random.mean(1) - attacked.mean(1), n),
                self.measurement("attack_radius", moved.mean(1) / self.epsilon, n),
                self.measurement("zero_second_derivative", blind.double().mean(1), n),
            ),
            rows={name: each.cpu().numpy() for name, each in of_rows.items()},
            facts={"norm": self.norm, "epsilon": self.epsilon, "top_k": self.top_k},
        )
