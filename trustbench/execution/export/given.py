"""An exported model as a given model, which `trustbench audit` measures as its users meet it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.execution.export.model import DECISION, ExportedModel, load_model
from trustbench.execution.export.spec import SPEC, WEIGHTS, find_export

if TYPE_CHECKING:
    from pandas import DataFrame

PROBED = 64
"""The rows that show whether an answer depends on its place in the table."""
SAME = 1e-5
"""How far two answers to the same row may differ: the rounding of another batch passes."""


@dataclass(frozen=True)
class GivenExport:
    """What a deployed model shows its users: its probabilities, or only its decisions.

    A method may decide otherwise than by the largest probability (thresholds by group), and an
    interface may round or hide probabilities; then the decisions are all that can be measured.
    Coins and random noise are drawn by a row's place in the table. Where they show, the model is
    not asked about other rows, since these would have other places.
    """

    model: ExportedModel
    steady: bool = True

    module: ClassVar[None] = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.model.classes

    @property
    def shows_probabilities(self) -> bool:
        """Whether its users see the probabilities by which it decides."""
        system = self.model.system
        return system.interface is None and system.decider is None

    @property
    def channels(self) -> frozenset[GivenChannel]:
        """What it offers: it hides parameters, as its users' copy of an interface does."""
        offered: set[GivenChannel] = {"queries"} if self.steady else set()
        return frozenset(offered | ({"probabilities"} if self.shows_probabilities else set()))

    def predict_proba(self, rows: "DataFrame | Array") -> Array:
        """Probabilities, or 1 for the class that is decided, float64 [n, C]."""
        if self.shows_probabilities:
            return self.model.predict_proba(rows)
        decided = self.model.predict(rows, explanations=False)[DECISION].to_numpy()
        chosen = decided[:, None] == np.array(self.classes, dtype=object)
        return np.asarray(chosen, dtype=np.float64)

    def decide(self, rows: "DataFrame | Array") -> Array:
        """The positions of the decided classes, [n]: where it shows probabilities, the largest."""
        return np.asarray(self.predict_proba(rows).argmax(axis=1))

    def describe(self) -> dict[str, Fact]:
        """What a card says about it."""
        spec = self.model.spec
        shown = "probabilities" if self.shows_probabilities else "decisions"
        drawn = "" if self.steady else ", drawn anew for each place in a table"
        return {
            "kind": "a model exported by trustbench",
            "digest": spec.sha256[WEIGHTS],
            "signature": ", ".join(self.model.columns),
            "outputs": f"{shown}{drawn}",
            "label": spec.label,
            "record": spec.record,
            "trained_on": spec.trained_on,
        }


class ExportAdapter(Adapter):
    """Opens a folder that `trustbench export` wrote, or the model that `load_model` made of it.

    The option `plugins` names modules of your own that hold its classes, separated by commas.
    """

    kind: ClassVar[str] = "a folder that `trustbench export` wrote"
    example: ClassVar[str] = "exports/my-model"
    rank: ClassVar[int] = 5  # an exported MLflow model is also a folder of MLflow

    @override
    def accepts(self, source: ModelSource) -> bool:
        if isinstance(source.given, ExportedModel):
            return True
        path = source.path
        return path is not None and path.is_dir() and (find_export(path) / SPEC).is_file()

    @override
    def open(self, source: ModelSource) -> GivenModel:
        model = source.given
        if not isinstance(model, ExportedModel):
            assert source.path is not None
            model = load_model(source.path, plugins=_plugins(source))
        given = GivenExport(model)
        rows = None if source.table is None else source.table.head(PROBED)
        return given if rows is None or _steady(given, rows) else GivenExport(model, steady=False)


def _plugins(source: ModelSource) -> Collection[str]:
    named = str(source.options.get("plugins") or "")
    return [name.strip() for name in named.split(",") if name.strip()]


def _steady(given: GivenExport, rows: "DataFrame") -> bool:
    """Whether the rows get the same answers in the opposite order."""
    backwards = given.predict_proba(rows.iloc[::-1])[::-1]
    return bool(np.abs(given.predict_proba(rows) - backwards).max(initial=0.0) <= SAME)
