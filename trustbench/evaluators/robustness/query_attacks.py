"""Accuracy under attackers who can only ask the model: for scores, or for decisions alone."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot
from typing_extensions import override

from trustbench.contracts import Access, Measured, System, fraction
from trustbench.evaluators._under_attack import UnderAttack
from trustbench.methods.attacks.evasion.box import ThreatModel
from trustbench.methods.attacks.evasion.column_search import column_search
from trustbench.methods.attacks.evasion.hop_skip_jump import HopSkipJump
from trustbench.methods.attacks.evasion.pgd import Worst
from trustbench.methods.attacks.evasion.square import square
from trustbench.methods.attacks.evasion.targets import (
    Targets,
    correct_before,
    generators,
    in_chunks,
    targets,
)


@dataclass(frozen=True)
class QueryAttacks(UnderAttack):
    """`racc_queries`: points that stay correct under three attacks that use no gradient.

    Square searches at the ends of the radius by scores, HopSkipJump walks along the boundary and
    sees decisions alone, and the column search changes one column after another to any of `values`
    values within the radius (`linf` on tables only). They work on trees and on models behind an
    interface, where gradients do not exist or are not given. A stronger attacker may exist: the
    number is an upper bound of the accuracy under attack. A model that answers with classes alone
    meets HopSkipJump alone.

    `queries` are those of Square; `steps` and `probes` those of HopSkipJump; `columns` is the
    maximum number of columns that the search changes.

    Reference: Andriushchenko et al. 2020, arXiv 1912.00049; Chen et al. 2020, arXiv 1904.02144;
    Kireev et al. 2023, arXiv 2208.13058.
    """

    points: Annotated[int, Field(ge=1)] = 100
    queries: Annotated[int, Field(ge=1)] = 200
    steps: Annotated[int, Field(ge=1)] = 8
    probes: Annotated[int, Field(ge=2)] = 30
    values: Annotated[int, Field(ge=2)] = 5
    columns: Annotated[int, Field(ge=1)] = 5

    access: ClassVar[frozenset[Access]] = frozenset({"queries"})
    reference: ClassVar[str] = "Chen et al. 2020, arXiv 1904.02144"
    metrics = (
        fraction(
            "racc_queries",
            "The share of test points that stay correct under attackers who only ask the model.",
            better="higher",
        ),
        fraction(
            "racc_<square|hop_skip_jump|column_search>",
            "The share of test points that stay correct under one of the attacks alone.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "acc",
            "The share of the attacked test points that are correct before the attack.",
            better="higher",
            diagnostic=True,
        ),
        fraction(
            "racc_queries_cond",
            "The share of correctly classified points that attackers who only ask leave correct.",
            better="higher",
        ),
    )

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        threat = self.threat(system, at.X)
        if "logits" in system.access:
            correct = correct_before(system, at)
            attacked = self._attacked(system, at, threat)
        else:
            correct = system.decide(at.X, at.group) == at.y
            attacked = [("hop_skip_jump", self._by_decisions(system, at, threat))]
        survives = {name: correct & ~worst.fooled for name, worst in attacked}
        robust = torch.stack(list(survives.values())).all(0)
        shares = {
            "racc_queries": robust,
            **{f"racc_{name}": kept for name, kept in survives.items()},
            "acc": correct,
        }
        found = [self.measurement(k, v.double().mean(1), len(at.y)) for k, v in shares.items()]
        missing = {}
        clean = correct.double().sum(1)
        if bool((clean > 0).all()):
            left = robust.double().sum(1) / clean
            found.append(self.measurement("racc_queries_cond", left, int(clean.min())))
        else:
            missing["racc_queries_cond"] = "a replicate has no correct point to be robust on"
        if "logits" not in system.access:
            missing |= dict.fromkeys(("racc_square", "racc_column_search"), "needs logits")
        elif "column_search" not in survives:
            missing["racc_column_search"] = "the column search needs columns and the linf norm"
        return Measured(
            tuple(found),
            arrays={"robust": robust.cpu().numpy()},
            facts={"norm": self.norm, "epsilon": self.epsilon, "attacks": ", ".join(survives)},
            missing=missing,
            rows={
                **{name: kept.double().cpu().numpy() for name, kept in shares.items()},
                "racc_queries_cond": robust.double().where(correct, torch.nan).cpu().numpy(),
            },
        )

    def _by_decisions(self, system: System, at: Targets, threat: ThreatModel) -> Worst:
        """HopSkipJump on a system of which only decisions are known."""

        def forward(X: Tensor) -> Tensor:
            group = np.tile(at.group, X.shape[1] // len(at.group))
            decided = system.decide(X, group)
            return one_hot(decided, len(system.problem.classes)).to(X.dtype)

        walk = HopSkipJump(self.steps, self.probes)
        return walk(forward, at.X, at.y, threat, generators(system, "queries_hop_skip_jump"))

    def _attacked(
        self, system: System, at: Targets, threat: ThreatModel
    ) -> list[tuple[str, Worst]]:
        """Each attack with the worst inputs that it found."""
        scores = partial(square, system.forward, threat=threat, queries=self.queries)
        walk = HopSkipJump(self.steps, self.probes)
        search = partial(
            column_search, system.forward, threat=threat, values=self.values, rounds=self.columns
        )

        def by_scores(X: Tensor, y: Tensor) -> Worst:
            return scores(X, y, generators=chance["square"])

        def by_decisions(X: Tensor, y: Tensor) -> Worst:
            return walk(system.forward, X, y, threat, chance["hop_skip_jump"])

        names = ("square", "hop_skip_jump")
        chance = {name: generators(system, f"queries_{name}") for name in names}
        attacks = {"square": by_scores, "hop_skip_jump": by_decisions}
        if self.norm == "linf" and len(system.problem.shape) == 1:
            attacks["column_search"] = search
        return [(name, in_chunks(attack, at.X, at.y)) for name, attack in attacks.items()]
