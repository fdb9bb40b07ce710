"""Whether counterfactuals keep what they promise: to this model, to its twin, and after drift."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Array, Measured, Metric, Need, RowRedraw, System, fraction
from trustbench.contracts.aspects import Aspect
from trustbench.evaluators._recourse import NOBODY, UNHELPED, RecourseEvaluator
from trustbench.methods.explanations.released import explained_points
from trustbench.methods.recourse import Actions, Goal, Owed

ALONE = "this arm has no reseeded twin to ask"


@dataclass(frozen=True)
class CounterfactualValidity(RecourseEvaluator):
    """What becomes of counterfactuals that people act on.

    `validity` is the share of refused rows, of `points` test rows, that get a counterfactual which
    a person can carry out and the model accepts. Of these, `validity_reseed` is the share that the
    same recipe with another seed accepts as well, and `validity_drift` that which this model
    accepts after the numbers of everybody have drifted: all mutable numbers by one vector
    N(0, drift^2), the mean over `random_draws` vectors, the same in all arms. `respected` is the
    share that a person could carry out, accepted or not, and `columns` how many of the named inputs
    change. The deployed decisions count: where a decider overrules the model, advice that follows
    the model may fail.

    Reference: Wachter et al. 2018, arXiv 1711.00399; Rawal et al. 2020, arXiv 2012.11788 (recourse
    after the model changed); Black et al. 2022, arXiv 2111.08230 (after another seed).
    """

    points: Annotated[int, Field(ge=4)] = 200
    drift: Annotated[float, Field(gt=0)] = 0.1
    random_draws: Annotated[int, Field(ge=1)] = 20

    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    needs: ClassVar[frozenset[Need]] = frozenset({"reseed"})
    reference: ClassVar[str] = "Rawal et al. 2020, arXiv 2012.11788"
    metrics = (
        fraction(
            "validity_reseed",
            "Of the advice to refused people, the share that a retrained model would honour.",
            better="higher",
        ),
        fraction(
            "validity",
            "The share of refused people who get advice that they can follow and that works.",
            better="higher",
        ),
        fraction(
            "validity_drift",
            "Of the advice to refused people, the share that still works once the data have moved.",
            better="higher",
        ),
        fraction(
            "respected",
            "The share of refused people whose advice asks only for what a person can change.",
            better="higher",
            diagnostic=True,
        ),
        Metric(
            "columns",
            "How many things a refused person is told to change.",
            "columns",
            better="lower",
            lower=0.0,
            upper="number of features",
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        return Actions.none_in(system.problem)

    @override
    def measure(self, system: System) -> Measured:
        X, rows = explained_points(system, self.points)
        _, y, group = (values[rows] for values in system.problem.rows("test"))
        found = self.owed(system, X, group)
        outcomes = {
            "refused": found.refused,
            "found": found.found,
            "respected": found.refused & found.allowed,
            "drift": self._after_drift(system, found, group),
            "columns": _columns(system, found),
        }
        twin = system.reseeded(1) if system.reseeded else None
        if twin is not None:
            outcomes["reseed"] = Goal(twin).granted(found.changed, group)
        arrays = {name: each.double().cpu().numpy() for name, each in outcomes.items()}
        summarised = partial(self._summarised, len(system.problem.features))
        facts = {"released": found.released, "drift": self.drift, "norm": self.norm}
        return replace(
            summarised(arrays, y, group),
            facts=facts,
            redraw=RowRedraw.of(arrays, y, group, summarised),
        )

    def _after_drift(self, system: System, found: Owed, group: Array) -> Tensor:
        """The share of drifts [R, n] after which the model accepts a counterfactual."""
        free = [f.mutable and f.kind == "numeric" and f.scale > 0 for f in system.problem.features]
        mask = torch.zeros_like(found.X[0, 0])
        for feature, moves in zip(system.problem.features, free, strict=True):
            mask[list(feature.columns)] = float(moves)
        rng = system.streams.numpy("explanations", "counterfactual_drift")
        drawn = rng.standard_normal((self.random_draws, len(mask)))
        steps = self.drift * system.tensor(drawn).to(mask) * mask
        goal = Goal(system)
        return torch.stack([goal.granted(found.changed + s, group).double() for s in steps]).mean(0)

    def _summarised(
        self, features: int, outcomes: Mapping[str, Array], y: Array, group: Array
    ) -> Measured:
        """The numbers of outcomes [R, n]."""
        refused, found = outcomes["refused"], outcomes["found"]
        if not refused.any(axis=1).all():
            return Measured((), missing=dict.fromkeys((m.name for m in self.metrics), NOBODY))
        owed, n = int(refused.sum(1).min()), int(found.sum(1).min())
        always = (
            self.measurement("validity", _share(found, refused), owed),
            self.measurement("respected", _share(outcomes["respected"], refused), owed),
        )
        if not n:
            names = ("validity_reseed", "validity_drift", "columns")
            return Measured(always, missing=dict.fromkeys(names, UNHELPED))
        parts = (
            *always,
            self.measurement("validity_drift", _share(outcomes["drift"], found), n),
            self.measurement("columns", _share(outcomes["columns"], found), n, upper=features),
        )
        if "reseed" not in outcomes:
            return Measured(parts, missing={"validity_reseed": ALONE})
        first = self.measurement("validity_reseed", _share(outcomes["reseed"], found), n)
        return Measured((first, *parts))


def _columns(system: System, found: Owed) -> Tensor:
    """How many features change by more than a hundredth of a standard deviation, [R, n]."""
    moved = (found.changed - found.X).abs() > 0.01
    each = [moved[..., list(f.columns)].any(-1) for f in system.problem.features]
    return torch.stack(each, -1).sum(-1)


def _share(values: Array, rows: Array) -> Array:
    """Mean [R] of values [R, n] over rows [R, n], which are 0 or 1."""
    return np.asarray((values * rows).sum(1) / rows.sum(1))
