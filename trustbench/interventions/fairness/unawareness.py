"""Fairness through unawareness: the model never sees the sensitive attribute."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Intervention, Problem, Schedule, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.sensitive_inputs import not_among_inputs, sensitive_columns


@dataclass(frozen=True)
class Unawareness(Intervention):
    """Sets the inputs that hold a row's group to 0, in training and for every later row.

    The decision on a person is then the same for every value of the attribute, so `flip_rate` is 0.
    Other inputs that depend on the attribute still carry it: gaps between groups and effects along
    a causal graph remain, and may grow.

    Reference: Dwork et al. 2012, arXiv 1104.3913, section 1 (why unawareness is not fairness);
    Kusner et al. 2017, arXiv 1703.06856, definition 2.
    """

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads_rows: ClassVar = ()
    reference: ClassVar[str] = "Kusner et al. 2017, arXiv 1703.06856"
    deploys: ClassVar[Literal["data", "outputs", "channel", "release"]] = "outputs"

    @override
    def supports(self, problem: Problem, schedule: Schedule) -> str | None:
        return not_among_inputs(problem)

    @override
    def inputs(self, problem: Problem, split: Literal["train", "validation"]) -> Array:
        X, _, _ = problem.rows(split)
        seen = X.reshape(len(X), -1).copy()
        seen[:, sensitive_columns(problem)] = 0.0
        return seen.reshape(X.shape)

    @override
    def deploy(self, system: System) -> System:
        aware = system.forward
        kept = torch.ones(system.problem.n_features, device=system.device)
        kept[sensitive_columns(system.problem)] = 0.0
        kept = kept.view(system.problem.shape)

        def forward(X: Tensor) -> Tensor:
            return aware(X * kept.to(X.dtype))

        return replace(system, forward=forward)
