"""An object of Python with `predict_proba`, or a function from rows to probabilities."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.answers import both_classes, own_classes
from trustbench.models.given.columns import Rows


@dataclass(frozen=True)
class Scorer:
    """A function from rows to probabilities: [n, C], or [n] that of the second of two classes."""

    score: Callable[[Rows], Any] = field(repr=False)
    classes: tuple[str, ...]
    kind: str

    channels: ClassVar[frozenset[GivenChannel]] = frozenset({"probabilities", "queries"})
    module: ClassVar[None] = None

    def predict_proba(self, rows: Rows) -> Array:
        """What the function answers, float64 [n, C]."""
        answer = np.asarray(self.score(rows))
        if len(self.classes) == 2 and answer.shape in ((len(rows),), (len(rows), 1)):
            return both_classes(answer)
        return answer

    def describe(self) -> dict[str, Fact]:
        """The type of the object."""
        return {"kind": self.kind, "signature": "any table"}


class ScorerAdapter(Adapter):
    """Takes an object with `predict_proba`, or a function, from Python."""

    kind: ClassVar[str] = "an object with predict_proba, or a function, from Python"
    example: ClassVar[str] = "trustbench.audit(lambda rows: ..., 'rows.csv', target='repaid')"
    rank: ClassVar[int] = 90

    @override
    def accepts(self, source: ModelSource) -> bool:
        if isinstance(source.given, type):
            return False
        return callable(getattr(source.given, "predict_proba", None)) or callable(source.given)

    @override
    def open(self, source: ModelSource) -> GivenModel:
        score = getattr(source.given, "predict_proba", source.given)
        classes = source.classes
        named = getattr(source.given, "classes_", None)
        if named is not None:
            classes = own_classes(source, named)
        if classes is None:
            raise UserError(
                f"model {source.name} does not say which classes it answers; name them in the "
                "order of its probabilities (classes=('no', 'yes'))."
            )
        kind = getattr(source.given, "__name__", type(source.given).__name__)
        return Scorer(score, classes, f"{kind} from Python")
