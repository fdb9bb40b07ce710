"""What an attacker gains who sees both the replaced model and its replacement."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Measured, Need, System, attack_auc
from trustbench.evaluators._membership import MembershipEvaluator
from trustbench.methods.attacks import membership as mia


@dataclass(frozen=True)
class DiscrepancyAttack(MembershipEvaluator):
    """Membership inference with the outputs of the baseline and of this arm (F -> P).

    Both were trained on the same rows, so what the method changed about a row may say whether
    it was among them. The attack is LiRA on the pair of logit-scaled confidences, their joint
    covariance learned from the other replicates' pairs: it weighs the difference as the data
    tell, since members may differ more (Tian et al.) or less between the two models.
    `fd_shuffled_auc` is the null: the same attack on the same number of outputs, where the
    baseline's are those of other rows of the class. `fair_only_auc` is the attack with this arm's
    outputs alone, which has fewer numbers to estimate; `base_only_auc` with the baseline's.
    `_minority`: within the smallest group that has `min_group` members and
    non-members in every replicate.

    If an arm retrains nothing the two outputs are equal, and so are the AUCs and the null.

    Reference: Tian et al. 2024, IJCAI, FD-MIA; as a likelihood ratio after Carlini et al. 2022,
    arXiv 2112.03570.
    """

    min_group: Annotated[int, Field(ge=2)] = 10

    version: ClassVar[int] = 5
    needs: ClassVar[frozenset[Need]] = frozenset({"baseline"})
    reference: ClassVar[str] = "Tian et al. 2024, IJCAI (FD-MIA)"
    metrics = (
        attack_auc(
            "fd_auc",
            "How well an attacker who sees the model before and after tells members from others.",
            null="fd_shuffled_auc",
        ),
        attack_auc(
            "fd_auc_minority",
            "How well an attacker who sees the model before and after tells members of the "
            "minority from others.",
            null="fd_shuffled_auc_minority",
        ),
        attack_auc(
            "fd_shuffled_auc<|_minority>",
            "How well an attacker tells members from others who sees the earlier model on other "
            "rows.",
            diagnostic=True,
        ),
        attack_auc(
            "fair_only_auc<|_minority>",
            "How well an attacker who sees this model alone tells members from others.",
            diagnostic=True,
        ),
        attack_auc(
            "base_only_auc",
            "How well an attacker who sees the earlier model alone tells members from others.",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        if system.baseline is None:
            return "needs an arm with an intervention: the baseline differs from nothing"
        return super().supports(system)

    @override
    def measure(self, system: System) -> Measured:
        assert system.baseline is not None
        _, y, group = system.problem.rows("train")
        member = system.membership
        fair, base = _confidence(system), _confidence(system.baseline())
        scores = {
            "fd_auc": mia.joint_lira(np.stack([fair, base], axis=2), member),
            "fd_shuffled_auc": mia.joint_lira(_shuffled(system, fair, base, y), member),
            "fair_only_auc": mia.joint_lira(fair[..., None], member),
            "base_only_auc": mia.joint_lira(base[..., None], member),
        }
        out = mia.Report(member, self.measurement)
        for name, found in scores.items():
            out.auc(name, found)
        names = system.problem.groups
        usable = scores["fd_auc"].usable
        large = mia.large_groups(usable, member, group, len(names), self.min_group)
        for name in ("fd_auc", "fd_shuffled_auc", "fair_only_auc"):
            if len(large) < 2:
                out.missing[f"{name}_minority"] = mia.needs_groups(self.min_group)
                continue
            alone = mia.within(scores[name], group == large[-1])
            out.auc(f"{name}_minority", alone)
            out.facts["minority"] = names[large[-1]]
        out.facts["shadows"] = scores["fd_auc"].shadows
        return out.measured()


def _shuffled(system: System, fair: Array, base: Array, y: Array) -> Array:
    """This arm's outputs beside the baseline's on other rows of the class, [R, n, 2].

    All replicates exchange the same rows. Two equal outputs become one: [R, n, 1].
    """
    if np.array_equal(fair, base):
        return fair[..., None]
    rng, other = system.streams.numpy("controls", "other_rows"), np.arange(len(y))
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        other[rows] = rng.permutation(rows)
    return np.stack([fair, base[:, other]], axis=2)


def _confidence(system: System) -> Array:
    """Logit-scaled confidences of the pool, [R, n], without an interface."""
    y = system.problem.rows("train")[1]
    return mia.logit_confidence(system.split_logits("train").cpu().numpy(), y)
