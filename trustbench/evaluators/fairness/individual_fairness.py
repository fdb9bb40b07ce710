"""Whether the decision on a person would differ with another sensitive attribute."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Array,
    Evaluator,
    Fact,
    Measured,
    Problem,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.targets import targets
from trustbench.methods.sensitive_inputs import sensitive


@dataclass(frozen=True)
class IndividualFairness(Evaluator):
    """How often the deployed decision changes when only the sensitive attribute is changed.

    `flip_rate` is the share of people for whom some other value of the sensitive input, with all
    other inputs unchanged, changes the decision; a decider receives the group of the new value. It
    measures the direct use of the attribute: effects through other inputs (which would change with
    it in a causal model) remain, so 0 does not mean that the attribute has no effect.

    The sensitive input is the categorical feature with the groups' name; its values may be finer
    than the groups. Without it, a decider may still use the group, and only the group is changed.
    `points` is the maximum number of test rows.

    Reference: Dwork et al. 2012, arXiv 1104.3913 (equal treatment of similar people); Galhotra
    et al. 2017, arXiv 1709.03221, section 4.2 (causal discrimination: the attribute alone is
    changed).
    """

    points: Annotated[int, Field(ge=1)] = 5000

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "decider"})
    takes_abstention: ClassVar[bool] = True
    access: ClassVar[frozenset[Access]] = frozenset({"queries"})
    reference: ClassVar[str] = "Galhotra et al. 2017, arXiv 1709.03221"
    metrics = (
        fraction(
            "flip_rate",
            "The share of people decided about otherwise if only their group were another.",
            better="lower",
            null=0.0,
            rate=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        problem = system.problem
        features = sensitive(problem)
        if not features:
            if system.decider is not None:
                return None
            return (
                f"no categorical input of {problem.name} is named {problem.group_name}, so a row's "
                "group cannot be changed"
            )
        names = " and ".join(f.name for f in features)
        if all(len(f.columns) < 2 for f in features):
            return f"input {names} has one value only"
        flat = _flat(problem)
        for columns in itertools.product(*(f.columns for f in features)):
            bears = (flat[:, list(columns)] > 0).all(1)
            if len(np.unique(problem.group[bears])) > 1:
                return f"a value of input {names} stands for several groups of {problem.name}"
        return None

    @override
    def measure(self, system: System) -> Measured:
        at = targets(system, self.points)
        X = at.X[0]
        decided = system.decide(X, at.group)
        changed = torch.zeros_like(decided, dtype=torch.bool)
        values = 0
        for other, group in alternatives(system.problem, X.cpu().numpy()):
            changed |= system.decide(system.tensor(other), group) != decided
            values += 1
        found = self.measurement("flip_rate", changed.double().mean(1), len(at.y))
        facts: dict[str, Fact] = {
            "attribute": system.problem.group_name,
            "among_inputs": bool(sensitive(system.problem)),
            "values": values,
        }
        return Measured((found,), facts=facts, rows={"flip_rate": changed.double().cpu().numpy()})


def alternatives(problem: Problem, X: Array) -> Iterator[tuple[Array, Array]]:
    """For each value of the sensitive inputs that occurs: X [n, *shape] and group [n] with it.

    A row that already has the value is unchanged. Without such inputs, uses each group.
    """
    features, seen = sensitive(problem), _flat(problem)
    if not features:
        yield from ((X, np.full(len(X), g)) for g in range(len(problem.groups)))
        return
    for columns in itertools.product(*(f.columns for f in features)):
        bearers = problem.group[(seen[:, list(columns)] > 0).all(1)]
        if len(bearers):
            other = X.reshape(len(X), -1).copy()
            other[:, [c for f in features for c in f.columns]] = 0.0
            other[:, list(columns)] = 1.0
            yield other.reshape(X.shape), np.full(len(X), bearers[0])


def _flat(problem: Problem) -> Array:
    return problem.X.reshape(len(problem.X), -1)
