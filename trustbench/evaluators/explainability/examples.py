"""Keeps a few test rows and their explanations for the report; measures nothing."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from trustbench.contracts import Access, Array, Evaluator, Fact, Measured, Need, System
from trustbench.contracts.aspects import Aspect
from trustbench.methods.explanations import display
from trustbench.methods.explanations.released import explained_points

PROBE = "gradient x (input - pool mean), of the logit margin of the class predicted"


class _Side(NamedTuple):
    """One system's predictions on the rows [n], and what its explanation adds to them [n, p]."""

    name: str
    classes: Array
    probability: Array
    effects: Array


@dataclass(frozen=True)
class Examples(Evaluator):
    """Keeps `points` test rows with one replicate's explanations of them; returns no number.

    The rows are the first ones that all evaluators of explanations use, chosen by the seed and not
    by appearance. For each row, it stores the effects of features (a one-hot block is one feature)
    or pixels over the pool's mean: `probe`, by gradients, on this arm; `control`, the same on the
    baseline with other seeds; and, if the arm releases explanations, `released` and `twin`, those
    of this arm with other seeds. No method is to blame for what another seed alone changes.

    `rows` says whose rows are kept, and thus shown in reports and uploaded with records. `public`:
    those of data whose card allows showing its rows to anybody; `always`; `never`.

    Reference: Adebayo et al. 2018, arXiv 1810.03292 (why a picture needs a control).
    """

    points: Annotated[int, Field(ge=1, le=20)] = 4
    replicate: Annotated[int, Field(ge=0)] = 0
    rows: Literal["public", "always", "never"] = "public"

    version: ClassVar[int] = 2
    aspect: ClassVar[Aspect | None] = Aspect.EXPLAINABILITY
    reads: ClassVar[frozenset[str]] = frozenset({"forward", "explainer"})
    access: ClassVar[frozenset[Access]] = frozenset({"logits", "gradients"})
    needs: ClassVar[frozenset[Need]] = frozenset({"baseline", "baseline_reseed", "reseed"})
    reference: ClassVar[str] = "Adebayo et al. 2018, arXiv 1810.03292"
    metrics = ()

    def needs_of(self, system: System) -> frozenset[Need]:
        """Only released explanations are compared with those of this arm with other seeds."""
        return self.needs if system.explainer is not None else self.needs - {"reseed"}

    @override
    def supports(self, system: System) -> str | None:
        problem = system.problem
        if self.rows == "never":
            return "no row is kept, as asked by evaluator.examples.rows=never"
        if self.rows == "public" and not problem.card.rows_public:
            return (
                f"the card of {problem.name} does not say that its rows may be shown to anybody; "
                "keep and show them with evaluator.examples.rows=always"
            )
        if self.replicate >= system.replicates:
            return f"there is no replicate {self.replicate} among {system.replicates}"
        return None

    @override
    def measure(self, system: System) -> Measured:
        problem = system.problem
        X, rows = explained_points(system, self.points)
        sides = self._sides(system, X)
        inputs, labels, _ = problem.rows("test")
        arrays = {
            "rows": rows,
            "labels": labels[rows],
            "classes": np.stack([s.classes for s in sides]),
            "probability": np.stack([s.probability for s in sides]),
            "effects": np.stack([s.effects for s in sides]).astype(np.float32),
        }
        facts: dict[str, Fact] = {
            "sides": " ".join(s.name for s in sides),
            "replicate": self.replicate,
            "probe": PROBE,
        }
        shape = display.grid(problem)
        if shape is not None:
            arrays["pictures"] = display.pictures(problem, inputs[rows], shape)
        else:
            facts["features"] = json.dumps([f.name for f in problem.features])
            facts["values"] = json.dumps(display.named_values(problem, inputs[rows]))
        return Measured((), arrays, facts)

    def _sides(self, system: System, X: Tensor) -> list[_Side]:
        sides = [self._side("probe", system, X, display.by_gradient)]
        bare = system.baseline() if system.baseline else system
        if bare.reseeded is not None:
            sides.append(self._side("control", bare.reseeded(1), X, display.by_gradient))
        if system.explainer is not None:
            sides.append(self._side("released", system, X, display.released))
            twin = system.reseeded(1) if system.reseeded else None
            if twin is not None and twin.explainer is not None:
                sides.append(self._side("twin", twin, X, display.released))
        return sides

    def _side(
        self, name: str, system: System, X: Tensor, explain: Callable[[System, Tensor], Tensor]
    ) -> _Side:
        classes, probability = display.predictions(system, X, self.replicate)
        columns = explain(system, X)[self.replicate].detach().double().cpu().numpy()
        return _Side(name, classes, probability, display.per_place(system.problem, columns))
