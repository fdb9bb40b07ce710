"""A deployed replicate -> a folder that needs neither its data nor this store."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from trustbench import __version__
from trustbench.config.arm_labels import spec_of
from trustbench.config.arms import Chosen
from trustbench.contracts import Array, Dataset, System
from trustbench.contracts.learnt import Memory
from trustbench.errors import TrustbenchError, UserError
from trustbench.execution.deploy import TWIN, deploy
from trustbench.execution.export.loading import load_system
from trustbench.execution.export.spec import (
    LEARNT,
    READER,
    SCHEMA,
    SPEC,
    THRESHOLDS,
    WEIGHTS,
    ExportSpec,
    digest,
)
from trustbench.execution.fit import Progress, fit
from trustbench.execution.plan import Plan
from trustbench.store.files import write_atomically
from trustbench.store.records import Store

PROBE = 16
"""Test rows on which the written model must answer as the deployed one does."""
SMALL = 64
"""Maximum size of learnt tensors that are also written for people."""
ROWS_HELD = "training rows"
"""The fact of a method whose learnt tensors hold rows of the training pool."""


class ExportSource(NamedTuple):
    """What is exported, in words."""

    label: str
    record: str
    trained_on: str


def write_export(
    plan: Plan, source: ExportSource, folder: Path, store: Store, progress: Progress
) -> ExportSpec:
    """Writes the plan's one model, as deployed, to a new or empty folder.

    Raises:
        UserError: the folder is not empty, noise is seeded, or a method cannot do without rows.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not an empty folder; give another one with --output.")
    memory = Memory()
    system, _ = deploy(plan, fit(plan, store, progress), store, progress, memory)
    _refuse_seeded(system)
    probe = _probe(system)
    expected = answers(system, *probe)  # some methods learn only when they are first asked
    params = fit(plan, store, progress).params
    files = {
        WEIGHTS: save({n: _plain(p[0]) for n, p in params.items()}),
        LEARNT: save(_flat(memory)),
        THRESHOLDS: _json(_small(memory)),
    }
    if plan.problem.encoder is not None:
        files[SCHEMA] = plan.problem.encoder.to_json().encode()
    spec = _spec(plan, source, system, memory, {n: digest(data) for n, data in files.items()})
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        write_atomically(folder / name, data)
    write_atomically(folder / SPEC, (spec.model_dump_json(indent=1) + "\n").encode())
    _verify(folder, plan, probe, expected)
    return spec


def answers(system: System, X: Array, group: Array) -> dict[str, Tensor]:
    """What every open channel answers for rows X [n, *shape] of the groups [n]."""
    rows = system.tensor(X)
    found = {
        "decisions": system.decide(rows, group),
        "probabilities": system.observed(system.logits(rows)),
        **{f"{score} sets": system.sets(rows, score, group) for score in system.set_predictors},
    }
    if system.explainer is not None:
        found["explanations"] = system.explain(rows)
    if system.intervals is not None:
        low, high = system.intervals(rows, 0)
        found["intervals"] = torch.stack([low, high])
    return found


def _probe(system: System) -> tuple[Array, Array]:
    X, _, group = system.problem.rows("test")
    return X[:PROBE], group[:PROBE]


def _verify(
    folder: Path, plan: Plan, probe: tuple[Array, Array], expected: Mapping[str, Tensor]
) -> None:
    """Raises TrustbenchError if the written model answers otherwise than the deployed one."""
    written = load_system(folder, plan.device.type, plugin_modules(plan)).system
    found = answers(written, *probe)
    for name, wanted in expected.items():
        if not torch.allclose(found[name].double(), wanted.double(), rtol=1e-5, atol=1e-6):
            raise TrustbenchError(
                f"the model written to {folder} gives different {name} from the measured one; do "
                "not use it, and report this."
            )


def _refuse_seeded(system: System) -> None:
    if system.facts.get("dp_noise") == "seeded":
        raise UserError(
            "the privacy noise of this arm comes from a seed, and whoever knows the seed can "
            "remove it; give --refit all, which trains with noise=system, or run the arm with "
            "noise=system first."
        )


def _spec(
    plan: Plan, source: ExportSource, system: System, memory: Memory, sha256: Mapping[str, str]
) -> ExportSpec:
    problem, arm = plan.problem, plan.arm
    plugins: list[Chosen[Any]] = [arm.model, *arm.interventions]
    return ExportSpec(
        trustbench=__version__,
        label=source.label,
        record=source.record,
        trained_on=source.trained_on,
        arm=spec_of(arm, plan.engine.name),
        targets={**{c.name: _target(c.plugin) for c in plugins}, **_raw_reader(arm.dataset)},
        model=arm.only or 0,
        salt=arm.salt,
        shape=list(problem.shape),
        classes=list(problem.classes),
        groups=list(problem.groups),
        group_name=problem.group_name,
        features=[json.loads(json.dumps(dataclasses.asdict(f))) for f in problem.features],
        encoder=None if problem.encoder is None else problem.encoder.content(),
        needs_group=any(i.needs_group == "predict" for i in plan.interventions),
        twins={name: int(name.split()[1]) for name in memory.values if _is_twin(name)},
        learnt={key: dict(value.facts) for key, value in memory.values.items()},
        facts=dict(system.facts),
        privacy=list(system.guarantees),
        rows_held={
            key.split("/")[0]: int(value.facts[ROWS_HELD] or 0)
            for key, value in memory.values.items()
            if value.facts.get(ROWS_HELD)
        },
        sha256=dict(sha256),
    )


def plugin_modules(plan: Plan) -> list[str]:
    """The modules of the arm's plugins, which were imported already."""
    chosen: list[Chosen[Any]] = [plan.arm.dataset, plan.arm.model, *plan.arm.interventions]
    return [type(c.plugin).__module__ for c in chosen]


def _raw_reader(chosen: Chosen[Dataset]) -> dict[str, str]:
    """The class of a data set that reads raw rows of its own, under READER."""
    own = type(chosen.plugin).read_raw is not Dataset.read_raw
    return {READER: _target(chosen.plugin)} if own else {}


def _target(plugin: object) -> str:
    return f"{type(plugin).__module__}.{type(plugin).__qualname__}"


def _is_twin(name: str) -> bool:
    return name.startswith(TWIN.format(""))


def _flat(memory: Memory) -> dict[str, Tensor]:
    """Every learnt tensor under `METHOD/NAME::FIELD`."""
    return {
        f"{key}::{field}": _plain(tensor)
        for key, value in memory.values.items()
        for field, tensor in value.tensors.items()
    }


def _small(memory: Memory) -> dict[str, Any]:
    """The learnt thresholds and other small tensors; secret keys are left out."""
    found: dict[str, Any] = {}
    for key, value in memory.values.items():
        small = {
            field: _numbers(tensor)
            for field, tensor in value.tensors.items()
            if tensor.numel() <= SMALL and tensor.dtype != torch.uint8 and not _is_twin(key)
        }
        if small:
            found[key] = {**small, **value.facts}
    return found


def _numbers(tensor: Tensor) -> Any:
    """Nested lists; an infinite threshold becomes null, since JSON has no infinity."""
    values = tensor.detach().cpu().double().numpy()
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().clone()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
