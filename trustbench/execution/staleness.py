"""Finds and names stored results of a plugin that has changed since."""

from collections.abc import Iterable, Mapping
from typing import Any

from trustbench.config.arms import Arm, Chosen
from trustbench.config.fingerprints import SOURCE
from trustbench.contracts import Evaluator
from trustbench.store.records import ArmSpec, Evaluation, PluginSpec, Record


def marked(arm: Arm) -> bool:
    """Whether a part of the arm's identity has a fingerprint: its record may be stale."""
    parts: list[Chosen[Any]] = [arm.dataset, arm.model, *arm.interventions]
    return any(chosen.marks for chosen in parts)


def stale_arm(spec: ArmSpec, records: Iterable[Record]) -> str | None:
    """Why an arm is measured again, if an existing record differs only in fingerprints."""
    wanted = _bare(spec)
    for record in records:
        if record.evaluations and _bare(record.arm) == wanted:
            changed = [
                _changed(old, new)
                for old, new in zip(_plugins(record.arm), _plugins(spec), strict=True)
                if old.fingerprints != new.fingerprints
            ]
            if changed:
                what = ", ".join(changed)
                return f"{what} since record {record.id} was written; measured again."
    return None


def stale_evaluations(
    known: Mapping[str, Evaluation], missing: Mapping[str, Chosen[Evaluator]], record: str
) -> list[tuple[str, str]]:
    """(evaluation id, why) for a record's evaluators that have changed since."""
    found = []
    for new in (chosen.spec() for chosen in missing.values()):
        for key, old in known.items():
            if _same(old, new) and old.evaluator.fingerprints != new.fingerprints:
                what = _changed(old.evaluator, new)
                found.append((key, f"{what} since record {record} was written; measured again."))
    return found


def _same(found: Evaluation, new: PluginSpec) -> bool:
    bare: dict[str, Any] = {"fingerprints": {}, "registered": {}}
    old = found.evaluator.model_copy(update=bare).model_dump_json()
    return old == new.model_copy(update=bare).model_dump_json()


def _changed(old: PluginSpec, new: PluginSpec) -> str:
    """What has changed in a plugin, as the beginning of a sentence."""
    names = sorted({*old.fingerprints, *new.fingerprints})
    differing = [n for n in names if old.fingerprints.get(n) != new.fingerprints.get(n)]
    parts = ["its source" if n == SOURCE else f"what its `{n}` holds" for n in differing]
    return f"plugin {new.name} changed ({' and '.join(parts)})"


def _plugins(arm: ArmSpec) -> list[PluginSpec]:
    return [arm.dataset, arm.model, *sorted(arm.interventions, key=lambda i: i.name)]


def _bare(arm: ArmSpec) -> str:
    """The arm without fingerprints, equal for all arms of one configuration."""
    plugins = [p.model_copy(update={"fingerprints": {}}) for p in _plugins(arm)]
    dataset, model, *interventions = plugins
    update = {"dataset": dataset, "model": model, "interventions": interventions}
    return arm.model_copy(update=update).model_dump_json()
