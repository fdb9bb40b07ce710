"""Refuses a table or a policy that names a metric which no evaluator declares."""

from collections.abc import Iterator
from typing import TypeVar

from trustbench.contracts.metrics import SCORES, DeclaredMetrics, all_of, find, find_in
from trustbench.errors import ConfigError, did_you_mean
from trustbench.summary.decide.policy import Policy
from trustbench.summary.table.registry import Table
from trustbench.summary.table.table_file import ColumnEntry, Measure

M = TypeVar("M", bound=Measure)
NamedMetrics = Iterator[tuple[str, str]]
"""Where a file names a metric, and the metric."""


def check_table(
    table: Table, origin: str, declared: DeclaredMetrics, scores: frozenset[str] = SCORES
) -> None:
    """Checks every metric that a table names; `scores` are those that `<score>` stands for.

    Raises:
        ConfigError: one sentence for each metric that does not exist, with the nearest name.
    """
    problems = [
        p for where, name in _of_table(table) for p in _problems(where, name, declared, scores)
    ]
    if problems:
        raise ConfigError([f"table {origin}: {p}" for p in dict.fromkeys(problems)])


def with_declarations(table: Table, declared: DeclaredMetrics) -> Table:
    """Returns the table with what evaluators declare of its metrics, which its outputs explain."""
    columns = {aspect: _explained(column, declared) for aspect, column in table.columns.items()}
    cells = [
        cell.model_copy(update={"column": cell.column and _explained(cell.column, declared)})
        for cell in table.cells
    ]
    utility = _explained(table.utility, declared)
    known = {name: metrics for name, metrics in declared.items() if metrics is not None}
    return table.model_copy(
        update={
            "utility": utility, "columns": columns, "cells": tuple(cells), "declared": known,
        }
    )  # fmt: skip


def _explained(measure: M, declared: DeclaredMetrics) -> M:
    metric = find_in(declared, measure.metric)
    said = {"sentence": measure.sentence or (metric and metric.sentence)}
    if isinstance(measure, ColumnEntry) and measure.binary is not None:
        return measure.model_copy(update={**said, "binary": _explained(measure.binary, declared)})
    return measure.model_copy(update=said)


def check_policy(
    policy: Policy, declared: DeclaredMetrics, scores: frozenset[str] = SCORES
) -> list[str]:
    """Returns a sentence for each limit on a metric that does not exist, with the nearest name."""
    named = [(f"limits.{i}.metric", limit.metric) for i, limit in enumerate(policy.limits)]
    metrics = [(where, name) for where, name in named if "/" in name]
    return [p for where, name in metrics for p in _problems(where, name, declared, scores)]


def _problems(
    where: str, metric: str, declared: DeclaredMetrics, scores: frozenset[str]
) -> Iterator[str]:
    evaluator, _, name = metric.partition("/")
    if evaluator not in declared:
        hint = did_you_mean(evaluator, declared)
        yield f"{where} is {metric!r}, of no evaluator; {hint}"
        return
    metrics = declared[evaluator]
    if metrics is not None and find(metrics, name, scores) is None:
        names = [
            m.name.replace("<score>", score) for m in all_of(metrics) for score in sorted(scores)
        ]
        hint = did_you_mean(name, list(dict.fromkeys(names)))
        yield f"{where} is {metric!r}, which evaluator {evaluator} does not measure; {hint}"


def _of_table(table: Table) -> NamedMetrics:
    yield from _of_measure("utility", table.utility)
    yield "floor.metric", table.floor.metric
    yield "floor.logistic", table.floor.logistic
    for regime, pairs in table.floor.below.items():
        for k, pair in enumerate(pairs):
            yield f"floor.below.{regime}.{k}.metric", pair.metric
            yield f"floor.below.{regime}.{k}.logistic", pair.logistic
    for aspect, column in table.columns.items():
        yield from _of_column(f"columns.{aspect}", column)
    for cell in table.cells:
        if cell.column is not None and cell.column != table.columns[cell.target]:
            yield from _of_column(f"cells.{cell.source}.{cell.target}.measure", cell.column)
    for k, sides in enumerate(table.sides):
        yield f"sides.{k}.metric", sides.metric
        yield from _of_against(f"sides.{k}", sides.against)


def _of_column(where: str, column: ColumnEntry) -> NamedMetrics:
    yield from _of_measure(where, column)
    if column.binary is not None:
        yield from _of_measure(f"{where}.binary", column.binary)


def _of_measure(where: str, measure: Measure) -> NamedMetrics:
    yield f"{where}.metric", measure.metric
    yield from _of_against(where, measure.against)
    if measure.unreliable_if is not None:
        yield f"{where}.unreliable_if", measure.unreliable_if
    for k, beside in enumerate(measure.secondary):
        yield f"{where}.secondary.{k}.metric", beside.metric
        yield from _of_against(f"{where}.secondary.{k}", beside.against)


def _of_against(where: str, against: str | float | None) -> NamedMetrics:
    if isinstance(against, str):
        yield f"{where}.against", against
