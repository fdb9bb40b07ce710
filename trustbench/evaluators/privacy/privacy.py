"""Membership inference against the released confidences: LiRA with the replicates as shadows."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    PERMUTED,
    Access,
    Array,
    Measured,
    Metric,
    Need,
    System,
    attack_auc,
    attack_rate,
)
from trustbench.evaluators._membership import MembershipEvaluator
from trustbench.methods.attacks import membership as mia
from trustbench.methods.group_nulls import Chance, by_chance

# The false-positive rates of the TPR metrics, and their names.
RATES = {"lira_tpr_1": 0.01, "lira_tpr_01": 0.001}
ROC_GRID = np.logspace(-3, 0, 31)
# Random groupings behind the nulls of the extremes over groups.
PERMUTATIONS = 50
GROUP_AUCS = ("lira_auc_worst_group", "lira_auc_gap")
# Within the smallest group that is large enough, and within the largest.
SIZED = ("lira_auc_minority", "lira_auc_majority", "lira_tpr_1_minority")
STRONGEST = ("strongest_auc", "strongest_auc_minority")
SHADOWED = (*STRONGEST, "lira_auc", "lira_offline_auc", *RATES, *GROUP_AUCS, *SIZED, "shuffled_auc")


@dataclass(frozen=True)
class Privacy(MembershipEvaluator):
    """How well an attacker distinguishes members of the training pool from non-members.

    Each replicate is the target once and the others are its shadow models, trained by the same
    recipe; a partner trained on exactly the complementary half is left out (see
    `membership.shadows_of`). Lower is always better; one half is chance for an AUC. Epsilon is a
    guarantee and stays a fact of the arm: it is never mixed with these numbers. Behind an interface
    the attacker sees what is released, see `released_logits`.

    `lira_auc_worst_group` and `lira_auc_gap` are extremes of few noisy AUCs, which exceed one half
    and zero even without leakage; each comes with its null, `<name>_permuted`, the mean over random
    groups of the same sizes.

    `strongest_auc` attacks every target with the best of LiRA, offline LiRA, the loss, RMIA and
    their combination, namely the one that works best when the models other than the target and its
    partner attack each other. Two arms thus meet attacks chosen with equal care (see
    `membership.strongest`).

    `min_group` is the number of members and of non-members that a group needs, in every replicate,
    for its AUC.

    Reference: Carlini et al. 2022, arXiv 2112.03570; Yeom et al. 2018, arXiv 1709.01604 (loss).
    """

    min_group: Annotated[int, Field(ge=2)] = 10

    version: ClassVar[int] = 8
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "interface"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "members"})
    over_rows: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"shadows"})
    reference: ClassVar[str] = "Carlini et al. 2022, arXiv 2112.03570"
    metrics = (
        attack_auc(
            "strongest_auc",
            "How well the strongest attacker tells members from others.",
        ),
        attack_auc(
            "strongest_auc_minority",
            "How well the strongest attacker tells members of the smallest group from others.",
        ),
        attack_auc(
            "lira_auc",
            "How well an attacker who has shadow models tells members from others.",
        ),
        attack_auc(
            "lira_offline_auc",
            "How well an attacker whose shadow models never saw the row tells members from others.",
        ),
        attack_auc(
            "loss_auc",
            "How well the loss on a row alone tells members from others.",
        ),
        attack_rate(
            "lira_tpr_<1|01|1_minority>",
            "How many members an attacker who has shadow models finds at few false alarms.",
        ),
        attack_auc(
            "lira_auc_worst_group",
            "How well an attacker tells members from others in the group most at risk.",
            null=PERMUTED,
        ),
        Metric(
            "lira_auc_gap",
            "How much better an attacker tells members from others in one group than in another.",
            "AUC difference",
            better="lower",
            lower=0.0,
            upper=1.0,
            null=PERMUTED,
        ),
        attack_auc(
            "lira_auc_<minority|majority>",
            "How well an attacker who has shadow models tells members from others in the smallest, "
            "or largest, group.",
        ),
        attack_auc(
            "shuffled_auc",
            "What the attack scores when membership is shuffled, which must be one half.",
            diagnostic=True,
        ),
        Metric(
            "loss_gap",
            "How much larger the loss is on rows never seen than on training rows.",
            "nats",
            better="lower",
            null=0.0,
            diagnostic=True,
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        if "replicates" not in system.access:
            return self._alone(system)
        group, member = system.problem.rows("train")[2], system.membership
        seen = mia.Observed.of(system)
        loss = mia.losses(seen.phi[: seen.targets])
        out = seen.report(self.measurement)
        online = seen.lira(online=True)
        strongest = _strongest(out, seen)
        out.auc("lira_auc", online)
        out.auc("lira_offline_auc", seen.lira(online=False))
        out.add("loss_auc", mia.aucs(-loss, member))
        _rates(out, online)
        self._groups(out, online, group, system)
        self._strongest_minority(out, strongest, group, system.problem.groups)
        _controls(out, online, loss, system)
        out.facts["shadows"] = online.shadows
        out.facts["lira_variance"] = online.variance
        out.facts["rows_without_shadows"] = int((~online.usable).sum())
        return out.measured()

    def _alone(self, system: System) -> Measured:
        """The loss on members and on others: what a model shows that has no shadow models."""
        y, member = system.problem.rows("train")[1], system.membership
        shown = mia.released_logits(system, system.split_logits("train"))
        loss = mia.losses(mia.logit_confidence(shown, y))
        out = mia.Report(member, self.measurement)
        out.add("loss_auc", mia.aucs(-loss, member))
        out.add("loss_gap", mia.loss_gap(loss, member))
        lacking = Measured.unmeasured(SHADOWED, "needs replicates: other models of the same recipe")
        return Measured.joined([out.measured(), lacking])

    def _strongest_minority(
        self, out: mia.Report, found: mia.Strongest | None, group: Array, names: tuple[str, ...]
    ) -> None:
        """The same attacks within the smallest group that is large enough."""
        name = "strongest_auc_minority"
        if found is None:
            out.missing[name] = out.missing["strongest_auc"]
            return
        usable = found.scores.usable
        large = mia.large_groups(usable, out.member, group, len(names), self.min_group)
        if len(large) < 2:
            out.missing[name] = mia.needs_groups(self.min_group)
            return
        out.auc(name, mia.within(found.scores, group == large[-1]))

    def _groups(self, out: mia.Report, scores: mia.Scores, group: Array, system: System) -> None:
        """The AUC within each group that is large enough in every replicate, and their spread."""
        names = system.problem.groups
        large = mia.large_groups(scores.usable, out.member, group, len(names), self.min_group)
        for g, name in enumerate(names):
            if g not in large:
                out.facts[f"group_too_small_{g}"] = name
        out.facts["groups_measured"] = len(large)
        aucs = {g: mia.each(mia.auc, mia.within(scores, group == g), out.member) for g in large}
        out.arrays |= {f"lira_auc_group_{g}": values for g, values in aucs.items()}
        if len(large) < 2:
            reason = mia.needs_groups(self.min_group)
            out.missing |= dict.fromkeys((*GROUP_AUCS, *SIZED), reason)
            return
        masks = [group == g for g in large]
        by_group = partial(mia.over_groups, statistic=out.each(mia.auc), masks=masks)
        for name, spread in zip(GROUP_AUCS, (np.max, np.ptp), strict=True):
            out.scored(name, scores, partial(by_group, spread=spread))
        for name, chance in _by_chance(scores, out.member, group, large, system).items():
            out.beside(name, chance)
        majority, minority = large[0], large[-1]
        smallest = mia.within(scores, group == minority)
        out.auc("lira_auc_minority", smallest)
        out.auc("lira_auc_majority", mia.within(scores, group == majority))
        out.tpr("lira_tpr_1_minority", smallest, 0.01)
        out.facts |= {"minority": names[minority], "majority": names[majority]}


def _strongest(out: mia.Report, seen: mia.Observed) -> mia.Strongest | None:
    """The AUC of the attack that does best on the models other than a target and its partner."""
    found = seen.strongest
    if found is None:
        out.missing["strongest_auc"] = mia.no_shadows(seen.targets, least=mia.LEAST)
        return None
    out.auc("strongest_auc", found.scores)
    out.facts["strongest_attack"] = found.chosen
    return found


def _by_chance(
    scores: mia.Scores, member: Array, group: Array, large: list[int], system: System
) -> dict[str, Chance]:
    """The spread over random groups of the sizes of the large ones, which are [n] of `group`."""
    place = np.full(len(system.problem.groups), len(large))
    place[large] = np.arange(len(large))
    kept = np.isin(group, large)

    def statistics(groups: Array) -> dict[str, Array]:
        every = np.full((len(groups), len(group)), len(large))
        every[:, kept] = groups
        aucs = mia.group_aucs(scores, member, every, len(large))
        worst, least = np.nanmax(aucs, axis=-1), np.nanmin(aucs, axis=-1)
        return dict(zip(GROUP_AUCS, (worst, worst - least), strict=True))

    rng = system.streams.numpy("controls", "groups")
    return by_chance(statistics, place[group[kept]], rng, PERMUTATIONS)


def _rates(out: mia.Report, scores: mia.Scores) -> None:
    """TPR at the low false-positive rates that can be resolved, and the ROC's low end."""
    for name, fpr in RATES.items():
        out.tpr(name, scores, fpr)
    if not mia.smallest_side(scores.usable, out.member):
        return
    outside = mia.fewest_outside(scores.usable, out.member)
    grid = np.array([fpr for fpr in ROC_GRID if mia.resolves(fpr, outside)])
    rates = [mia.each(partial(mia.tpr_at, fpr=fpr), scores, out.member) for fpr in grid]
    out.arrays["roc_fpr"] = grid
    out.arrays["roc_tpr"] = np.stack(rates, axis=1)


def _controls(out: mia.Report, scores: mia.Scores, loss: Array, system: System) -> None:
    """Shuffled membership must give one half; the loss gap shows how overfit the replicates are."""
    member = out.member
    if mia.smallest_side(scores.usable, member):
        shuffled = []
        for r, usable in enumerate(scores.usable):
            rng = system.streams.numpy("controls", r, "shuffled")
            shuffled.append(mia.auc(scores.values[r, usable], rng.permutation(member[r, usable])))
        out.add("shuffled_auc", shuffled)
    else:
        out.missing["shuffled_auc"] = mia.no_shadows(len(member))
    out.add("loss_gap", mia.loss_gap(loss, member))
