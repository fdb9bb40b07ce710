"""A model of which only predictions are known: columns of the user's table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.errors import UserError, did_you_mean
from trustbench.models.given.class_names import class_name, class_positions

if TYPE_CHECKING:
    import torch
    from pandas import DataFrame

PREFIX = "column:"


@dataclass(frozen=True)
class Predictions:
    """Predictions that are columns of the table: a class, a score in [0, 1], or one per class.

    A single column holds decisions if each of its values names a class, and otherwise the
    probability of the last class, which is the favourable one of two.
    """

    columns: tuple[str, ...]
    classes: tuple[str, ...]
    channels: frozenset[GivenChannel]

    @property
    def module(self) -> "torch.nn.Module | None":
        """None: a table has no gradients."""
        return None

    def predict_proba(self, rows: "DataFrame | Array") -> Array:
        """The predictions in the table, float64 [n, C]."""
        if isinstance(rows, np.ndarray):
            raise UserError(
                f"predictions {','.join(self.columns)} are columns of a table; give a DataFrame."
            )
        for column in self.columns:
            if column not in rows.columns:
                raise UserError(
                    f"the table has no column {column!r} with predictions; "
                    f"{did_you_mean(column, map(str, rows.columns))}"
                )
        if "probabilities" not in self.channels:
            found = class_positions(rows[self.columns[0]], self.classes)
            if (found < 0).any():
                unknown = class_name(rows[self.columns[0]].iloc[int((found < 0).argmax())])
                raise UserError(
                    f"column {self.columns[0]} predicts {unknown!r}, which is not a class of the "
                    f"target; {did_you_mean(unknown, self.classes)}"
                )
            return np.eye(len(self.classes))[found]
        scores = np.stack([_numbers(rows, column) for column in self.columns], axis=1)
        return np.concatenate([1.0 - scores, scores], axis=1) if len(self.columns) == 1 else scores

    def describe(self) -> dict[str, Fact]:
        """The columns, and what they hold."""
        holds = "probabilities" if "probabilities" in self.channels else "decisions"
        return {"kind": f"{PREDICTIONS} ({holds})", "signature": ", ".join(self.columns)}


PREDICTIONS = "predictions in the table"


def predictions(table: "DataFrame", columns: Sequence[str], classes: Sequence[str]) -> GivenModel:
    """The model whose predictions are these columns of a table with a target of these classes.

    Raises:
        UserError: a column is missing, or their number does not fit the classes.
    """
    named = tuple(columns)
    for column in named:
        if column not in table.columns:
            raise UserError(
                f"the table has no column {column!r} with predictions; "
                f"{did_you_mean(column, map(str, table.columns))}"
            )
    decided = len(named) == 1 and bool((class_positions(table[named[0]], classes) >= 0).all())
    if not decided and len(named) not in {len(classes), 1 if len(classes) == 2 else len(classes)}:
        raise UserError(
            f"{len(named)} columns of predictions were given for {len(classes)} classes "
            f"({', '.join(classes)}); give one column with the class, or one probability per class "
            "in this order."
        )
    offered: tuple[GivenChannel, ...] = () if decided else ("probabilities",)
    return Predictions(named, tuple(classes), frozenset(offered))


def _numbers(rows: "DataFrame", column: str) -> Array:
    """A column of probabilities, float64 [n]."""
    import pandas as pd

    values = pd.to_numeric(rows[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~((values >= 0.0) & (values <= 1.0))
    if bad.any():
        row = int(bad.argmax())
        raise UserError(
            f"column {column} holds {class_name(rows[column].iloc[row])} (row {row}), which is "
            "neither a class of the target nor a probability; give probabilities from 0 to 1, or a "
            "column with the decided class."
        )
    return values


class PredictionsAdapter(Adapter):
    """Opens `column:NAME` or `column:P0,P1,P2`; the table is given as the option `table`."""

    kind: ClassVar[str] = PREDICTIONS
    example: ClassVar[str] = "column:score"
    rank: ClassVar[int] = 0

    @override
    def accepts(self, source: ModelSource) -> bool:
        return isinstance(source.given, str) and source.given.startswith(PREFIX)

    @override
    def open(self, source: ModelSource) -> GivenModel:
        if source.table is None or source.classes is None:
            raise UserError(f"model {source.name} needs the table that holds its columns.")
        named = [name.strip() for name in str(source.given).removeprefix(PREFIX).split(",")]
        named, classes = [n for n in named if n], source.classes
        if len(named) == 1 and len(classes) == 2:  # a score is that of the favourable class
            classes = tuple(sorted(classes, key=lambda name: name == source.favourable))
        return predictions(source.table, named, classes)
