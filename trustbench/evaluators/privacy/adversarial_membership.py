"""Membership inference on inputs that were attacked first (R -> P)."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Array,
    Measured,
    Need,
    System,
    attack_auc,
    fraction,
)
from trustbench.evaluators._membership import MembershipEvaluator
from trustbench.methods.attacks import membership as mia
from trustbench.methods.attacks.evasion.box import Norm, ThreatModel, unattackable
from trustbench.methods.attacks.evasion.pgd import pgd
from trustbench.methods.attacks.evasion.targets import ROWS, attack_points


@dataclass(frozen=True)
class AdversarialMembership(MembershipEvaluator):
    """LiRA and the loss attack if every replicate answers on its own adversarial examples.

    A robust model is fitted to the worst inputs around its members, so its answers there may reveal
    more than its answers on them. For each radius PGD on cross-entropy moves the same pool rows
    against each replicate; shadow models answer on their own adversarial examples of a row, by the
    same recipe as the target. `lira_auc_clean` and `loss_auc_clean` are the attacks on the same
    rows unchanged, with the same shadows. The accuracies of members and non-members show how far
    the robust fit generalises.

    `points` is the maximum number of pool rows.

    Reference: Song, Shokri & Mittal 2019, arXiv 1905.10291, section 3.3.
    """

    norm: Norm = "linf"
    radii: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.1, 0.2)
    steps: Annotated[int, Field(ge=1)] = 10
    points: Annotated[int, Field(ge=2)] = 600

    version: ClassVar[int] = 5
    access: ClassVar[frozenset[Access]] = frozenset(
        {"logits", "queries", "gradients", "members", "replicates"}
    )
    needs: ClassVar[frozenset[Need]] = frozenset({"shadows"})
    reference: ClassVar[str] = "Song et al. 2019, arXiv 1905.10291"
    metrics = (
        attack_auc(
            "lira_auc_adv_<radius>",
            "How well an attacker who has shadow models and alters the inputs tells members from "
            "others.",
        ),
        attack_auc(
            "loss_auc_adv_<radius>",
            "How well the loss on altered inputs alone tells members from others.",
        ),
        attack_auc(
            "lira_auc_clean",
            "How well an attacker who has shadow models tells members from others, unaltered.",
            diagnostic=True,
        ),
        attack_auc(
            "loss_auc_clean",
            "How well the loss on unaltered inputs alone tells members from others.",
            diagnostic=True,
        ),
        fraction(
            "<member|non_member>_acc_adv_<radius>",
            "The accuracy on training rows, or on rows never seen, after the attack.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "<member|non_member>_acc_clean",
            "The accuracy on training rows, or on rows never seen, before the attack.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        return unattackable(system.problem) or super().supports(system)

    @override
    def measure(self, system: System) -> Measured:
        X, y, _ = system.problem.rows("train")
        rng = system.streams.numpy("attacks", "membership_points")
        rows = rng.permutation(len(y))[: self.points]
        systems = mia.models_of(system)
        member = np.concatenate([s.membership[:, rows] for s in systems])
        targets, shadows = member[: system.replicates], member[system.replicates :]
        out = mia.Report(targets, self.measurement, shadows=shadows)
        for radius in self.radii:
            moved = [self._moved(s, X[rows], y[rows], radius) for s in systems]
            _measure(out, f"adv_{radius:g}", torch.cat(moved), y[rows])
        clean = [s.logits(_for_each(s, X[rows]), ROWS) for s in systems]
        _measure(out, "clean", torch.cat(clean), y[rows])
        out.facts |= {"norm": self.norm, "steps": self.steps}
        return out.measured()

    def _moved(self, system: System, X: Array, y: Array, radius: float) -> Tensor:
        """Logits [R, n, C] of every model on its own adversarial examples."""
        clean, labels = _for_each(system, X), system.tensor(y)
        threat = ThreatModel.of(system.problem, self.norm, radius, clean)
        climb = partial(pgd, threat=threat, steps=self.steps, loss="ce", worst_by="ce")
        # the same random start at every radius, scaled
        return system.logits(attack_points(system, clean, labels, climb, "membership").X, ROWS)


def _for_each(system: System, X: Array) -> Tensor:
    """The same rows for every model, [R, n, *shape]."""
    return system.tensor(X).expand(system.replicates, *X.shape)


def _measure(out: mia.Report, name: str, outputs: Tensor, y: Array) -> None:
    """Both attacks on logits [M, n, C], and the accuracies on members and the others."""
    logits, member = outputs.cpu().numpy(), out.member
    phi = mia.logit_confidence(logits, y)
    targets = len(member)
    scores = mia.lira(phi, out.models, online=True, targets=targets)
    out.auc(f"lira_auc_{name}", scores)
    out.facts["shadows"] = scores.shadows
    loss = mia.aucs(phi[:targets], member)
    out.add(f"loss_auc_{name}", loss)
    right = logits[:targets].argmax(-1) == y
    for who, side in (("member", member), ("non_member", ~member)):
        share = (right & side).sum(1) / np.maximum(side.sum(1), 1)
        out.add(f"{who}_acc_{name}", share, n=int(side.sum(1).min()))
