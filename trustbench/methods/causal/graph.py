"""A causal model as data: a graph, a function for each effect, and additive noise.

The value of an effect is a function of its parents plus noise, so the noise of a row is the
difference, and every counterfactual follows (Pearl 2009, Causality, section 7.1).
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trustbench.contracts import Array

Function = Callable[[Array], Array]
"""The columns of the parents [n, p], in their order -> what they cause of the effect [n]."""


@dataclass(frozen=True)
class Variable:
    """A variable of the graph: its columns in X, and the names of its direct causes.

    A variable with causes is one number; a category, which has several columns, has none.
    """

    name: str
    columns: tuple[int, ...]
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class GraphModel:
    """A StructuralCausalModel on `variables`, whose causes come before their effects.

    Args:
        variables: all variables; columns of X that belong to none have no cause and no effect.
        functions: the function of each variable with causes that is not sensitive.
        fixed: the names of the sensitive variables, which keep their values in Q.
        noise: rows of Q [m, d] from which samples draw each variable independently.
        groups: for each group of the problem, its place in `levels`.
        exact: whether the functions made the data.
        learnt_by: how the functions were learnt from the rows; empty if they were given.
    """

    variables: tuple[Variable, ...]
    functions: Mapping[str, Function]
    fixed: tuple[str, ...]
    noise: Array = field(repr=False)
    groups: tuple[int, ...] = ()
    exact: bool = False
    learnt_by: str = ""

    def __post_init__(self) -> None:
        refuse_wrong(self.variables, self.fixed)
        lacking = [v.name for v in self._effects if v.name not in self.functions]
        if lacking:
            raise ValueError(f"no function is given for {', '.join(lacking)}")

    @property
    def sensitive(self) -> tuple[int, ...]:
        """The columns of the sensitive variables."""
        return tuple(c for v in self.variables if v.name in self.fixed for c in v.columns)

    @property
    def _effects(self) -> list[Variable]:
        return [v for v in self.variables if v.parents and v.name not in self.fixed]

    def levels(self) -> Array:
        """The combinations [L, s] of the values that sensitive variables have among `noise`."""
        of = [v.columns for v in self.variables if v.name in self.fixed]
        values = [np.unique(self.noise[:, list(columns)], axis=0)[::-1] for columns in of]
        return np.array([np.concatenate(each) for each in itertools.product(*values)])

    def latent(self, X: Array) -> Array:
        """X [n, d] -> Q [n, d]: the noise of every effect, the value of everything else."""
        Q = X.astype(np.float64)
        for v in self._effects:
            Q[:, v.columns[0]] = X[:, v.columns[0]] - self._caused(v, X)
        return Q

    def from_latent(self, Q: Array) -> Array:
        """Q [n, d] -> X [n, d]; causes are computed before their effects."""
        X = Q.astype(np.float64)
        for v in self._effects:
            X[:, v.columns[0]] = Q[:, v.columns[0]] + self._caused(v, X)
        return X

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """Draws X [n, d]: each variable's noise by itself, with replacement."""
        Q = self.noise[rng.integers(len(self.noise), size=n)]
        for v in self.variables:
            rows = rng.integers(len(self.noise), size=n)
            Q[:, list(v.columns)] = self.noise[rows][:, list(v.columns)]
        return self.from_latent(Q)

    def state(self) -> bytes:
        """What decides the model: the graph, and either how it is learnt or the noise.

        Given functions show in the noise. The last bits of learnt ones depend on the processor, and
        an id must not.
        """
        graph = repr((self.variables, self.fixed, self.groups, self.exact, self.learnt_by))
        noise = b"" if self.learnt_by else np.ascontiguousarray(self.noise).tobytes()
        return graph.encode() + noise

    def counterfactual(self, X: Array, group: int) -> Array:
        """The people X [n, d], had they belonged to `group`.

        Raises:
            ValueError: groups are not levels of the sensitive variables.
        """
        if not self.groups:
            raise ValueError("the groups are not those of the causal model's sensitive variables")
        Q = self.latent(X)
        Q[:, list(self.sensitive)] = self.levels()[self.groups[group]]
        return self.from_latent(Q).astype(X.dtype)

    def _caused(self, v: Variable, X: Array) -> Array:
        return self.functions[v.name](parents_of(v, self.variables, X))


def parents_of(variable: Variable, variables: Sequence[Variable], X: Array) -> Array:
    """The columns [n, p] of a variable's causes, in their order."""
    named = {v.name: v.columns for v in variables}
    return X[:, [c for name in variable.parents for c in named[name]]].astype(np.float64)


def refuse_wrong(variables: Sequence[Variable], fixed: Sequence[str]) -> None:
    """Raises ValueError for an invalid graph, with one sentence.

    >>> refuse_wrong([Variable("pay", (0,), ("age",)), Variable("age", (1,))], [])
    Traceback (most recent call last):
    ValueError: pay has the cause age, which is not among the variables before it
    """
    seen: set[str] = set()
    used: set[int] = set()
    for v in variables:
        unknown = [p for p in v.parents if p not in seen]
        if unknown:
            raise ValueError(
                f"{v.name} has the cause {unknown[0]}, which is not among the variables before it"
            )
        if v.parents and len(v.columns) != 1 and v.name not in fixed:
            raise ValueError(
                f"{v.name} is a category, whose causes additive noise cannot describe; give it none"
            )
        if v.name in seen or used & set(v.columns):
            raise ValueError(f"{v.name} is named twice, or shares a column with another variable")
        seen.add(v.name)
        used |= set(v.columns)
    absent = [name for name in fixed if name not in seen]
    if absent or not fixed:
        raise ValueError(f"the sensitive variables {', '.join(absent) or '(none)'} are not known")
