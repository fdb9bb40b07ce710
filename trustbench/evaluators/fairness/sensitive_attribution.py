"""Whether released explanations name the sensitive attribute when it decides (E -> F)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import (
    Access,
    Array,
    Evaluator,
    Feature,
    Measured,
    RowRedraw,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.released import explained_points, part_effects
from trustbench.methods.explanations.scaffold import sensitive_feature


@dataclass(frozen=True)
class SensitiveAttribution(Evaluator):
    """How often the sensitive attribute tops the explanation, and how often it tips the decision.

    `top1_sensitive_rate` is the share of `points` test rows at which the sensitive feature has
    the largest released effect in size; `top3_sensitive_rate` allows two above it. The effect of
    a feature is what its columns together add over the pool's mean, see `part_effects`: sizes
    of slopes summed over one-hot columns would rank features by their number of levels.

    `reliance` is the share of decisions on the test split that change if a row's attribute is set
    to another level and nothing else changes (mean over the other levels). `hidden_bias` is max(0,
    reliance - top1_sensitive_rate): decisions that the attribute tips and the explanations do not
    show.

    At equal reliance, explanations that name the attribute more often are the more honest; the
    difference of `top1_sensitive_rate` between an openly biased model and a scaffolded one is
    the hidden bias of Slack et al. Noise names the attribute too, at one row in as many as
    there are features, which lowers `hidden_bias`.

    Reference: Slack et al. 2020, arXiv 1911.02508, section 4 (share of test rows by rank).
    """

    points: Annotated[int, Field(ge=1)] = 100

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries"})
    reference: ClassVar[str] = "Slack et al. 2020, arXiv 1911.02508"
    metrics = (
        fraction(
            "hidden_bias",
            "How many decisions the sensitive attribute tips without the explanations showing it.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "top1_sensitive_rate",
            "How often the explanation names the sensitive attribute as the first reason.",
            better="higher",
        ),
        fraction(
            "top3_sensitive_rate",
            "How often the explanation names the sensitive attribute among the first 3 reasons.",
            better="higher",
        ),
        fraction(
            "reliance",
            "The share of decisions that change when only the sensitive attribute does.",
            better="lower",
            null=0.0,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        problem = system.problem
        if system.explainer is None:
            return "needs released explanations (intervention=lime)"
        if sensitive_feature(problem) is None:
            return (
                f"needs the attribute {problem.group_name!r} among the categorical inputs, which "
                f"{problem.name} does not have"
            )
        return None

    @override
    def measure(self, system: System) -> Measured:
        problem, sensitive = system.problem, sensitive_feature(system.problem)
        assert sensitive is not None  # `supports` has checked this
        X, rows = explained_points(system, self.points)
        place = problem.features.index(sensitive)
        area = neighbourhood(problem, 0.0, system.device)  # its parts are the features
        above = features_above(part_effects(system, area, system.explain(X), X).abs(), place)
        named = [(above < k).double() for k in (1, 3)]
        tipped = changed(system, sensitive)
        tips = tipped.mean(-1).sum(0) / len(tipped)
        _, y, group = problem.rows("test")
        outcomes = {"tips": tipped.mean(0).cpu().numpy()}
        for key, each in zip(("top1", "top3"), named, strict=True):
            outcomes[key] = np.full(outcomes["tips"].shape, np.nan)  # rows that are not explained
            outcomes[key][:, rows] = each.cpu().numpy()

        def redrawn(drawn: Mapping[str, Array], *_: Array) -> Measured:
            top1, top3 = (np.nanmean(drawn[key], axis=1) for key in ("top1", "top3"))
            return self._rates(drawn["tips"].mean(axis=1), top1, top3, len(rows), len(y))

        n = len(rows)
        top1, top3 = (each.mean(1).cpu().numpy() for each in named)
        return replace(
            self._rates(tips.cpu().numpy(), top1, top3, n, len(y)),
            arrays={"rows": rows, "features_above": above.cpu().numpy()},
            facts={"sensitive": sensitive.name, "points": n, "features": len(problem.features)},
            redraw=RowRedraw.of(outcomes, y, group, redrawn),
        )

    def _rates(self, tips: Array, top1: Array, top3: Array, n: int, n_test: int) -> Measured:
        return Measured(
            (
                self.measurement("hidden_bias", (tips - top1).clip(min=0), n),
                self.measurement("top1_sensitive_rate", top1, n),
                self.measurement("top3_sensitive_rate", top3, n),
                self.measurement("reliance", tips, n_test),
            )
        )


def features_above(sizes: Tensor, place: int) -> Tensor:
    """How many features count more than the one in `place`, int64 [R, n]; all if it counts 0."""
    own = sizes[..., place : place + 1]
    above: Tensor = (sizes > own).sum(-1)
    return torch.where(own[..., 0] > 0, above, sizes.shape[-1])


def changed(system: System, sensitive: Feature) -> Tensor:
    """1 where another level of the attribute changes a test decision: [levels - 1, R, n]."""
    X, columns = system.problem.rows("test")[0], list(sensitive.columns)
    decided = system.split_logits("test").argmax(-1)
    own = X[:, columns].argmax(axis=1)
    found = []
    for step in range(1, len(columns)):
        other = X.copy()
        other[:, columns] = 0
        other[np.arange(len(X)), np.array(columns)[(own + step) % len(columns)]] = 1
        answered = system.logits(system.tensor(other)).argmax(-1)
        found.append((answered != decided).double())
    return torch.stack(found)
