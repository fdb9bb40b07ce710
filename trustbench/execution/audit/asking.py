"""Measures a given model on rows of the audit's own making: by its answers, or by its gradients."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from trustbench.contracts import Array, Evaluator, Streams, System
from trustbench.errors import Unsupported
from trustbench.execution.audit.gradient_system import (
    BY_GRADIENT,
    gradient_system,
    is_white_box,
    needs_gradients,
)
from trustbench.execution.audit.measure import RowMeasurements
from trustbench.execution.audit.prepare import AuditTable
from trustbench.execution.audit.queried import QueriedModel
from trustbench.execution.audit.query_measure import (
    all_missing,
    measure_by_queries,
    merged,
    needs_only_queries,
)
from trustbench.execution.audit.query_system import query_system


class AskedRows(NamedTuple):
    """The rows of an audit, and a model's answers to them."""

    table: AuditTable
    p: Array  # float64 [n, C]
    test: Array  # row numbers
    held: Array


def measured_by_asking(
    given: QueriedModel,
    rows: AskedRows,
    evaluators: Mapping[str, Evaluator],
    streams: Streams,
    draws: int,
) -> RowMeasurements:
    """The metrics that ask the model about changed rows, those of a torch module by gradients too.

    Two models with the same rows are asked about the same changes.
    """

    def queried() -> System:
        return query_system(given, rows.table, rows.p, rows.test, streams)

    def differentiated() -> System:
        return gradient_system(given, rows.table, rows.p, rows.test, rows.held, streams)

    by_queries = {name: e for name, e in evaluators.items() if needs_only_queries(e)}
    found = RowMeasurements()
    if "queries" in given.model.channels:
        found = _measured(by_queries, queried, draws)
    if not is_white_box(given.model):
        return found
    by_gradients = {name: e for name, e in evaluators.items() if needs_gradients(e)}
    if given.explain in BY_GRADIENT:
        by_gradients |= {n: e for n, e in by_queries.items() if "explainer" in e.reads}
    return merged(found, _measured(by_gradients, differentiated, draws))


def _measured(
    asking: Mapping[str, Evaluator], system: Callable[[], System], draws: int
) -> RowMeasurements:
    """The metrics of evaluators on a system, or the reason why there is none."""
    if not asking:
        return RowMeasurements()
    try:
        return measure_by_queries(system(), asking, draws)
    except Unsupported as reason:
        return all_missing(asking, str(reason))
