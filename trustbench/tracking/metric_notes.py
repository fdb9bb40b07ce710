"""What the metrics of a run mean, for its description on a tracking server."""

from collections.abc import Iterator, Mapping, Sequence

from trustbench.contracts.metrics import DeclaredMetrics, Metric, find_in
from trustbench.store.records import Record
from trustbench.summary.table.results import TableResult


def of_record(record: Record, declared: DeclaredMetrics) -> str:
    """A line for each uploaded metric of an arm that an evaluator declares here; "" without any."""
    found = {name: metric for name in _uploaded(record) if (metric := find_in(declared, name))}
    return _listed(found)


def of_results(results: Sequence[TableResult]) -> str:
    """A line for each metric that the cells of a sweep's tables read."""
    found: dict[str, Metric] = {}
    for result in results:
        read = {cell.estimate.metric for cell in (*result.cells, *result.utility)}
        found |= {name: metric for name, metric in result.metrics.items() if name in read}
    return _listed(found)


def _uploaded(record: Record) -> Iterator[str]:
    for evaluation in record.evaluations.values():
        for name, measured in evaluation.measurements.items():
            if not measured.diagnostic:
                yield f"{evaluation.evaluator.name}/{name}"


def _listed(metrics: Mapping[str, Metric]) -> str:
    """The metrics with what evaluators declare, as Markdown that ends before the next block."""
    lines = [f"- `{name}`: {metrics[name].explanation}" for name in sorted(metrics)]
    return "\n".join([*lines, "", ""]) if lines else ""
