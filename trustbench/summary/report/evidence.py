"""One table of the report with its records and arrays."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trustbench.contracts.aspects import Aspect
from trustbench.store.records import Record
from trustbench.summary.stats.effects import Effect, Verdict
from trustbench.summary.stats.series import mean_of, mean_of_part
from trustbench.summary.table.contrasts import measurement, overlap_of, side
from trustbench.summary.table.grouping import ArmRecords, Group, group_records
from trustbench.summary.table.results import CellResult, Estimate, TableResult

Arrays = Mapping[str, NDArray[Any]]
Loader = Callable[[str], Arrays]
"""Arm id -> its stored arrays; empty without any."""
Values = NDArray[np.float64]
DRAWN = frozenset(
    ("roc_fpr", "roc_tpr", "bin_confidence", "bin_accuracy", "group_accuracy", "groups")
)
"""The arrays that charts read; the others (above all logits) are not kept in memory."""

EXAMPLES = "examples"
"""The evaluator all of whose arrays are drawn."""


@dataclass(frozen=True)
class Bench:
    """A table, the group of records behind it, and their arrays. `index` identifies it."""

    result: TableResult
    group: Group
    load: Loader
    index: int
    _kept: dict[str, Arrays] = field(default_factory=dict)

    def anchor(self, cell: CellResult) -> str:
        """The id of a cell in the page; it contains no name from the user."""
        return f"t{self.index}-{cell.source.value if cell.source else 'reseed'}-{cell.target}"

    def record_anchor(self, ident: str) -> str | None:
        """The id under which the page describes a record; None for a record that is not on it."""
        place = self._places.get(ident)
        return None if place is None else f"t{self.index}-r{place}"

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Every record of the table, in the order of its arms."""
        return tuple(arm.records[s] for arm in self.group.arms for s in sorted(arm.records))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {r.id: k for k, r in enumerate(self.records)}

    @cached_property
    def _by_id(self) -> dict[str, Record]:
        return {r.id: r for r in self.records}

    def paired(self, estimate: Estimate) -> tuple[Values, Values] | None:
        """The values of a metric on the treated side and on its reference: [n] each."""
        metric, own = estimate.metric, estimate.records
        if estimate.effect is None or metric is None or not own:
            return None
        if estimate.against is None:
            half = len(own) // 2
            return self._values(own[:half], metric), self._values(own[half:], metric)
        treated = self._values(own, metric)
        if isinstance(estimate.against, str):
            return treated, self._values(own, estimate.against)
        return treated, np.full(len(treated), float(estimate.against))

    def _values(self, records: Sequence[str], metric: str) -> Values:
        out = []
        for ident in records:
            found = measurement(self._by_id[ident], metric, self.group.evaluations, ident)
            assert not isinstance(found, Verdict)  # an effect was computed from it
            out += found.values
        return np.asarray(out, dtype=np.float64)

    def mean(self, arm: ArmRecords, metric: str) -> Effect | None:
        """A metric's mean over replicates and seeds; None with fewer than two."""
        found = side(arm, sorted(arm.records), metric, self.group.evaluations, arm.label)
        if isinstance(found, Verdict) or len(found.harm) < 2:
            return None
        return mean_of(found.found, overlap_of(arm))

    def intervals(
        self, arm: ArmRecords, evaluator: str, name: str
    ) -> tuple[Values, Values, Values] | None:
        """The mean, low and high of each column of an array [R, k] over replicates and seeds.

        Columns with a value that is not finite have none. Returns None if `array` does, or with
        fewer than two values.
        """
        seeds = self._by_seed(arm, evaluator, name)
        if seeds is None or sum(map(len, seeds)) < 2:
            return None
        wholes = side(
            arm,
            sorted(arm.records),
            f"{evaluator}/{name.removeprefix('group_')}",
            self.group.evaluations,
            arm.label,
        )
        known = None if isinstance(wholes, Verdict) else wholes.found
        overlap, columns = overlap_of(arm), range(seeds[0].shape[1])
        parts = [[np.asarray(a[:, k], dtype=np.float64) for a in seeds] for k in columns]
        return as_arrays(
            [
                mean_of_part(part, known, overlap)
                if all(np.isfinite(v).all() for v in part)
                else None
                for part in parts
            ]
        )

    def array(self, arm: ArmRecords, evaluator: str, name: str) -> NDArray[Any] | None:
        """An array of an evaluator on an arm, with the replicates of the seeds one after another.

        An array without replicates (a grid, say) is that of the first seed. Returns None if the
        evaluator did not finish on a record, or stored no such array.
        """
        found = self._by_seed(arm, evaluator, name)
        if found is None or found[0].ndim == 1:
            return None if found is None else found[0]
        return np.concatenate(found)

    def _by_seed(self, arm: ArmRecords, evaluator: str, name: str) -> list[NDArray[Any]] | None:
        """The array of each seed; None if one has none, or if their columns differ."""
        key = self.group.evaluations.get(evaluator, "")
        found = []
        for seed in sorted(arm.records):
            record = arm.records[seed]
            evaluation = record.evaluations.get(key)
            if evaluation is None or evaluation.status != "ok":
                return None
            array = self._arrays(record.id).get(f"{key}/{name}")
            if array is None:
                return None
            found.append(array)
        one_shape = found[0].ndim == 1 or len({a.shape[1:] for a in found}) == 1
        return found if one_shape else None

    def first(self, arm: ArmRecords, evaluator: str) -> tuple[Arrays, Mapping[str, Any]]:
        """(arrays by name, facts) of an evaluator on an arm's first seed; empty if it has none."""
        record, key = arm.records[min(arm.records)], self.group.evaluations.get(evaluator, "")
        evaluation = record.evaluations.get(key)
        if evaluation is None or evaluation.status != "ok":
            return {}, {}
        stored = self._arrays(record.id).items()
        own = {k.removeprefix(f"{key}/"): a for k, a in stored if k.startswith(f"{key}/")}
        return own, evaluation.facts

    def _arrays(self, ident: str) -> Arrays:
        if ident not in self._kept:
            self._kept[ident] = {k: a for k, a in self.load(ident).items() if _drawn(k)}
        return self._kept[ident]

    def fact(self, arm: ArmRecords, evaluator: str, name: str) -> Any:
        """A fact that an evaluator declared on an arm's first record; None without it."""
        record = arm.records[min(arm.records)]
        evaluation = record.evaluations.get(self.group.evaluations.get(evaluator, ""))
        return evaluation.facts.get(name) if evaluation else None

    def treated(self, regime: str) -> list[ArmRecords]:
        """The treated arms of a regime: single methods by their aspect, then combinations."""
        aspects = [a.value for a in Aspect]

        def order(arm: ArmRecords) -> tuple[int, list[int]]:
            known = [str(i.aspect) for i in arm.interventions]
            return len(known), [aspects.index(a) if a in aspects else -1 for a in known]

        return sorted((a for a in self.group.treated() if a.regime == regime), key=order)

    @property
    def regimes(self) -> list[str]:
        """The regimes that have a baseline, `tuned` first."""
        found = {a.regime for a in self.group.arms if self.group.baseline(a.regime)}
        return sorted(found, reverse=True)


def as_arrays(effects: Sequence[Effect | None]) -> tuple[Values, Values, Values]:
    """Mean, low and high of effects, [k] each; NaN without an effect."""
    rows = [(e.effect, e.low, e.high) if e else (np.nan, np.nan, np.nan) for e in effects]
    mean, low, high = np.array(rows, dtype=np.float64).T
    return mean, low, high


def benches(
    results: Sequence[TableResult],
    records: Sequence[Record],
    evaluations: Collection[str] | None,
    load: Loader,
) -> list[Bench]:
    """The tables with their records; both come in the same order."""
    groups = group_records(records, evaluations)
    return [Bench(r, g, load, k) for k, (r, g) in enumerate(zip(results, groups, strict=True))]


def _drawn(key: str) -> bool:
    name = key.rpartition("/")[2]
    shown = name in DRAWN or name.startswith(("rows_by_size_", "size_"))
    return shown or key.startswith(f"{EXAMPLES}-")
