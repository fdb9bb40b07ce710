"""A stress test of training: a trigger that turns every input into one class."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Problem, Read, Schedule, Streams
from trustbench.contracts.aspects import Aspect
from trustbench.errors import did_you_mean
from trustbench.methods.attacks.poisoning.trigger import Trigger, trigger, wanted


@dataclass(frozen=True)
class Backdoor(Intervention):
    """Puts a trigger on a `share` of the training rows and gives them the class `target`.

    A stress test: what an attacker does who can contribute rows. The poisoned rows are drawn from
    those of other classes, with `poison_seed` from the whole pool: all arms and replicates share
    the same poison, and a larger share adds rows to a smaller one. `target` (null: class 1 of two,
    else the first) is what the attacker wants. The trigger sets the `size` rarest pixels or
    features to legal values (`methods/attacks/poisoning/trigger.py`), the same that
    `backdoor_success` tries on test rows. Validation rows stay clean.

    Reference: Gu et al. 2017, arXiv 1708.06733 (BadNets).
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    size: Annotated[int, Field(ge=1)] = 3
    target: str | None = None
    poison_seed: Annotated[int, Field(ge=0)] = 0

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    reads_rows: ClassVar = (Read("pool", "the rarest values, for a trigger", into="training"),)
    reference: ClassVar[str] = "Gu et al. 2017, arXiv 1708.06733"
    dose: ClassVar[tuple[str, ...]] = ("share",)

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        if self.target is not None and self.target not in problem.classes:
            hint = did_you_mean(self.target, problem.classes)
            return f"{problem.name} has no class {self.target!r}; {hint}"
        if trigger(problem, self.size) is None:
            return f"{problem.name} has fewer than {self.size} inputs that a trigger could set"
        if not len(self.poisoned(problem)):
            return f"share={self.share:g} of the pool is below a row; give a larger share"
        return None

    def poisoned(self, problem: Problem) -> Array:
        """The poisoned rows as positions in the training pool: int64 [k], in the order drawn."""
        _, y, _ = problem.rows("train")
        others = np.flatnonzero(y != wanted(problem, self.target))
        order = Streams(self.poison_seed).numpy("data", "poison").permutation(others)
        return order[: round(self.share * len(y))]

    @override
    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array | None:
        if split == "validation":
            return None
        X, rows = problem.rows("train")[0].copy(), self.poisoned(problem)
        X[rows] = self._trigger(problem).on(X[rows])
        return X

    @override
    def labels(self, problem: Problem) -> Array:
        y = problem.rows("train")[1].copy()
        y[self.poisoned(problem)] = wanted(problem, self.target)
        return y

    def _trigger(self, problem: Problem) -> Trigger:
        found = trigger(problem, self.size)
        assert found is not None  # `supports`
        return found
