"""Selective prediction: does confidence tell right from wrong, and who is left undecided?"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    ABSTAIN,
    PERMUTED,
    Access,
    Array,
    Evaluator,
    Measured,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._decisions import decisions
from trustbench.methods.group_nulls import against_chance
from trustbench.methods.groups import gap, means, means_by, sizes
from trustbench.methods.risk_coverage import area, oracle_area, risks

SHARES = (50, 80, 90)  # percent of the rows at which the curve is reported
REJECTED = ("rejection_gap",)
RISKS = ("selective_risk_gap", "worst_group_selective_risk")


@dataclass(frozen=True)
class SelectiveRisk(Evaluator):
    """The risk-coverage curve of the model's confidence, and what abstaining does to groups.

    The curve needs no abstention: rows are ranked by the largest probability that users see, and
    each is right or wrong by the largest logit. The numbers by group are those of the deployed
    decisions. A system that never abstains rejects nobody, so its gap in risk is that of its error
    rates, and the effect of a method that abstains says whether abstention widens it. A group
    counts in `rejection_gap` if it has `min_group` test rows, and in the risks if it has as many
    decided rows in every replicate.

    Reference: Geifman et al. 2019, arXiv 1805.08206 (area, and its excess over the oracle); Jones
    et al. 2021, arXiv 2010.14134 (selective classification can magnify disparities).
    """

    min_group: Annotated[int, Field(ge=1)] = 20

    version: ClassVar[int] = 1
    aspect: ClassVar[Aspect | None] = Aspect.UNCERTAINTY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "interface", "decider"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset({"logits"})
    reference: ClassVar[str] = "Geifman et al. 2019, arXiv 1805.08206"
    metrics = (
        fraction(
            "aurc",
            "How often the most confident answers are wrong, averaged over all shares of answers.",
            better="lower",
        ),
        fraction(
            "excess_aurc",
            "The part of the area that a confidence which ranks every wrong answer last avoids.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "risk_at_<n>",
            "The share of wrong answers among the most confident, this percentage of the rows.",
            better="lower",
        ),
        fraction(
            "rejection_gap",
            "How much more often the system leaves rows of one group undecided than of another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "selective_risk_gap",
            "How much more often decided rows of one group are decided wrongly than of another.",
            better="lower",
            null=PERMUTED,
        ),
        fraction(
            "worst_group_selective_risk",
            "The share of wrong decisions on the decided rows of the group that fares worst.",
            better="lower",
            null=PERMUTED,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        curve = self._curve(system)
        return Measured.joined((curve, self._by_group(system)))

    def _curve(self, system: System) -> Measured:
        """The area under the curve of confidence, and some of its points."""
        y = system.problem.rows("test")[1]
        logits = system.split_logits("test")
        seen = system.observed(logits).amax(-1).double().cpu().numpy()
        wrong = logits.argmax(-1).cpu().numpy() != y
        curve = risks(seen, wrong)
        values = {"aurc": area(curve), "excess_aurc": _above(area(curve), oracle_area(wrong))}
        for share in SHARES:
            values[f"risk_at_{share}"] = curve[:, max(1, round(share / 100 * len(y))) - 1]
        points = np.linspace(1, len(y), min(len(y), 50)).round().astype(int) - 1
        found = tuple(self.measurement(k, v, len(y)) for k, v in values.items())
        return Measured(found, arrays={"risk_coverage": curve[:, points]})

    def _by_group(self, system: System) -> Measured:
        """Who is left undecided, and how right the others are."""
        _, y, group = system.problem.rows("test")
        given = decisions(system, "test")
        decided = given != ABSTAIN
        n_groups = len(system.problem.groups)
        large = sizes(group, n_groups) >= self.min_group
        count = means(decided, group, n_groups) * sizes(group, n_groups)
        answered = large & (np.nan_to_num(count).min(0) >= self.min_group)
        parts = []
        for names, kept, what in ((REJECTED, large, "test"), (RISKS, answered, "decided test")):
            if kept.sum() < 2:
                reason = f"needs two groups with {self.min_group} {what} rows each"
                parts.append(Measured.unmeasured(names, reason))
                continue
            rows = kept[group]
            statistic = partial(
                _statistics, names, decided[:, rows], given[:, rows] != y[rows], kept
            )
            build = partial(self.measurement, n=int(rows.sum()))
            parts.append(Measured(tuple(against_chance(build, statistic, group[rows], system))))
        by_group = {"rejected_by_group": 1 - means(decided, group, n_groups)[:, large]}
        return Measured.joined((*parts, Measured((), arrays=by_group)))


def _statistics(
    names: tuple[str, ...], decided: Array, differs: Array, kept: Array, groups: Array
) -> dict[str, Array]:
    """The statistics `names`, {name: [K, R]}, of K groupings of the rows, int64 [K, n]."""
    share = means_by(decided, groups, len(kept))[..., kept]
    bad = means_by(decided & differs, groups, len(kept))[..., kept]
    # a random group without a decided row has no wrong one either
    risk = np.divide(bad, share, out=np.zeros_like(bad), where=share > 0)
    found = {
        "rejection_gap": gap(share),
        "selective_risk_gap": gap(risk),
        "worst_group_selective_risk": risk.max(-1),
    }
    return {name: found[name] for name in names}


def _above(values: Array, least: Array) -> Array:
    """Values - least, without the rounding that makes a perfect score fall below its bound."""
    return np.asarray(np.maximum(values - least, 0.0))
