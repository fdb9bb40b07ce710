"""Membership inference against the released confidences: LiRA with the replicates as shadows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from trustbench.aspects import Aspect
from trustbench.attacks import membership as mia
from trustbench.contracts import Array, Evaluator, Fact, Measured, Measurement, System

# TPR at these false-positive rates is measured, under this name.
RATES = {"lira_tpr_1": 0.01, "lira_tpr_01": 0.001}
ROC_GRID = np.logspace(-3, 0, 31)
GROUP_AUCS = ("lira_auc_worst_group", "lira_auc_gap")


@dataclass(frozen=True)
class Privacy(Evaluator):
    """How well an attacker tells members from non-members of the training pool.

    Each replicate is the target once and the others are its shadow models, trained by the same
    recipe; a partner trained on exactly the complementary half is left out (see
    `membership.shadows_of`). Lower is better everywhere; one half is chance for an AUC. Epsilon
    is a guarantee and stays a fact of the arm: it is never mixed with these numbers.

    `min_group`: members and non-members that a group needs, in every replicate, for its AUC.

    Reference: Carlini et al. 2022, arXiv 2112.03570; Yeom et al. 2018, arXiv 1709.01604 (loss).
    """

    min_group: Annotated[int, Field(ge=2)] = 10

    aspect: ClassVar[Aspect] = Aspect.PRIVACY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "interface"})
    reference: ClassVar[str] = "Carlini et al. 2022, arXiv 2112.03570"

    def supports(self, system: System) -> str | None:
        """None, or that some replicate has no members or no non-members."""
        count = system.membership.sum(axis=1)
        if ((count == 0) | (count == system.membership.shape[1])).any():
            return (
                "not applicable: membership inference needs non-members, and every pool row was "
                "trained on (use protocol.inclusion=half)"
            )
        return None

    def measure(self, system: System) -> Measured:
        """`lira_auc` first; what cannot be measured on this system has a reason instead."""
        _, y, group = system.problem.rows("train")
        member = system.membership
        phi = mia.logit_confidence(system.split_logits("train").cpu().numpy(), y)
        loss = mia.losses(phi)
        out = _Results(n=member.shape[1])
        online = mia.lira(phi, member, online=True)
        _attack(out, "lira_auc", online, member)
        _attack(out, "lira_offline_auc", mia.lira(phi, member, online=False), member)
        out.add("loss_auc", [mia.auc(-x, m) for x, m in zip(loss, member, strict=True)])
        _rates(out, online, member)
        self._groups(out, online, member, group, system.problem.groups)
        _controls(out, online, member, loss, system)
        out.facts["shadows"] = online.shadows
        out.facts["lira_variance"] = online.variance
        out.facts["rows_without_shadows"] = int((~online.usable).sum())
        return Measured(tuple(out.measurements), out.arrays, out.facts, out.missing)

    def _groups(
        self,
        out: "_Results",
        scores: mia.Scores,
        member: Array,
        group: Array,
        names: tuple[str, ...],
    ) -> None:
        """The AUC within each group that is large enough in every replicate: worst, and gap."""
        values = []
        for g, name in enumerate(names):
            within = mia.Scores(
                scores.values, scores.usable & (group == g), scores.shadows, scores.variance
            )
            if _smallest_side(within, member) >= self.min_group:
                values.append(_each(mia.auc, within, member))
                out.arrays[f"lira_auc_group_{g}"] = values[-1]
            else:
                out.facts[f"group_too_small_{g}"] = name
        out.facts["groups_measured"] = len(values)
        if len(values) < 2:
            reason = f"needs two groups with {self.min_group} members and non-members each"
            out.missing |= dict.fromkeys(GROUP_AUCS, reason)
            return
        stacked = np.stack(values)
        out.add(GROUP_AUCS[0], stacked.max(0))
        out.add(GROUP_AUCS[1], np.ptp(stacked, axis=0), unit="AUC difference")


@dataclass
class _Results:
    """What has been measured so far."""

    n: int
    measurements: list[Measurement] = field(default_factory=list)
    arrays: dict[str, Array] = field(default_factory=dict)
    facts: dict[str, Fact] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        name: str,
        values: object,
        *,
        unit: str = "AUC",
        upper: float | None = 1.0,
        diagnostic: bool = False,
    ) -> None:
        """A measurement of which less is better."""
        lower = None if upper is None else 0.0
        array = np.asarray(values, dtype=np.float64)
        self.measurements.append(
            Measurement(name, array, False, unit, self.n, lower, upper, diagnostic)
        )


def _each(metric: Callable[[Array, Array], float], scores: mia.Scores, member: Array) -> Array:
    """A metric of (scores, membership) on each replicate's usable rows, [R]."""
    rows = zip(scores.values, member, scores.usable, strict=True)
    return np.array([metric(s[u], m[u]) for s, m, u in rows])


def _smallest_side(scores: mia.Scores, member: Array) -> int:
    """The fewest usable members or non-members that any replicate has."""
    return int(min((scores.usable & member).sum(1).min(), (scores.usable & ~member).sum(1).min()))


def _attack(out: _Results, name: str, scores: mia.Scores, member: Array) -> None:
    if _smallest_side(scores, member):
        out.add(name, _each(mia.auc, scores, member))
    else:
        out.missing[name] = _no_shadows(len(member))


def _no_shadows(replicates: int) -> str:
    return (
        "needs shadow models that saw a row and others that did not; "
        f"protocol.replicates={replicates} leaves none, give at least 4"
    )


def _rates(out: _Results, scores: mia.Scores, member: Array) -> None:
    """TPR at the low false-positive rates that can be resolved, and the ROC's low end."""
    if not _smallest_side(scores, member):
        out.missing |= dict.fromkeys(RATES, _no_shadows(len(member)))
        return

    def tpr(fpr: float) -> Array:
        return _each(lambda s, m: mia.tpr_at(s, m, fpr), scores, member)

    outside = int((scores.usable & ~member).sum(1).min())
    for name, fpr in RATES.items():
        if mia.resolves(fpr, outside):
            out.add(name, tpr(fpr), unit="true-positive rate")
            out.facts[f"{name}_false_positives"] = mia.allowed(fpr, outside)
        else:
            out.missing[name] = (
                f"a false-positive rate of {fpr:g} needs {round(1 / fpr)} non-members; "
                f"a replicate has {outside}"
            )
    grid = np.array([fpr for fpr in ROC_GRID if mia.resolves(fpr, outside)])
    out.arrays["roc_fpr"] = grid
    out.arrays["roc_tpr"] = np.stack([tpr(fpr) for fpr in grid], axis=1)


def _controls(
    out: _Results, scores: mia.Scores, member: Array, loss: Array, system: System
) -> None:
    """Shuffled membership must give one half; the loss gap says how overfit the replicates are."""
    if _smallest_side(scores, member):
        shuffled = []
        for r, usable in enumerate(scores.usable):
            labels = system.streams.numpy("controls", r).permutation(member[r, usable])
            shuffled.append(mia.auc(scores.values[r, usable], labels))
        out.add("shuffled_auc", shuffled, diagnostic=True)
    else:
        out.missing["shuffled_auc"] = _no_shadows(len(member))
    inside = (loss * member).sum(1) / member.sum(1)
    outside = (loss * ~member).sum(1) / (~member).sum(1)
    out.add("loss_gap", outside - inside, unit="nats", upper=None, diagnostic=True)
