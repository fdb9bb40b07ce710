"""The numbers of one record: means over replicates with intervals, overall and by group."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trustbench.store.records import Record
from trustbench.summary.stats.effects import Effect
from trustbench.summary.stats.nulls import chance_means
from trustbench.summary.stats.series import mean_of, mean_of_part
from trustbench.summary.table.evaluations import unregistered

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Figure:
    """One metric of the record: the mean over replicates with its 95 % t interval."""

    metric: str
    mean: Effect
    unit: str
    higher_is_better: bool
    rows: int
    evaluation: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The evaluator's settings that are not the registered ones."""
    chance: float | None = None
    """Its mean over random groups of the same sizes, if it compares groups."""


@dataclass(frozen=True)
class GroupColumn:
    """A metric per group: group -> mean over replicates with its 95 % t interval."""

    metric: str
    by_group: Mapping[str, Effect]
    evaluation: str


def figures(record: Record) -> Iterator[Figure]:
    """Every metric of the record for which a mean with an interval exists."""
    for key, evaluation in sorted(record.evaluations.items()):
        nulls = chance_means(evaluation.measurements)
        for name, m in evaluation.measurements.items():
            if len(m.values) > 1:
                yield Figure(
                    metric=f"{evaluation.evaluator.name}/{name}",
                    mean=mean_of([m]),
                    unit=m.unit,
                    higher_is_better=m.higher_is_better,
                    rows=m.n,
                    evaluation=key,
                    settings=unregistered(evaluation.evaluator),
                    chance=nulls.get(name),
                )


def missing(record: Record) -> Iterator[tuple[str, str]]:
    """(metric or evaluator, why) for everything requested but not measured."""
    for evaluation in record.evaluations.values():
        name = evaluation.evaluator.name
        if evaluation.status != "ok":
            yield name, f"{evaluation.status}: {evaluation.reason or 'no reason recorded'}"
        yield from ((f"{name}/{m}", why) for m, why in evaluation.missing.items())


def by_group(record: Record, arrays: Arrays) -> Iterator[GroupColumn]:
    """The arrays of the record that hold one number per replicate and group.

    Their replicates are as dependent as those of the same metric over all rows. `record` is one
    that reached its data, so it has a problem.
    """
    assert record.problem is not None
    groups = record.problem.groups
    for key, evaluation in sorted(record.evaluations.items()):
        prefix, evaluator = f"{key}/", evaluation.evaluator.name
        own = {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
        found: dict[str, dict[str, Effect]] = {}
        for name, values in own.items():
            for metric, of, column in _split(name, values, own.get("groups"), groups):
                if np.isfinite(column).all() and len(column) > 1:
                    whole = evaluation.measurements.get(metric)
                    effect = mean_of_part([column], [whole] if whole else None)
                    found.setdefault(metric, {})[of] = effect
        for metric, effects in found.items():
            yield GroupColumn(f"{evaluator}/{metric}", effects, key)


def _split(
    name: str,
    values: NDArray[np.generic],
    kept: NDArray[np.generic] | None,
    groups: Sequence[str],
) -> Iterator[tuple[str, str, NDArray[np.float64]]]:
    """(metric, group, values [R]) of an array by group; nothing for other arrays.

    Arrays by group are `group_<metric>` [R, G], `<metric>_group_<g>` [R], and, if `groups` [K]
    lists the groups kept, every real array [R, K].
    """
    one = re.fullmatch(r"(.+)_group_(\d+)", name)
    if one and values.ndim == 1 and int(one[2]) < len(groups):
        yield one[1], groups[int(one[2])], values.astype(np.float64)
    if values.ndim != 2 or values.dtype.kind != "f":
        return
    columns = list(groups) if name.startswith("group_") else None
    if columns is None and kept is not None and kept.dtype.kind in "iu":
        columns = [groups[int(g)] for g in kept]
    if columns is not None and len(columns) == values.shape[1]:
        metric = name.removeprefix("group_")
        for g, of in enumerate(columns):
            yield metric, of, values[:, g].astype(np.float64)
