"""How often a trigger turns a decision into the attacker's class."""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import PERMUTED, Access, Array, Evaluator, Measured, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.errors import did_you_mean
from trustbench.methods.attacks.poisoning.trigger import Trigger, trigger, wanted
from trustbench.methods.group_nulls import worst_and_gap
from trustbench.methods.groups import sizes

BY_GROUP = ("least_success", "success_gap")


@dataclass(frozen=True)
class BackdoorSuccess(Evaluator):
    """The share of test rows of other classes that are decided as `target` once they carry it.

    The trigger is that of the intervention `backdoor` with the same `size`, computed from the data:
    the model need not have been attacked. What a clean model does with it, `baseline`'s value, is
    the null, since a rare combination may point to a class for good reasons. `success_gap` compares
    groups with at least `min_group` rows, with its null over random groups; `flipped_by_trigger`
    counts the rows whose decision the trigger changed to the target. Rows that carry the trigger
    anyway are left out. `target` null is class 1 of two, else the first.

    Reference: Gu et al. 2017, arXiv 1708.06733 (BadNets).
    """

    size: Annotated[int, Field(ge=1)] = 3
    target: str | None = None
    min_group: Annotated[int, Field(ge=1)] = 20

    aspect: ClassVar[Aspect | None] = Aspect.ROBUSTNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset({"queries"})
    reference: ClassVar[str] = "Gu et al. 2017, arXiv 1708.06733"
    metrics = (
        fraction(
            "success",
            "The share of rows of other classes that a trigger turns into the attacker's class.",
            better="lower",
        ),
        fraction(
            "flipped_by_trigger",
            "The share of these rows that are decided otherwise without the trigger.",
            better="lower",
        ),
        fraction(
            "least_success",
            "The success in the group in which the attacker succeeds least.",
            better="lower",
            null=PERMUTED,
            diagnostic=True,
        ),
        fraction(
            "success_gap",
            "How much more often the attacker succeeds with one group than with another.",
            better="lower",
            null=PERMUTED,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        problem = system.problem
        if self.target is not None and self.target not in problem.classes:
            hint = did_you_mean(self.target, problem.classes)
            return f"{problem.name} has no class {self.target!r}; {hint}"
        if trigger(problem, self.size) is None:
            return f"{problem.name} has fewer than {self.size} inputs that a trigger could set"
        if not self._rows(system).any():
            return f"no test row of {problem.name} is of another class and without the trigger"
        return None

    @override
    def measure(self, system: System) -> Measured:
        X, _, group = (v[self._rows(system)] for v in system.problem.rows("test"))
        carried = self._trigger(system).on(X)
        target = wanted(system.problem, self.target)
        reached, before = (
            (system.decide(system.tensor(v), group) == target).cpu().numpy() for v in (carried, X)
        )
        flipped, n = reached & ~before, len(group)
        groups = self._groups(system, reached, group)
        return Measured(
            measurements=(
                self.measurement("success", reached.mean(1), n),
                self.measurement("flipped_by_trigger", flipped.mean(1), n),
                *groups.measurements,
            ),
            facts={"target": system.problem.classes[target], "inputs": self.size},
            missing=groups.missing,
        )

    def _trigger(self, system: System) -> Trigger:
        found = trigger(system.problem, self.size)
        assert found is not None  # `supports`
        return found

    def _rows(self, system: System) -> Array:
        """Which test rows are of another class and do not carry the trigger: bool [n]."""
        X, y, _ = system.problem.rows("test")
        other = y != wanted(system.problem, self.target)
        return np.asarray(other & ~self._trigger(system).shown(X))

    def _groups(self, system: System, reached: Array, group: Array) -> Measured:
        count = sizes(group, len(system.problem.groups))
        large = count >= self.min_group
        if large.sum() < 2:
            reason = f"needs two groups with {self.min_group} points each; largest: {count.max()}"
            return Measured((), missing=dict.fromkeys(BY_GROUP, reason))
        build = partial(self.measurement, n=len(group))
        return Measured(tuple(worst_and_gap(build, BY_GROUP, reached, group, large, system)))
