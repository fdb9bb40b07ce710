"""The content of a datasheet of one data set, from stored records only."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError, did_you_mean
from trustbench.store.labels import describe, tell_apart
from trustbench.store.records import PluginSpec, ProblemSpec, Record
from trustbench.summary.cards.figures import Arrays, Figure, GroupColumn, by_group, figures, missing
from trustbench.summary.stats.values import canonical
from trustbench.summary.table.grouping import ArmRecords, in_order
from trustbench.summary.table.registry import Table
from trustbench.summary.table.results import UTILITY

MEMBERS = "members"
"""The only size that does not belong to a split: a replicate's own rows of the training pool."""


@dataclass(frozen=True)
class Used:
    """One problem made from the data set, with its records; the first one is cited."""

    problem: ProblemSpec
    records: tuple[Record, ...]

    @property
    def source(self) -> str:
        """The record that its numbers come from."""
        return self.records[0].id

    @property
    def plugins(self) -> list[PluginSpec]:
        """The settings that produced it; several if they give the same data."""
        specs = [r.arm.dataset for r in self.records]
        return list({canonical([s.version, s.params]): s for s in specs}.values())

    @property
    def seeds(self) -> list[int]:
        """The seeds of its splits."""
        return sorted({r.arm.seed for r in self.records})

    @property
    def regimes(self) -> list[str]:
        """The training regimes that used it."""
        return sorted({str(r.arm.training["regime"]) for r in self.records})

    @property
    def rows(self) -> int:
        """The total number of rows of all splits."""
        return sum(n for split, n in self.problem.sizes.items() if split != MEMBERS)


@dataclass(frozen=True)
class Baseline:
    """Measurements on the data without any method."""

    record: Record
    primary: Mapping[str, str]
    """Target -> the primary metric of its column, for fairness and utility."""
    figures: tuple[Figure, ...]
    """The figures of these metrics: one for each evaluation that has the metric."""
    missing: Mapping[str, str]
    """Metric or evaluator -> why it was not measured."""
    groups: tuple[GroupColumn, ...]
    """Measurements by group of the evaluators of these metrics."""


@dataclass(frozen=True)
class Datasheet:
    """A data set's datasheet."""

    dataset: str
    table: str
    problems: tuple[Used, ...]
    """One for each fingerprint; those of the same settings and seed are adjacent."""
    baselines: tuple[Baseline, ...]
    arms: tuple[ArmRecords, ...]
    """Every record of the data set, one entry each; the label distinguishes methods, controls last.
    """
    tasks: tuple[str, ...]
    """Tabular or image classification, if a record shows what a row is."""

    def stated(self, key: str) -> list[tuple[Any, str]]:
        """What the cards of the data say about a topic, each with its record."""
        found: dict[str, tuple[Any, str]] = {}
        for used in self.problems:
            if key in used.problem.card:
                value = used.problem.card[key]
                found.setdefault(canonical(value), (value, used.source))
        return list(found.values())

    @property
    def synthetic(self) -> bool:
        """Whether any of the data is synthetic."""
        return any(value for value, _ in self.stated("synthetic"))


def datasheet(
    records: Sequence[Record], load: Callable[[str], Arrays], table: Table, name: str | None = None
) -> Datasheet:
    """Builds the datasheet of the named data set, or of the only one.

    `load` returns the arrays of a record. Raises UserError if no record is of that data set, if
    there are several to choose from, or if no record reached its data.
    """
    dataset = _chosen(records, name)
    own = sorted((r for r in records if r.arm.dataset.name == dataset), key=_order)
    problems = _problems(own)
    if not problems:
        why = "; ".join(f"{r.id} is {r.status}" + _reason_text(r) for r in own[:3])
        raise UserError(
            f"no record of dataset {dataset!r} got as far as the data ({why}), so there is "
            "nothing to describe; run an arm on it first."
        )
    return Datasheet(
        dataset=dataset,
        table=table.name,
        problems=problems,
        baselines=tuple(_baseline(r, load(r.id), table) for r in own if _is_baseline(r)),
        arms=tuple(sorted(_arms(own), key=lambda a: a.control != "none")),
        tasks=tuple(sorted(set(_tasks(own)))),
    )


def _chosen(records: Sequence[Record], name: str | None) -> str:
    known = sorted({r.arm.dataset.name for r in records})
    if not known:
        raise UserError(
            "there is no record to write a datasheet from; run an experiment first, for example "
            "`trustbench run +experiment=dp_vs_fairness`."
        )
    if name is not None and name not in known:
        raise UserError(f"no record of dataset {name!r} is stored; {did_you_mean(name, known)}")
    if name is None and len(known) > 1:
        raise UserError(
            f"the records are of {len(known)} data sets ({', '.join(known)}); choose one with "
            "--dataset."
        )
    return known[0] if name is None else name


def _reason_text(record: Record) -> str:
    return f": {record.reason}" if record.reason else ""


def _is_baseline(record: Record) -> bool:
    bare = not record.arm.interventions and record.arm.control == "none"
    return bare and record.status == "ok" and record.problem is not None


def _order(record: Record) -> tuple[str, int, bool, str, str]:
    """Orders by settings, seed, and whether training cuts the pool; baselines come first."""
    arm = record.arm
    settings = canonical([arm.dataset.version, arm.dataset.params, arm.model.name])
    cut = arm.training.get("max_members") is not None
    return settings, arm.seed, cut, "" if _is_baseline(record) else "method", record.id


def _problems(records: Sequence[Record]) -> tuple[Used, ...]:
    found: dict[str, list[Record]] = {}
    for record in records:
        if record.problem is not None:
            found.setdefault(record.problem.fingerprint, []).append(record)
    return tuple(Used(p, tuple(same)) for same in found.values() if (p := same[0].problem))


def _baseline(record: Record, arrays: Arrays, table: Table) -> Baseline:
    assert record.problem is not None  # _is_baseline
    binary = len(record.problem.classes) == 2
    primary = {
        Aspect.FAIRNESS.value: table.columns[Aspect.FAIRNESS].on(binary).metric,
        UTILITY: table.utility.metric,
    }
    evaluators = {metric.split("/")[0] for metric in primary.values()}
    return Baseline(
        record=record,
        primary=primary,
        figures=tuple(f for f in figures(record) if f.metric in primary.values()),
        missing=dict(missing(record)),
        groups=tuple(c for c in by_group(record, arrays) if c.metric.split("/")[0] in evaluators),
    )


def _arms(records: Sequence[Record]) -> tuple[ArmRecords, ...]:
    """Each record as an arm, labelled by what the other columns of its row do not say."""
    rows = defaultdict[tuple[Any, ...], list[Record]](list)
    for r in records:
        rows[r.arm.control, r.arm.model.name, r.arm.training["regime"], r.arm.seed].append(r)
    found = []
    for (control, _, regime, seed), same in rows.items():
        described = [describe(r.arm, ("control", "regime", "seed")) for r in same]
        for record, text in zip(same, tell_apart(described), strict=True):
            methods = tuple(record.arm.interventions)
            found.append(ArmRecords(methods, control, str(regime), {seed: record}, text))
    return in_order(found)


def _tasks(records: Sequence[Record]) -> Iterator[str]:
    """What a row is: the evaluator that keeps rows stores features by name, or pictures."""
    for record in records:
        for evaluation in record.evaluations.values():
            if evaluation.evaluator.name == "examples" and evaluation.status == "ok":
                if "features" in evaluation.facts:
                    yield "tabular-classification"
                elif "pictures" in (evaluation.arrays or ()):
                    yield "image-classification"
