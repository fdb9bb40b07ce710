"""Learns the functions of a causal graph from rows: least squares, or a network with one layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from trustbench.contracts import Array, Streams
from trustbench.methods.causal.graph import Function, GraphModel, Variable, parents_of, refuse_wrong


@dataclass(frozen=True)
class LinearFunction:
    """An affine function of the parents."""

    slope: Array  # [p]
    start: float

    def __call__(self, parents: Array) -> Array:
        """[n, p] -> [n]."""
        return np.asarray(parents @ self.slope + self.start)


@dataclass(frozen=True)
class NetworkFunction:
    """A network of the parents with one layer of tanh units."""

    first: Array  # [p, h]
    start: Array  # [h]
    second: Array  # [h]
    end: float

    def __call__(self, parents: Array) -> Array:
        """[n, p] -> [n]."""
        return np.asarray(np.tanh(parents @ self.first + self.start) @ self.second + self.end)


@dataclass(frozen=True)
class Fitting:
    """How a network is fitted; `hidden` 0 fits a line by least squares.

    Defaults are those of CAPIFY's causal models: one layer of 100 tanh units, mean squared error,
    Adam at a rate of .005, batches of 100 (Ehyaei et al. 2023, and the authors' code).
    """

    hidden: int = 100
    epochs: int = 10
    lr: float = 0.005
    batch_size: int = 100


def learn(
    X: Array,
    variables: Sequence[Variable],
    sensitive: Sequence[str],
    streams: Streams,
    fitting: Fitting | Mapping[str, Fitting] = Fitting(),
    groups: Sequence[int] = (),
) -> GraphModel:
    """The causal model whose functions are fitted to rows X [n, d].

    A data set that calls it declares the rows to the privacy ledger: functions, noise and levels
    come from them. `fitting` may differ between variables.

    Raises:
        ValueError: the graph is invalid; see `refuse_wrong`.
    """
    refuse_wrong(variables, sensitive)
    functions: dict[str, Function] = {}
    for v in variables:
        if v.parents and v.name not in sensitive:
            how = fitting if isinstance(fitting, Fitting) else fitting[v.name]
            parents, effect = parents_of(v, variables, X), X[:, v.columns[0]].astype(np.float64)
            functions[v.name] = _fitted(parents, effect, how, streams, len(functions))
    made = GraphModel(tuple(variables), functions, tuple(sensitive), X.astype(np.float64))
    settings = fitting if isinstance(fitting, Fitting) else dict(sorted(fitting.items()))
    return replace(made, noise=made.latent(X), groups=tuple(groups), learnt_by=repr(settings))


def _fitted(parents: Array, effect: Array, how: Fitting, streams: Streams, place: int) -> Function:
    if not how.hidden:
        padded = np.column_stack([parents, np.ones(len(parents))])
        found = np.linalg.lstsq(padded, effect, rcond=None)[0]
        return LinearFunction(found[:-1], float(found[-1]))
    with streams.global_torch("data", "causal_model", place):
        first, second = nn.Linear(parents.shape[1], how.hidden), nn.Linear(how.hidden, 1)
        network = nn.Sequential(first, nn.Tanh(), second).double()
        optimiser = torch.optim.Adam(network.parameters(), lr=how.lr)
        X, y = torch.as_tensor(parents), torch.as_tensor(effect)
        for _ in range(how.epochs):
            for rows in torch.randperm(len(X)).split(how.batch_size):
                optimiser.zero_grad()
                (network(X[rows]).squeeze(1) - y[rows]).square().mean().backward()
                optimiser.step()
    weights = [p.detach().numpy() for p in network.parameters()]
    return NetworkFunction(weights[0].T, weights[1], weights[2][0], float(weights[3][0]))
