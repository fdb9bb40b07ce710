"""A fitted scikit-learn estimator or pipeline: in memory, or from a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import PICKLE, Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.contracts.shortening import listed
from trustbench.contracts.unpacking import archive_too_large
from trustbench.errors import UserError
from trustbench.models.given.class_names import class_name
from trustbench.models.given.files import digest

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

SKOPS = (".skops",)


@dataclass(frozen=True)
class GivenEstimator:
    """A fitted scikit-learn classifier; without `predict_proba` it offers decisions only."""

    estimator: Any
    name: str
    digest: str | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that it was fitted on."""
        return tuple(class_name(c) for c in self.estimator.classes_)

    @property
    def channels(self) -> frozenset[GivenChannel]:
        """Queries, and probabilities where it has them."""
        both: frozenset[GivenChannel] = frozenset({"queries", "probabilities"})
        return both if hasattr(self.estimator, "predict_proba") else both - {"probabilities"}

    @property
    def module(self) -> "torch.nn.Module | None":
        """None: no gradients."""
        return None

    def predict_proba(self, rows: "DataFrame | Array") -> Array:
        """The estimator's probabilities, or its decisions as 0 and 1: float64 [n, C]."""
        given = rows if isinstance(rows, np.ndarray) else self._columns(rows)
        if "probabilities" in self.channels:
            return np.asarray(self.estimator.predict_proba(given), dtype=np.float64)
        decided = np.asarray(self.estimator.predict(given))
        return np.asarray(decided[:, None] == np.asarray(self.estimator.classes_), dtype=np.float64)

    def decide(self, rows: "DataFrame | Array") -> Array:
        """The positions of the classes that `predict` returns, which may follow a cutoff: [n]."""
        given = rows if isinstance(rows, np.ndarray) else self._columns(rows)
        decided = np.asarray(self.estimator.predict(given))
        return np.asarray((decided[:, None] == np.asarray(self.estimator.classes_)).argmax(axis=1))

    def describe(self) -> dict[str, Fact]:
        """The type, the file's digest and the columns that it was fitted on."""
        names = getattr(self.estimator, "feature_names_in_", None)
        width = getattr(self.estimator, "n_features_in_", None)
        signature = f"{width} unnamed columns" if names is None else ", ".join(map(str, names))
        steps = getattr(self.estimator, "steps", None)
        last = type(steps[-1][1] if steps else self.estimator)
        facts: dict[str, Fact] = {"kind": f"scikit-learn {last.__name__}", "signature": signature}
        return facts if self.digest is None else {**facts, "digest": self.digest}

    def _columns(self, rows: "DataFrame") -> "DataFrame | Array":
        """The columns that the estimator was fitted on, in its order."""
        names = getattr(self.estimator, "feature_names_in_", None)
        if names is not None:
            missing = [str(n) for n in names if n not in rows.columns]
            if missing:
                raise UserError(
                    f"model {self.name} was fitted on {listed(missing)}, which the table lacks; "
                    f"the table has {listed(list(map(str, rows.columns)))}."
                )
            return rows[list(names)]
        width = getattr(self.estimator, "n_features_in_", None)
        numbers = rows.select_dtypes(["number", "bool"])
        if width is None or width == rows.shape[1]:
            return rows.to_numpy()
        if width == numbers.shape[1]:
            return numbers.to_numpy(dtype=np.float64)
        raise UserError(
            f"model {self.name} was fitted on {width} columns without names, and the table has "
            f"{rows.shape[1]} ({numbers.shape[1]} of numbers); fit it on a DataFrame, so that it "
            "knows its columns."
        )


def estimator(fitted: object, name: str, digest: str | None = None) -> GivenModel:
    """A fitted scikit-learn classifier as a given model.

    Raises:
        UserError: it is not a classifier, or not fitted.
    """
    kind = type(fitted).__name__
    if not hasattr(fitted, "predict"):
        raise UserError(f"model {name} is a {kind} without `predict`; give a fitted classifier.")
    if not hasattr(fitted, "classes_"):
        from sklearn.base import is_classifier

        todo = "fit it first" if is_classifier(fitted) else "give a classifier"
        raise UserError(f"model {name} is a {kind} without `classes_`; {todo}.")
    if np.ndim(fitted.classes_[0]) or len(fitted.classes_) < 2:
        raise UserError(
            f"model {name} is a {kind} fitted on {len(fitted.classes_)} classes or several "
            "targets; give a classifier of one target with at least 2 classes."
        )
    return GivenEstimator(fitted, name, digest)


class EstimatorAdapter(Adapter):
    """Takes a fitted estimator from Python."""

    kind: ClassVar[str] = "a fitted scikit-learn estimator from Python"
    example: ClassVar[str] = "trustbench.audit(model, ...)"

    @override
    def accepts(self, source: ModelSource) -> bool:
        from sklearn.base import BaseEstimator

        return isinstance(source.given, BaseEstimator)

    @override
    def open(self, source: ModelSource) -> GivenModel:
        return estimator(source.given, source.name)


class SkopsAdapter(Adapter):
    """Reads a file of skops, whose types are scikit-learn's own or named as trusted."""

    kind: ClassVar[str] = "a scikit-learn estimator in a file of skops"
    example: ClassVar[str] = "model.skops"

    @override
    def accepts(self, source: ModelSource) -> bool:
        return source.path is not None and source.path.suffix.lower() in SKOPS

    @override
    def open(self, source: ModelSource) -> GivenModel:
        from zipfile import BadZipFile

        from skops import io

        path = source.path
        assert path is not None
        try:
            large = _too_large(path)
            if large is not None:
                raise UserError(f"model {path} is not opened: {large}; it is not a plain model.")
            unknown = set(io.get_untrusted_types(file=path)) - source.trust
            if unknown:
                flags = " ".join(f"--trust {t}" for t in sorted(unknown))
                raise UserError(
                    f"model {path} holds {listed(sorted(unknown))}, which skops does not trust by "
                    f"itself; if the file comes from a source that you trust, add {flags}."
                )
            fitted = io.load(path, trusted=sorted(source.trust - {PICKLE}))
        except (BadZipFile, KeyError) as error:
            raise UserError(
                f"model {path} is not a file of skops ({error}); write it with "
                "skops.io.dump(estimator, path)."
            ) from error
        return estimator(fitted, path.name, digest(path))


def _too_large(path: Path) -> str | None:
    with path.open("rb") as file:
        return archive_too_large(file, path.stat().st_size)
