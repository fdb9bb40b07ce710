"""Given models from MLflow: a registered model, a run's model, or a folder that MLflow wrote.

MLflow trusts the list of types that a model's own file names, and runs code that it brings along.
Here only its description is read, as YAML; the model's data go to the adapter for their format,
which trusts what the user names.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import PICKLE, Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.models.given.answers import both_classes
from trustbench.models.given.class_names import class_name
from trustbench.models.given.columns import Rows, ordered
from trustbench.models.given.opening import open_model
from trustbench.store.redaction import redact, shown
from trustbench.tracking.artifacts import local_refused
from trustbench.tracking.server import (
    TrackingError,
    client,
    in_mlflow,
    known_errors,
    quiet,
    reason,
    unreadable_answers,
)
from trustbench.tracking.transport import bounded

if TYPE_CHECKING:
    import torch

SCHEMES = ("models:/", "runs:/", "mlflow-artifacts:/")
DESCRIPTION = "MLmodel"
TRACKING, REGISTRY = "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"
# Flavour -> where its description names the file of the model.
DATA: Mapping[str, str] = {
    "sklearn": "pickled_model", "xgboost": "data", "lightgbm": "data", "onnx": "data",
}  # fmt: skip
_NUMBERS = ("integer", "long", "float", "double")


@dataclass(frozen=True)
class MlflowModel:
    """A model from MLflow: it gets the columns of its signature, with the signature's types."""

    inner: GivenModel
    uri: str
    flavour: str
    inputs: tuple[tuple[str, str], ...]  # name and type of each column; empty without a signature
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the model within."""
        return self.inner.classes

    @property
    def channels(self) -> frozenset[GivenChannel]:
        """What the model within offers."""
        return self.inner.channels

    @property
    def module(self) -> "torch.nn.Module | None":
        """The torch module of the model within."""
        return self.inner.module

    def predict_proba(self, rows: Rows) -> Array:
        """Probabilities, float64 [n, C]."""
        return self.inner.predict_proba(self._columns(rows))

    def decide(self, rows: Rows) -> Array | None:
        """The decisions of the model within, as positions among `classes`, [n]."""
        own = getattr(self.inner, "decide", None)
        return None if own is None else own(self._columns(rows))

    def _columns(self, rows: Rows) -> Rows:
        """The columns of the signature with its types."""
        if not self.inputs:
            return rows
        table = ordered(rows, [name for name, _ in self.inputs], self.uri)
        typed = {name: _typed(table[name], kind, self.uri) for name, kind in self.inputs}
        return pd.DataFrame(typed, index=table.index)

    def describe(self) -> dict[str, Fact]:
        """The model within, and where MLflow keeps it."""
        signature = ", ".join(f"{name}: {kind}" for name, kind in self.inputs)
        own = self.inner.describe()
        kind = f"{own['kind']}, MLflow flavour {self.flavour}"
        stated = {"signature": signature} if signature else {}
        return {**own, **stated, **self.facts, "kind": kind, "uri": redact(self.uri)}


@dataclass(frozen=True)
class MlflowAdapter(Adapter):
    """Opens `models:/NAME/VERSION`, `runs:/ID/PATH` and folders that MLflow wrote.

    The option `tracking_uri` is the address of the server; without it MLflow's own setting. What
    one of the adapters `within` accepts in such a folder is opened by it.
    """

    within: tuple[Adapter, ...] = ()

    kind: ClassVar[str] = "a model in MLflow"
    example: ClassVar[str] = "models:/credit/7"
    rank: ClassVar[int] = 10

    @override
    def accepts(self, source: ModelSource) -> bool:
        if isinstance(source.given, str) and source.given.startswith(SCHEMES):
            return True
        return source.path is not None and (source.path / DESCRIPTION).is_file()

    @override
    def open(self, source: ModelSource) -> GivenModel:
        if source.path is not None:
            return self._opened(source, source.path)
        with _downloaded(source) as folder:
            return self._opened(source, folder)

    def _opened(self, source: ModelSource, folder: Path) -> GivenModel:
        inside = replace(source, given=folder)
        for adapter in self.within:
            if adapter.accepts(inside):
                return adapter.open(inside)
        return _from_folder(source, folder)


@contextmanager
def _downloaded(source: ModelSource) -> Iterator[Path]:
    """A copy of the model, deleted afterwards; UserError if MLflow does not have it."""
    stated = source.options.get("tracking_uri")
    with tempfile.TemporaryDirectory() as folder, _asking(stated) as address:
        from mlflow.artifacts import download_artifacts

        try:
            remote = address.startswith(("http://", "https://"))
            with local_refused(address), bounded(remote=remote):
                found = download_artifacts(artifact_uri=source.given, dst_path=folder)
        except TrackingError as error:
            raise UserError(f"model {source.name} cannot be fetched: {error}") from error
        except (*known_errors(), *unreadable_answers()) as error:
            if not in_mlflow(error) and not isinstance(error, known_errors()):
                raise
            where = shown(address)
            raise UserError(
                f"model {source.name} cannot be fetched from MLflow at {where}: {reason(error)}; "
                "check its name and version, and the address (MLFLOW_TRACKING_URI)."
            ) from error
        yield Path(found)


@contextmanager
def _asking(stated: Fact) -> Iterator[str]:
    """MLflow asks this address meanwhile, or its own setting; yields the address.

    `models:/` addresses know no other way.
    """
    with quiet():
        import mlflow

        own = mlflow.get_tracking_uri()
        client(str(stated or own))  # silent from here on
        if stated is None:
            yield own
            return
        before: dict[str, Any] = {name: os.environ.get(name) for name in (TRACKING, REGISTRY)}
        try:
            mlflow.set_tracking_uri(str(stated))
            mlflow.set_registry_uri(str(stated))
            yield str(stated)
        finally:
            # MLflow hands both on to processes that are started later, and unsets only the first
            mlflow.set_tracking_uri(before[TRACKING])
            mlflow.set_registry_uri(before[REGISTRY])
            if before[REGISTRY] is None:
                os.environ.pop(REGISTRY, None)


def _from_folder(source: ModelSource, folder: Path) -> GivenModel:
    with quiet():
        from mlflow.exceptions import MlflowException
        from mlflow.models import Model
    try:
        stated = Model.load(str(folder))
    except (MlflowException, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"model {source.name} has a damaged {DESCRIPTION} file ({error}); log it again."
        ) from error
    flavour = next((name for name in DATA if name in stated.flavors), None)
    facts = {"mlflow_model": stated.model_uuid}
    if flavour is None:
        function = _by_function(source, folder, stated.flavors)
        return MlflowModel(function, source.name, "python_function", _inputs(stated), facts)
    path = _inside(source, folder, str(stated.flavors[flavour].get(DATA[flavour])))
    inner = open_model(replace(source, given=path))
    return MlflowModel(inner, source.name, flavour, _inputs(stated), facts)


def _inside(source: ModelSource, folder: Path, name: str) -> Path:
    """The file of the model; one outside of its folder is refused."""
    path = (folder / name).resolve()
    if path.is_file() and path.is_relative_to(folder.resolve()):
        return path
    raise UserError(
        f"model {source.name} names the file {name!r}, which is not in its folder; log it again."
    )


def _by_function(source: ModelSource, folder: Path, flavours: Mapping[str, Any]) -> "FunctionModel":
    """Any other flavour, through MLflow's own loader: only if the user trusts it."""
    names = ", ".join(sorted(flavours)) or "none"
    if PICKLE not in source.trust:
        raise UserError(
            f"model {source.name} has the MLflow flavours {names}, which run the code that they "
            f"hold when they are opened; log it as one of {', '.join(DATA)}, or add --trust if "
            "you made it."
        )
    if source.classes is None:
        raise UserError(
            f"model {source.name} does not say which classes it answers; name them in its order "
            "(--classes NO,YES)."
        )
    try:
        with quiet():
            import mlflow

            loaded = mlflow.pyfunc.load_model(str(folder))
    except known_errors() as error:
        raise UserError(
            f"model {source.name} cannot be opened by MLflow: {reason(error)}."
        ) from error
    return FunctionModel(loaded.predict, source.classes, source.name)


@dataclass(frozen=True)
class FunctionModel:
    """MLflow's python_function: it must answer probabilities, not labels."""

    predict: Callable[[Any], Any] = field(repr=False)
    classes: tuple[str, ...]
    name: str

    channels: ClassVar[frozenset[GivenChannel]] = frozenset({"probabilities", "queries"})
    module: ClassVar[None] = None

    def predict_proba(self, rows: Rows) -> Array:
        """Probabilities, float64 [n, C]."""
        try:
            answer = np.asarray(self.predict(rows), dtype=np.float64)
        except ValueError as error:
            raise UserError(
                f"model {self.name} answers with something other than numbers ({error}); log it "
                "so that it answers probabilities (pyfunc_predict_fn='predict_proba')."
            ) from error
        single = answer.shape in ((len(rows),), (len(rows), 1)) and len(self.classes) == 2
        return both_classes(answer) if single else answer

    def describe(self) -> dict[str, Fact]:
        """The kind."""
        return {"kind": "python_function", "signature": "see MLflow"}


def _inputs(stated: Any) -> tuple[tuple[str, str], ...]:
    """The columns of the signature; empty for tensors and without one."""
    if stated.signature is None or not stated.signature.inputs.has_input_names():
        return ()
    if stated.signature.inputs.is_tensor_spec():
        return ()
    columns = stated.signature.inputs.inputs
    return tuple((str(c.name), str(getattr(c.type, "name", c.type))) for c in columns)


def _typed(column: "pd.Series", kind: str, who: str) -> "pd.Series":
    """A column with the type of the signature, as MLflow's own server gives it."""
    if kind == "string":
        return column.astype(object).map(class_name, na_action="ignore")
    if kind not in _NUMBERS:
        return column
    try:
        found = pd.to_numeric(column)
    except (ValueError, TypeError) as error:
        raise UserError(
            f"model {who} reads {column.name!r} as {kind}, and the table holds text there "
            f"({error}); check how the table is read."
        ) from error
    return found if isinstance(found.dtype, np.dtype) else found.astype(np.float64)
