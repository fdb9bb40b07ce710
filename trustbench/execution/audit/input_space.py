"""What the inputs of a given torch module stand for, so that attacks know what they may change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from trustbench.contracts import Array, Encoder, Feature, NumberColumn
from trustbench.datasets.loading.own.declared import Change, DeclaredTable
from trustbench.datasets.loading.own.inputs import InputColumns, change_of, features_of
from trustbench.datasets.loading.own.values import has_two_values
from trustbench.errors import Unsupported, UserError
from trustbench.models.given.module_inputs import Encoded, Numbers, RowInputs

if TYPE_CHECKING:
    from pandas import DataFrame

COVERS = 2
"""An input with this many values, as a flag or a level has, is not moved a little."""


@dataclass(frozen=True)
class InputSpace:
    """Inputs X of a table's rows, and how those of the module come from them."""

    X: Array  # float32 [n, *shape]
    features: tuple[Feature, ...]
    mean: Tensor
    deviation: Tensor

    def to_module(self, X: Tensor) -> Tensor:
        """Inputs [..., *shape] -> those of the module, differentiably."""
        return X * self.deviation.to(X.dtype) + self.mean.to(X.dtype)


def input_space(inputs: RowInputs, rows: "DataFrame", declared: DeclaredTable) -> InputSpace:
    """The inputs of a module with this preprocessing.

    Those of an encoder are standardised already. Others are standardised by the audited rows here,
    so that a radius means the same in every column; images are taken as they are. An input with two
    values is not moved. Inputs that come from sensitive and immutable columns are immutable: what a
    function of the user's makes of them is seen by exchanging these columns between rows.

    Raises:
        Unsupported: the preprocessing fails once columns are exchanged.
    """
    changes = {str(c): change_of(str(c), declared) for c in rows.columns}
    X = np.asarray(inputs(rows), dtype=np.float32)
    if isinstance(inputs, Encoded):
        rules, places = inputs.encoder.columns, inputs.encoder.places()
        columns = InputColumns({}, (), declared.columns, changes)
        return _plain(X, features_of(rules, places, columns, X))
    if X.ndim > 2:
        return _plain(X, tuple(_pixels(X)))
    if isinstance(inputs, Numbers):
        return _numbers(X, rows, declared, changes)
    return _columns(X, _fixed(inputs, rows, X, changes))


def _plain(X: Array, features: tuple[Feature, ...]) -> InputSpace:
    return InputSpace(X, features, torch.zeros(()), torch.ones(()))


def _pixels(X: Array) -> list[Feature]:
    """One feature for each value of an image, within the range of all."""
    low, high = float(X.min()), float(X.max())
    return [Feature(f"pixel {k}", "pixel", (k,), low, high) for k in range(int(X[0].size))]


def _scales(X: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column, float32 [d]; constant ones keep their unit."""
    deviation = X.astype(np.float64).std(axis=0)
    return X.astype(np.float64).mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def _numbers(
    X: Array, rows: "DataFrame", declared: DeclaredTable, changes: Mapping[str, Change]
) -> InputSpace:
    """The table's own columns, with what is declared about each."""
    mean, deviation = _scales(X)
    names = [str(c) for c in rows.columns]
    rules = tuple(map(NumberColumn, names, mean.tolist(), deviation.tolist()))
    encoder = Encoder(rules)
    Z = ((X - mean) / deviation).astype(np.float32)
    columns = InputColumns({}, (), declared.columns, changes)
    flags = {name for name in names if has_two_values(rows[name].dropna())}
    features = tuple(
        _still(f) if f.name in flags and f.name not in declared.columns else f
        for f in features_of(rules, encoder.places(), columns, Z)
    )
    return InputSpace(Z, features, torch.as_tensor(mean), torch.as_tensor(deviation))


def _still(feature: Feature) -> Feature:
    return Feature(
        feature.name, "numeric", feature.columns, feature.lower, feature.upper,
        feature.mutable, 0.0, change=feature.change,
    )  # fmt: skip


def _columns(X: Array, fixed: Array) -> InputSpace:
    """Inputs that a function made; `fixed` [d] says which nobody can change."""
    mean, deviation = _scales(X)
    Z = ((X - mean) / deviation).astype(np.float32)
    features = tuple(
        Feature(
            f"input {k}", "numeric", (k,), float(z.min()), float(z.max()),
            not fixed[k], 0.0 if len(np.unique(z)) <= COVERS else 1.0,
        )
        for k, z in enumerate(Z.T)
    )  # fmt: skip
    return InputSpace(Z, features, torch.as_tensor(mean), torch.as_tensor(deviation))


def _fixed(inputs: RowInputs, rows: "DataFrame", X: Array, changes: Mapping[str, Change]) -> Array:
    """Which inputs depend on a column that people cannot change: bool [d]."""
    still = [c for c in rows.columns if changes[str(c)] == "none"]
    if not still or not len(rows):
        return np.zeros(X.shape[1], dtype=bool)
    order = np.random.default_rng(0).permutation(len(rows))
    exchanged = rows.assign(**{c: rows[c].to_numpy()[order] for c in still})
    try:
        moved = np.asarray(inputs(exchanged), dtype=np.float32)
    except UserError as error:
        raise Unsupported(
            "needs to know which inputs come from immutable columns; with these exchanged between "
            f"rows, {error}"
        ) from error
    return np.asarray((moved != X).any(axis=0))
