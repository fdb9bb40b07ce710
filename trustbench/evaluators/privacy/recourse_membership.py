"""What the distance to a counterfactual tells about who was in the training data."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Access, Array, Measured, System, attack_auc, attack_rate
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._recourse import RecourseEvaluator
from trustbench.methods.attacks import membership as mia
from trustbench.methods.recourse import Goal

RATE = 0.01


@dataclass(frozen=True)
class RecourseMembership(RecourseEvaluator):
    """The attacker who calls a refused person a member if the counterfactual is far away.

    A model that has memorised a refused row puts the boundary far from it. `auc_probability` is
    the same attacker with the probability of refusal in place of the distance, on the same rows:
    what the distance adds is the difference. `points` is the maximum number of attacked rows of the
    pool; those with a counterfactual count. A learned attacker who sees both is the view
    `confidence_explanation` of the evaluator attacker_views.

    Reference: Pawelczyk et al. 2023, arXiv 2211.05427, section 4 (counterfactual distance attack).
    """

    points: Annotated[int, Field(ge=4)] = 400

    aspect: ClassVar[Aspect | None] = Aspect.PRIVACY
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "members"})
    reference: ClassVar[str] = "Pawelczyk et al. 2023, arXiv 2211.05427"
    metrics = (
        attack_auc(
            "auc_distance",
            "How well an attacker who sees how far advice reaches tells members from others.",
        ),
        attack_auc(
            "auc_probability",
            "How well an attacker who sees how sure a refusal was tells members from others.",
            diagnostic=True,
        ),
        attack_rate(
            "tpr_1_distance",
            "How many members an attacker who sees how far advice reaches finds at 1 % false "
            "alarms.",
            null=0.01,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        return super().supports(system) or mia.no_non_members(system.membership)

    @override
    def measure(self, system: System) -> Measured:
        X, _, group = system.problem.rows("train")
        order = system.streams.numpy("attacks", "counterfactual_points").permutation(len(X))
        rows = np.sort(order[: self.points])
        found = self.owed(system, system.tensor(X[rows]), group[rows])
        usable = found.found.cpu().numpy()
        member = system.membership[:, rows]
        if not ((usable & member).any(1) & (usable & ~member).any(1)).all():
            reason = "a replicate has advice for no refused member, or for no refused other row"
            return Measured((), missing=dict.fromkeys((m.name for m in self.metrics), reason))
        odds = -Goal(system).log_odds(found.X).detach()
        out = mia.Report(member, self.measurement)
        distance = _scores(found.cost.double().cpu().numpy(), usable)
        out.auc("auc_distance", distance)
        out.auc("auc_probability", _scores(odds.double().cpu().numpy(), usable))
        out.tpr("tpr_1_distance", distance, RATE)
        out.facts |= {"points": len(rows), "released": found.released}
        return out.measured()


def _scores(values: Array, usable: Array) -> mia.Scores:
    """An attack without shadow models."""
    return mia.Scores(np.where(usable, values, 0.0), usable, 0, "equal", mutual=False)
