"""Which records may be compared: arms over seeds, and groups of arms that make one table.

A group shares the dataset, the model, the protocol and one training configuration per regime.
Within it an arm is a list of interventions in a regime under a control, with one record per seed.
"""

import itertools
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from trustbench.errors import UserError
from trustbench.store.labels import Described, label, settings_of, show, tell_apart
from trustbench.store.records import PluginSpec, Record, Scalar
from trustbench.summary.stats.nulls import Side
from trustbench.summary.stats.values import canonical
from trustbench.summary.table import pilots
from trustbench.summary.table.evaluations import choose

Key = str


@dataclass(frozen=True)
class ArmRecords:
    """One arm: its record for each seed. `label` tells it from all others, but for its regime."""

    interventions: tuple[PluginSpec, ...]
    control: str
    regime: str
    records: Mapping[int, Record]
    label: str = "none"
    sides: dict[Hashable, Side] = field(default_factory=dict, compare=False, repr=False)
    """The metrics that have been read so far: every arm is compared with the same baseline."""

    @cached_property
    def key(self) -> Key:
        """The identity of the interventions."""
        return interventions_key(self.interventions)

    @property
    def dose(self) -> dict[str, Scalar]:
        """The dose fields of every intervention; prefixed with its name if there are several."""
        if len(self.interventions) == 1:
            return dict(self.interventions[0].dose)
        return {f"{i.name}.{k}": v for i in self.interventions for k, v in i.dose.items()}

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The record ids, by seed."""
        return tuple(self.records[s].id for s in sorted(self.records))

    def facts(self) -> dict[str, Scalar]:
        """The facts of the first seed's record."""
        return dict(self.first.facts)

    @property
    def first(self) -> Record:
        """The first seed's record."""
        return self.records[min(self.records)]


@dataclass(frozen=True)
class Group:
    """The arms of one table. `variant` distinguishes it from other tables of the same names."""

    dataset: PluginSpec
    model: PluginSpec
    protocol: Mapping[str, Any]
    training: Mapping[str, Mapping[str, Any]]
    """The training of each regime."""
    arms: tuple[ArmRecords, ...]
    evaluations: Mapping[str, str]
    """Evaluator -> the evaluation id that is read."""
    notes: tuple[str, ...] = ()
    variant: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Evaluator -> its settings that are not the registered ones, if there are any."""
    settings_notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Evaluator -> the notes about its settings."""
    others: tuple[str, ...] = ()
    """Evaluations of these records that could be read but are not."""

    def find(self, regime: str, key: Key, control: str) -> ArmRecords | None:
        """The arm of these interventions, or None."""
        return self._by_identity.get((regime, key, control))

    @cached_property
    def _by_identity(self) -> Mapping[tuple[str, Key, str], ArmRecords]:
        """Built once: a table of a thousand arms looks arms up a hundred thousand times."""
        return {(a.regime, a.key, a.control): a for a in reversed(self.arms)}

    def baseline(self, regime: str) -> ArmRecords | None:
        """The arm without interventions, or None."""
        return self.find(regime, BASELINE, "none")

    def reseed(self, regime: str) -> ArmRecords | None:
        """The baseline with other seeds, or None."""
        return self.find(regime, BASELINE, "reseed")

    def matched(self, arm: ArmRecords) -> ArmRecords | None:
        """The baseline stopped at this arm's accuracy, or None."""
        return self.find(arm.regime, arm.key, "matched")

    def treated(self) -> list[ArmRecords]:
        """Every arm with an intervention that is not a control."""
        return [a for a in self.arms if a.interventions and a.control == "none"]

    def alone(self, intervention: str) -> list[ArmRecords]:
        """The arms with this intervention and no other, at any dose, in any regime."""
        return [a for a in self.treated() if [i.name for i in a.interventions] == [intervention]]

    @cached_property
    def classes(self) -> int | None:
        """The number of classes; None if no arm reached the problem."""
        records = (r for a in self.arms for r in a.records.values())
        return next((len(r.problem.classes) for r in records if r.problem), None)


def interventions_key(interventions: Iterable[PluginSpec]) -> Key:
    """The identity of a set of interventions: names and hyper-parameters, in any order."""
    return canonical(sorted([i.name, canonical(i.params)] for i in interventions))


BASELINE = interventions_key(())
"""The key of an arm without interventions."""


def group_records(
    records: Iterable[Record], evaluations: Collection[str] | None = None
) -> list[Group]:
    """The groups among the records, sorted by dataset and model.

    If an evaluator has several settings the registered ones are read. Raises UserError if none of
    them are registered and `evaluations` does not choose one, and for two records of the same arm
    that nothing distinguishes.
    """
    benches: dict[Key, list[Record]] = defaultdict(list)
    for record in records:
        benches[_bench(record)].append(record)
    groups = []
    for bench in benches.values():
        trainings: dict[str, dict[Key, dict[str, Any]]] = defaultdict(dict)
        for record in bench:
            training = record.arm.training
            trainings[str(training["regime"])].setdefault(canonical(training), training)
        for choice in itertools.product(*(t.items() for t in trainings.values())):
            chosen = {key for key, _ in choice}
            rows = [r for r in bench if canonical(r.arm.training) in chosen]
            groups.append(_group(rows, evaluations))
    groups = _labelled(_with_variants(groups))
    return sorted(groups, key=lambda g: (g.dataset.name, g.model.name, g.variant))


def _bench(record: Record) -> Key:
    """What all records of a table share, in every regime."""
    arm = record.arm
    parts = [[p.name, p.params, p.version, p.fingerprints] for p in (arm.dataset, arm.model)]
    return canonical([*parts, arm.protocol])


def _group(records: Sequence[Record], evaluations: Collection[str] | None) -> Group:
    pilots.refuse_two_rates(records)
    cells: dict[tuple[str, Key, str], dict[int, list[Record]]] = defaultdict(dict)
    for record in records:
        arm = record.arm
        key = str(arm.training["regime"]), interventions_key(arm.interventions), arm.control
        cells[key].setdefault(arm.seed, []).append(record)
    notes: list[str] = []
    arms = []
    for (regime, _, control), seeds in cells.items():
        kept = {seed: _only(found, notes) for seed, found in seeds.items()}
        some = next(iter(kept.values()))
        arms.append(ArmRecords(tuple(some.arm.interventions), control, regime, kept))
    _check_same_data([r for a in arms for r in a.records.values()])
    read = choose([r for a in arms for r in a.records.values()], evaluations)
    first = records[0].arm
    return Group(
        dataset=first.dataset,
        model=first.model,
        protocol=first.protocol,
        training={str(r.arm.training["regime"]): r.arm.training for r in records},
        arms=tuple(arms),
        evaluations=read.ids,
        notes=(*notes, *pilots.notes(records), *(n for some in read.notes.values() for n in some)),
        settings=read.settings,
        settings_notes=read.notes,
        others=read.others,
    )


def _only(found: Sequence[Record], notes: list[str]) -> Record:
    """The record to read among several of one arm and seed: newest plugins, finished."""

    def rank(record: Record) -> tuple[list[tuple[str, int]], bool]:
        versions = sorted((i.name, i.version) for i in record.arm.interventions)
        return versions, record.status == "ok"

    best = max(map(rank, found))
    kept = [r for r in found if rank(r) == best]
    if len({canonical([i.fingerprints for i in r.arm.interventions]) for r in kept}) > 1:
        raise UserError(
            f"records {', '.join(sorted(r.id for r in kept))} are the same arm "
            f"({label(kept[0].arm)}) before and after a change of its plugins or their files; "
            "summarise one sweep (--experiment NAME) or delete one of them."
        )
    if len(kept) > 1:
        raise UserError(
            f"records {', '.join(sorted(r.id for r in kept))} are the same arm "
            f"({label(kept[0].arm)}) by engines {', '.join(sorted(r.arm.engine for r in kept))}; "
            "summarise one sweep (--experiment NAME) or delete one of them."
        )
    passed = sorted(r.id for r in found if r is not kept[0])
    if passed:
        notes.append(
            f"{label(kept[0].arm)}: read record {kept[0].id}, not the older or unfinished "
            f"{', '.join(passed)} of the same arm."
        )
    return kept[0]


def _check_same_data(records: Iterable[Record]) -> None:
    """Raises UserError if records of one seed and regime saw different data.

    Regimes may differ: `memorising` cuts the training pool, and no cell pairs across regimes.
    """
    prints: dict[tuple[int, str], dict[str, str]] = defaultdict(dict)
    for record in records:
        if record.problem is not None:
            key = record.arm.seed, str(record.arm.training["regime"])
            prints[key].setdefault(record.problem.fingerprint, record.id)
    for (seed, _), found in prints.items():
        if len(found) > 1:
            raise UserError(
                f"records {', '.join(sorted(found.values()))} (seed {seed}) were measured on "
                "different data under the same dataset settings, so they cannot be paired; "
                "run the sweep again on one version of the data."
            )


def _labelled(groups: Sequence[Group]) -> list[Group]:
    """The groups with the labels of their arms, which an arm keeps in all of its regimes."""
    rows: dict[tuple[str, str, str], dict[tuple[int, Key], Described]] = defaultdict(dict)
    for place, group in enumerate(groups):
        settings = _row_settings(group)
        for arm in group.arms:
            same = rows[group.dataset.name, group.model.name, arm.control]
            same[place, arm.key] = Described(arm.interventions, settings=settings)
    labels: dict[tuple[str, int, Key], str] = {}
    for (_, _, control), same in rows.items():
        texts = tell_apart(list(same.values()))
        labels |= {(control, *row): text for row, text in zip(same, texts, strict=True)}
    return [
        replace(g, arms=in_order(replace(a, label=labels[a.control, i, a.key]) for a in g.arms))
        for i, g in enumerate(groups)
    ]


def in_order(arms: Iterable[ArmRecords]) -> tuple[ArmRecords, ...]:
    """By control and regime, then by name and dose."""
    return tuple(sorted(arms, key=lambda a: (a.control, a.regime, _natural(a))))


def _natural(arm: ArmRecords) -> tuple[list[str], list[float], str]:
    """A sort key: names, then doses as numbers, then the label."""
    doses = [float(v) for v in arm.dose.values() if isinstance(v, int | float)]
    return [i.name for i in arm.interventions], doses, arm.label


def _with_variants(groups: Sequence[Group]) -> list[Group]:
    """The groups; those with the same names are distinguished by the settings that differ."""
    out = []
    for group in groups:
        names = (group.dataset.name, group.model.name)
        settings = [_settings(g) for g in groups if (g.dataset.name, g.model.name) == names]
        own = _settings(group)
        missing = object()
        differs = [k for k in own if any(s.get(k, missing) != own[k] for s in settings)]
        label = " ".join(f"{k}={show(own[k])}" for k in sorted(differs))
        out.append(replace(group, variant=label))
    return out


def _settings(group: Group) -> dict[str, Any]:
    training = {f"{r}.{k}": v for r, some in group.training.items() for k, v in some.items()}
    protocol = {f"protocol.{k}": v for k, v in group.protocol.items()}
    data, model = settings_of("dataset", group.dataset), settings_of("model", group.model)
    return {**data, **model, **protocol, **training}


def _row_settings(group: Group) -> dict[str, Any]:
    """What a group shares; what its regimes agree on is called `training`'s."""
    found = {k: v for k, v in _settings(group).items() if k.split(".")[0] not in group.training}
    for key in dict.fromkeys(k for t in group.training.values() for k in t if k != "regime"):
        values = {r: t.get(key) for r, t in group.training.items()}
        agree = len({canonical(v) for v in values.values()}) == 1
        found |= {f"{'training' if agree else r}.{key}": v for r, v in values.items()}
    return found
