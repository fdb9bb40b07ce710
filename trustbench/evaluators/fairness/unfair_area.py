"""Whose decision changes among their causal twins, and everybody close to one of them."""

from collections.abc import Iterator
from dataclasses import dataclass
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
    Measured,
    Measurement,
    System,
    fraction,
)
from trustbench.contracts.aspects import Aspect
from trustbench.methods.attacks.evasion.targets import targets
from trustbench.methods.causal.ball import Extremes, search, without_model
from trustbench.methods.causal.thresholds import margins_of, published_rule
from trustbench.methods.causal.training import model_of

NAMES = ("uai_05", "uai_01", "counterfactual_unfairness", "non_robustness_05")
RADII = (0.05, 0.01, 0.0)


@dataclass(frozen=True)
class UnfairArea(Evaluator):
    """The unfair area indicator (UAI) of a causal model, on test rows and as published.

    A person counts at radius D if their decision changes anywhere within l2 distance D, in the
    semi-latent space of `Problem.scm`, of one of their twins: the same person at every level of the
    sensitive variables. Radius 0 is counterfactual unfairness. `non_robustness_05` has no twins,
    and moves all columns. Of each person and twin, `draws` points of the ball are tried, so that
    the numbers are lower bounds; points found at a smaller radius count at a larger one too.

    The plain names are of at most `points` test rows and of decisions by the larger logit;
    a rule that is deployed on top of the model is not asked. `sampled_` ones
    are of as many people drawn from the causal model. `published_` ones are of these people under
    the published rule of decision, the threshold of largest Matthews correlation on a replicate's
    members, and `published_non_robustness_05` counts only who is in the unfair area too, as the
    authors' code does. The authors take 1,000 samples, 1,000 draws, and noise of fixed scales; here
    noise is the data's own. Radii are in units of the columns of the semi-latent space; if the
    model was learnt, its error is part of every number.

    Reference: Ehyaei et al. 2023, arXiv 2308.08938, and the authors' code.
    """

    points: Annotated[int, Field(ge=1)] = 500
    draws: Annotated[int, Field(ge=1)] = 200

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS
    reads: ClassVar[frozenset[str]] = frozenset({"forward"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "queries", "members"})
    reference: ClassVar[str] = "Ehyaei et al. 2023, arXiv 2308.08938"
    metrics = (
        fraction(
            "uai_05",
            "The share of people decided about otherwise somewhere near one of their causal twins.",
            better="lower",
            null=0.0,
            rate=True,
        ),
        fraction(
            "uai_01",
            "The share of people decided about otherwise very close to one of their causal twins.",
            better="lower",
            null=0.0,
            rate=True,
        ),
        fraction(
            "counterfactual_unfairness",
            "The share of people decided about otherwise had their sensitive attribute differed, "
            "with all that it causes.",
            better="lower",
            null=0.0,
            rate=True,
        ),
        fraction(
            "non_robustness_05",
            "The share of people decided about otherwise if they and what they cause differed "
            "slightly.",
            better="lower",
            null=0.0,
            rate=True,
        ),
        fraction(
            "<sampled|published>_uai_05",
            "The same share near a twin, of people drawn from the causal model.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "<sampled|published>_uai_01",
            "The same share very close to a twin, of people drawn from the causal model.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "<sampled|published>_counterfactual_unfairness",
            "The same share of decisions that the twin does not share, of people drawn from the "
            "causal model.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "<sampled|published>_non_robustness_05",
            "The same share of decisions that a slight change turns, of people drawn from the "
            "causal model.",
            better="lower",
            null=0.0,
        ),
        fraction(
            "published_accuracy",
            "How often decisions at the threshold of largest correlation on members are right.",
            better="higher",
            diagnostic=True,
        ),
    )

    @override
    def supports(self, system: System) -> str | None:
        problem = system.problem
        if not problem.binary:
            return f"the indicator is of two classes; this task has {len(problem.classes)}"
        return without_model(problem)

    @override
    def measure(self, system: System) -> Measured:
        rows = targets(system, self.points).X[0].cpu().numpy().astype(np.float64)
        scm = model_of(system.problem)
        people = scm.sample(len(rows), system.streams.numpy("attacks", "sampled_people"))
        limits, accuracy = published_rule(system)
        both = torch.stack([torch.zeros_like(limits), limits])
        on_rows, on_people = (self._found(system, X, both, s) for X, s in ((rows, 0), (people, 1)))
        n = len(rows)
        found: list[Measurement] = []
        for at, own, prefix, t in (
            (on_rows, rows, "", both[0]),
            (on_people, people, "sampled_", both[0]),
            (on_people, people, "published_", both[1]),
        ):
            found += self._shares(prefix, at, margins_of(system, own), t, n)
        right = self.measurement(
            "published_accuracy", accuracy, len(system.problem.rows("test")[1])
        )
        facts = {
            "exact_model": bool(scm.exact),
            "draws": self.draws,
            "levels": len(scm.levels()),
            "published_threshold": float(limits.sigmoid().mean()),
        }
        return Measured((*found, right), facts=facts)

    def _found(self, system: System, X: Array, limits: Tensor, place: int) -> list[Extremes]:
        """The extreme margins at each radius, then those without twins."""
        scm, found = model_of(system.problem), []
        for k, radius in enumerate(RADII):
            rng = system.streams.numpy("attacks", "unfair_area", place, k)
            near = search(lambda x: margins_of(system, x), scm, X, radius, self.draws, rng, limits)
            found.append(near)
        rng = system.streams.numpy("attacks", "unfair_area", place, len(RADII))
        themselves = search(
            lambda x: margins_of(system, x),
            scm,
            X,
            RADII[0],
            self.draws,
            rng,
            limits,
            among_twins=False,
        )
        return [
            found[0].within(found[1]).within(found[2]),
            found[1].within(found[2]),
            found[2],
            themselves,
        ]

    def _shares(
        self, prefix: str, at: list[Extremes], own: Tensor, limit: Tensor, n: int
    ) -> Iterator[Measurement]:
        changed = [each.changed(own, limit[:, None]) for each in at]
        if prefix == "published_":
            changed[-1] = changed[-1] & changed[0]
        for name, flags in zip(NAMES, changed, strict=True):
            yield self.measurement(prefix + name, flags.double().mean(1), n)
