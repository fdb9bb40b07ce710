"""An exported model: raw rows in; decisions, probabilities, prediction sets, explanations out."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Dataset, System
from trustbench.contracts.encoding import NumberColumn
from trustbench.contracts.shortening import listed
from trustbench.errors import DataError
from trustbench.execution.export.loading import load_system
from trustbench.execution.export.spec import ExportSpec, find_export
from trustbench.training.engine_choice import is_linear_chain

if TYPE_CHECKING:
    from pandas import DataFrame

DECISION = "decision"
ABSTAINED = "abstain"
"""What a model in use answers where it leaves a row to somebody else."""


class ExportedModel:
    """A deployed model; `trustbench audit` measures it by its folder, or from Python.

    `predict` takes a table of raw columns, as in the file that the model was trained on, or an
    array of inputs [n, *shape] for data other than tables. A model of `dataset=images` also takes a
    table with the paths of image files.
    """

    def __init__(
        self,
        spec: ExportSpec,
        system: System,
        module: torch.nn.Module,
        reader: Dataset | None = None,
    ) -> None:
        self.spec, self.system, self.reader = spec, system, reader
        self.network = module if is_linear_chain(module) else None
        """The network alone, if it is a chain of linear layers."""

    def __repr__(self) -> str:
        what = f"{self.spec.arm.dataset.name}/{self.spec.arm.model.name}"
        return f"<exported model {self.spec.label} on {what}, {self.spec.trained_on}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.spec.classes)

    @property
    def columns(self) -> tuple[str, ...]:
        """The raw columns that `predict` reads; empty for data other than tables."""
        encoder = self.system.problem.encoder
        if encoder is None:
            return ()
        for_group = encoder.group.columns if encoder.group and self.spec.needs_group else ()
        names = [c.name for c in (*encoder.columns, *for_group)]
        return tuple(dict.fromkeys(names))

    @property
    def column_types(self) -> dict[str, str]:
        """The raw columns that `predict` reads, with what each holds: `double` or `string`."""
        encoder = self.system.problem.encoder
        if encoder is None:
            return {}
        numbers = {
            c.name
            for c in encoder.columns
            if isinstance(c, NumberColumn) and not (c.levels or c.part)
        }
        numbers |= {c.name for c in encoder.group.columns if c.edges} if encoder.group else set()
        return {name: "double" if name in numbers else "string" for name in self.columns}

    @property
    def scores(self) -> tuple[str, ...]:
        """The scores whose prediction sets are released."""
        return tuple(self.system.set_predictors)

    def predict(
        self,
        rows: "DataFrame | Array",
        group: Sequence[str] | None = None,
        *,
        explanations: bool = True,
    ) -> "DataFrame":
        """What the deployed system releases, one row [n] for each of the rows.

        Columns: `decision`; `probability: CLASS` as the interface shows it; `SCORE set: CLASS`,
        whether the set holds the class; `explanation: INPUT`. Coins and random scores are drawn by
        position, so a row's answer may depend on its place in the table.

        Args:
            rows: a table with the raw `columns`, or inputs [n, *shape].
            group: the name of each row's group, [n]; for a model that decides by group, if the
                table lacks the columns that give it.
            explanations: whether explanations are computed, which may take long.

        Raises:
            DataError: a column is absent, or a value is missing or unknown.
        """
        import pandas as pd

        X, groups = self.system.tensor(self.encode(rows)), self._group(rows, group)
        names = np.array([*self.classes, ABSTAINED], dtype=object)  # the last is at ABSTAIN
        found: dict[str, Any] = {DECISION: names[_numpy(self.system.decide(X, groups))]}
        shown = _numpy(self.system.observed(self.system.logits(X)))
        found |= {f"probability: {c}": shown[:, k] for k, c in enumerate(self.classes)}
        for score in self.scores:
            sets = _numpy(self.system.sets(X, score, groups))
            found |= {f"{score} set: {c}": sets[:, k] for k, c in enumerate(self.classes)}
        if explanations and self.system.explainer is not None:
            values = _numpy(self.system.explain(X))
            found |= {f"explanation: {n}": values[:, k] for k, n in enumerate(self.inputs())}
        return pd.DataFrame(found, index=getattr(rows, "index", None))

    def predict_proba(self, rows: "DataFrame | Array") -> Array:
        """The probabilities that the interface shows, float64 [n, C]."""
        X = self.system.tensor(self.encode(rows))
        return _numpy(self.system.observed(self.system.logits(X))).astype(np.float64)

    def encode(self, rows: "DataFrame | Array") -> Array:
        """The model's inputs, float32 [n, *shape]."""
        encoder = self.system.problem.encoder
        _refuse_other(rows)
        table = _table(rows)
        if encoder is not None and table is not None:
            return encoder.encode(table)
        if self.reader is not None and table is not None:
            read = self.reader.read_raw(table)
            assert read is not None  # only such a data set is exported as a reader
            return read
        X = np.asarray(rows, dtype=np.float32)
        if X.shape[1:] != self.system.problem.shape:
            raise DataError(
                f"the rows have shape {list(X.shape[1:])}, and the model takes "
                f"{list(self.system.problem.shape)}; give a table with the columns "
                f"{listed(self.columns, 8) or 'of its data set'}, or an array of that shape."
            )
        return X

    def inputs(self) -> list[str]:
        """The name of each of the d inputs: a number's column, or `column=level`."""
        names = [""] * self.system.problem.n_features
        for feature in self.system.problem.features:
            for k, column in enumerate(feature.columns):
                level = f"={feature.levels[k]}" if len(feature.levels) > 1 else ""
                several = len(feature.columns) > 1 and not level
                names[column] = feature.name + (f"[{k}]" if several else level)
        return names

    def example(self) -> "DataFrame | Array":
        """A made-up row: the mean of every number and the first level of every category."""
        import pandas as pd

        problem = self.system.problem
        if problem.encoder is None:
            middle = (problem.per_column("lower") + problem.per_column("upper")) / 2
            return middle.reshape(1, *problem.shape).astype(np.float32)
        row: dict[str, Any] = {
            c.name: c.mean if isinstance(c, NumberColumn) else c.levels[0]
            for c in problem.encoder.columns
        }
        for column in problem.encoder.group.columns if problem.encoder.group else ():
            row.setdefault(column.name, next(iter(column.labels)) if not column.edges else 0.0)
        return pd.DataFrame([{name: row[name] for name in self.columns}])

    def _group(self, rows: "DataFrame | Array", given: Sequence[str] | None) -> Array:
        """The position of each row's group; 0 if no answer depends on it."""
        if given is not None:
            unknown = sorted(set(given) - set(self.spec.groups))
            if unknown or len(given) != len(rows):
                raise DataError(
                    f"group has {len(given)} names for {len(rows)} rows"
                    + (f", among them {listed(unknown)}" if unknown else "")
                    + f"; give one of {listed(self.spec.groups, 9)} for each row."
                )
            return np.array([self.spec.groups.index(name) for name in given], dtype=np.int64)
        if not self.spec.needs_group:
            return np.zeros(len(rows), dtype=np.int64)
        encoder, table = self.system.problem.encoder, _table(rows)
        if encoder is None or encoder.group is None or table is None:
            raise DataError(
                f"this model decides by {self.spec.group_name}; give the group of each row: "
                f"predict(rows, group=[...]) with {listed(self.spec.groups, 9)}."
            )
        return encoder.group.of(table)


def load_model(
    path: str | Path, *, device: str = "cpu", plugins: Collection[str] = ()
) -> ExportedModel:
    """Loads a model that `trustbench export` wrote: a folder, or an MLflow model.

    Neither the data nor the records are needed, and no pickle is read.

    Args:
        path: the folder.
        device: where the model answers, such as cpu or cuda.
        plugins: modules of your own that hold its classes; no other module is imported.

    Raises:
        UserError: the folder is not an export, is damaged, or needs another version.

    >>> load_model("nowhere")
    Traceback (most recent call last):
        ...
    trustbench.errors.UserError: nowhere is not an exported model: it has no trustbench.json; \
give the folder that `trustbench export` wrote.
    """
    return ExportedModel(*load_system(find_export(Path(path).expanduser()), device, plugins))


def _refuse_other(rows: object) -> None:
    """Raises DataError for a single row, and for a table with two columns of one name."""
    import pandas as pd

    if isinstance(rows, pd.DataFrame):
        twice = sorted({str(c) for c in rows.columns[rows.columns.duplicated()]})
        if twice:
            raise DataError(f"the rows have several columns named {listed(twice)}; rename them.")
    elif isinstance(rows, Mapping | pd.Series | str):
        raise DataError(
            f"the rows are a {type(rows).__name__}; give a pandas.DataFrame, such as "
            "pandas.DataFrame([row]) of a dictionary, or an array."
        )


def _table(rows: "DataFrame | Array") -> "DataFrame | None":
    """The rows if they are a table with named columns."""
    import pandas as pd

    return rows if isinstance(rows, pd.DataFrame) else None


def _numpy(tensor: Tensor) -> Array:
    """The answers of the one model."""
    return tensor[0].detach().cpu().numpy()
