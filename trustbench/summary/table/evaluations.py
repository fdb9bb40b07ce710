"""Which evaluation of an evaluator is read, and which of its settings are not registered.

Registered settings are the defaults of the evaluator. An evaluation at other settings is labelled
with them wherever it is printed, and is read only if it is the only one, or if it was requested.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trustbench.errors import UserError
from trustbench.store.labels import shown
from trustbench.store.records import PluginSpec, Record
from trustbench.summary.stats.values import canonical

Specs = Mapping[str, PluginSpec]
"""Evaluation id -> the evaluator with its settings."""


@dataclass(frozen=True)
class EvaluationChoice:
    """The evaluations chosen for reading."""

    ids: Mapping[str, str] = field(default_factory=dict)
    """Evaluator -> evaluation id."""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Evaluator -> its settings that are not the registered ones, if there are any."""
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Evaluator -> sentences, if it is read at such settings or was run at several."""
    others: tuple[str, ...] = ()
    """Evaluations that could be read but are not."""


def unregistered(spec: PluginSpec) -> dict[str, Any]:
    """The settings of an evaluator that are not the registered ones."""
    return {k: spec.params.get(k) for k in spec.registered}


def evaluator_label(spec: PluginSpec) -> str:
    """An evaluator with its settings that are not registered: `set_attack epsilon=0.2`."""
    return f"{spec.name} {shown(unregistered(spec))}".rstrip()


def note(spec: PluginSpec) -> str | None:
    """A sentence if an evaluator is not at its registered settings, else None."""
    if not spec.registered:
        return None
    return f"{evaluator_label(spec)} is not at its registered settings ({shown(spec.registered)})."


def choose(
    records: Sequence[Record], evaluations: Collection[str] | None = None
) -> EvaluationChoice:
    """The evaluation of each evaluator to read: the only one, or the one at registered settings.

    Of several, the newest version counts. `evaluations` are the ids to choose from (None: all).

    Raises:
        UserError: more than one evaluation of an evaluator remains.
    """
    found: dict[str, dict[str, PluginSpec]] = defaultdict(dict)
    for record in records:
        for key, evaluation in record.evaluations.items():
            if evaluations is None or key in evaluations:
                found[evaluation.evaluator.name][key] = evaluation.evaluator
    ids = {name: _only(name, specs, records[0]) for name, specs in found.items()}
    settings = {name: unregistered(found[name][key]) for name, key in ids.items()}
    notes = {name: tuple(_notes(key, found[name])) for name, key in ids.items()}
    return EvaluationChoice(
        ids=ids,
        settings={name: some for name, some in settings.items() if some},
        notes={name: some for name, some in notes.items() if some},
        others=tuple(k for name, specs in found.items() for k in specs if k != ids[name]),
    )


def registered_only(specs: Specs) -> list[str]:
    """The preferred ids among several: at registered settings, and of the newest version."""
    plain = {k: s for k, s in specs.items() if not s.registered}
    newest = max((s.version for s in plain.values()), default=0)
    return [k for k, s in plain.items() if s.version == newest]


def preferred(record: Record, read: Collection[str] = ()) -> Record:
    """The record with one evaluation of each evaluator, if one is preferred.

    That is one of the ids in `read`, else the one at registered settings.
    """
    specs: dict[str, dict[str, PluginSpec]] = defaultdict(dict)
    for key, evaluation in record.evaluations.items():
        specs[evaluation.evaluator.name][key] = evaluation.evaluator
    kept: set[str] = set()
    for same in specs.values():
        chosen = [k for k in same if k in read] or registered_only(same)
        kept |= set(chosen if len(chosen) == 1 else same)
    left = {k: e for k, e in record.evaluations.items() if k in kept}
    return record.model_copy(update={"evaluations": left})


def _only(name: str, specs: Specs, record: Record) -> str:
    left = list(specs) if len(specs) == 1 else registered_only(specs)
    if len(left) == 1:
        return left[0]
    listed = "; ".join(f"{key} {canonical(s.settings)}" for key, s in sorted(specs.items()))
    raise UserError(
        f"records of {record.arm.dataset.name}/{record.arm.model.name} hold {len(specs)} "
        f"evaluations of {name} with different settings: {listed}. Summarise one sweep "
        "(--experiment NAME), or name the evaluation to read (--evaluation ID)."
    )


def _notes(read: str, specs: Specs) -> Iterator[str]:
    said = note(specs[read])
    if said:
        yield said
    others = {k: s for k, s in sorted(specs.items()) if k != read}
    if others:
        listed = ", ".join(f"{_dated(s, specs[read])} ({k})" for k, s in others.items())
        yield (
            f"{specs[read].name} is read at its registered settings; records also hold {listed}, "
            "which --evaluation ID reads in its place."
        )


def _dated(spec: PluginSpec, read: PluginSpec) -> str:
    """The label, with the version where that is not the one that is read."""
    return evaluator_label(spec) + (
        "" if spec.version == read.version else f" version {spec.version}"
    )
