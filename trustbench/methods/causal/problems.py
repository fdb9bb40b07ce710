"""The causal model of a problem, learnt from its training pool on a graph of its features."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from trustbench.contracts import Problem, Read, Streams
from trustbench.errors import DataError, did_you_mean
from trustbench.methods.causal.graph import GraphModel, Variable
from trustbench.methods.causal.learning import Fitting, learn

LEARNT = Read("pool", "the functions and the noise of the causal model", into="inputs")
"""The read that a data set with a learnt causal model declares."""


def learn_on(
    problem: Problem,
    graph: Mapping[str, Sequence[str]],
    sensitive: Sequence[str],
    streams: Streams,
    fitting: Fitting,
) -> GraphModel:
    """The causal model of a problem on a graph {effect: its direct causes} of feature names.

    Features outside of the graph have no cause and no effect.

    Raises:
        DataError: the graph names something other than a feature, has a cycle, or gives causes to a
            category.
    """
    columns = {f.name: f.columns for f in problem.features}
    for name in (*graph, *(c for causes in graph.values() for c in causes), *sensitive):
        if name not in columns:
            raise DataError(
                f"dataset {problem.name}: the causal graph has no input {name!r}; "
                f"{did_you_mean(name, columns)}"
            )
    try:
        order = list(TopologicalSorter({k: list(v) for k, v in graph.items()}).static_order())
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise DataError(
            f"dataset {problem.name}: the causal graph has a cycle ({cycle}); remove one of its "
            "arrows."
        ) from error
    order += [name for name in columns if name not in order]
    variables = [Variable(n, columns[n], tuple(graph.get(n, ()))) for n in order]
    X, groups = problem.rows("train")[0], _levels_of_groups(problem, sensitive)
    try:
        return learn(X, variables, sensitive, streams, fitting, groups)
    except ValueError as error:
        raise DataError(f"dataset {problem.name}: {error}.") from error


def _levels_of_groups(problem: Problem, sensitive: Sequence[str]) -> tuple[int, ...]:
    """For each group its place among the levels of the sensitive feature; () if they differ."""
    feature = next(f for f in problem.features if f.name == sensitive[0])
    if len(sensitive) > 1 or set(problem.groups) != set(feature.levels):
        return ()
    return tuple(feature.levels.index(name) for name in problem.groups)
