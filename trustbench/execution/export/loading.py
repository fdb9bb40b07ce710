"""An exported folder -> the deployed system, without data. No pickle is read."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from trustbench.config.plugins import build
from trustbench.contracts import Dataset, Intervention, Learnt, Model, System
from trustbench.contracts.learnt import Memory
from trustbench.contracts.seeding import Streams
from trustbench.errors import UserError
from trustbench.execution.deploy import averaged_by, forward_of, own
from trustbench.execution.export.rowless import NoRows, rowless
from trustbench.execution.export.spec import LEARNT, READER, WEIGHTS, ExportSpec, read_spec
from trustbench.execution.plan import in_layers, resolve_device
from trustbench.store.schema import PluginSpec
from trustbench.training.engine_choice import is_linear_chain
from trustbench.training.engines import Engine, Params
from trustbench.training.functional import FunctionalEngine
from trustbench.training.linear_chain import LinearChainEngine


class Loaded(NamedTuple):
    """The description of an export, its deployed system, its network, and who reads raw rows."""

    spec: ExportSpec
    system: System
    network: torch.nn.Module
    reader: Dataset | None


def load_system(folder: Path, device: str = "cpu", plugins: Collection[str] = ()) -> Loaded:
    """The description, the deployed system and the network of an export.

    Args:
        folder: the folder that `write_export` wrote.
        device: where tensors live, such as cpu or cuda.
        plugins: modules of your own from which classes may be imported.

    Raises:
        UserError: the folder is not an export, or one of another version.
    """
    spec = read_spec(folder)
    where = resolve_device(device)
    memory = Memory(_memory(spec, _tensors(folder / LEARNT, where)), given=True)
    weights = _tensors(folder / WEIGHTS, where)
    with torch.random.fork_rng(devices=[]):
        network = _model(spec, plugins).build(rowless(spec))
    engine = _engine(network, tuple(spec.shape), spec.arm.engine)
    params = {name: p[None] for name, p in weights.items()}
    methods = [_intervention(i, spec, plugins) for i in _ordered(spec)]
    network.load_state_dict(weights, strict=False)
    system = _system(spec, engine, params, memory, where, methods)
    return Loaded(spec, system, network.eval(), _reader(spec, plugins))


def _system(
    spec: ExportSpec,
    engine: Engine,
    params: Params,
    memory: Memory,
    device: torch.device,
    methods: Sequence[Intervention],
) -> System:
    problem = rowless(spec)
    averaged = averaged_by([i for i in methods if i.retrains], spec.arm.control)
    streams = Streams(spec.arm.seed, salt=spec.salt, first=spec.model)
    nothing: Any = NoRows()
    bare = System(
        problem=problem,
        forward=forward_of(engine, params, averaged, streams),
        replicates=1,
        device=device,
        streams=Streams(spec.arm.seed, model=spec.model),
        membership=nothing,
        calibration=nothing,
        facts=spec.facts,
        guarantees=tuple(spec.privacy),
    )
    system = replace(bare, reseeded=_twins(spec, bare, engine, averaged, memory))
    for method in in_layers(methods):
        if method.deploys == "data":
            continue  # it changes the rows of an experiment, and a model in use has its own
        system = method.deploy(replace(system, memory=own(memory, method)))
    return replace(system, reseeded=None)


def _twins(
    spec: ExportSpec,
    bare: System,
    engine: Engine,
    averaged: Intervention | None,
    memory: Memory,
) -> Callable[[int], System]:
    """The other trained copies that answer, by their number."""
    names = {k: name for name, k in spec.twins.items()}

    @cache
    def twin(k: int) -> System:
        if k not in names:
            raise UserError(f"the exported model has no trained copy {k}; export it again.")
        params = dict(memory.values[names[k]].tensors)
        streams = Streams(spec.arm.seed, salt=spec.salt + k, first=spec.model)
        return replace(bare, forward=forward_of(engine, params, averaged, streams))

    return twin


def _ordered(spec: ExportSpec) -> list[PluginSpec]:
    return sorted(spec.arm.interventions, key=lambda i: i.name)


def _intervention(chosen: PluginSpec, spec: ExportSpec, plugins: Collection[str]) -> Intervention:
    node = {**chosen.params, "_target_": spec.targets[chosen.name]}
    made = build("intervention", chosen.name, node, f"intervention.{chosen.name}", plugins)
    assert isinstance(made, Intervention)
    if made.version != chosen.version:
        raise UserError(
            f"the model was exported with version {chosen.version} of {chosen.name}, and this "
            f"trustbench has version {made.version}; export the model again."
        )
    return made


def _reader(spec: ExportSpec, plugins: Collection[str]) -> Dataset | None:
    """The data set that reads raw rows; None where columns or arrays are all there is."""
    if READER not in spec.targets:
        return None
    node = {**spec.arm.dataset.params, "_target_": spec.targets[READER]}
    made = build("dataset", spec.arm.dataset.name, node, "dataset", plugins)
    assert isinstance(made, Dataset)
    return made


def _model(spec: ExportSpec, plugins: Collection[str]) -> Model:
    chosen = spec.arm.model
    node = {**chosen.params, "_target_": spec.targets[chosen.name]}
    made = build("model", chosen.name, node, "model", plugins)
    assert isinstance(made, Model)
    return made


def _engine(module: torch.nn.Module, shape: tuple[int, ...], name: str) -> Engine:
    """The engine that the replicates were measured with, so that answers agree to the last bit."""
    if name == "opacus":
        # Opacus takes seconds to import, and most models do not need it.
        from trustbench.training.opacus_engine import OpacusEngine

        return OpacusEngine(module, shape, why="exported")
    if is_linear_chain(module):
        return LinearChainEngine(module, shape, why="exported")
    return FunctionalEngine(module, shape, why="exported")


def _memory(spec: ExportSpec, tensors: Params) -> dict[str, Learnt]:
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        key, _, field = name.rpartition("::")
        found.setdefault(key, {})[field] = tensor
    return {
        key: Learnt(found.get(key, {}), spec.learnt.get(key, {})) for key in {*found, *spec.learnt}
    }


def _tensors(path: Path, device: torch.device) -> Params:
    try:
        return {n: t.to(device) for n, t in load(path.read_bytes()).items()}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); export the model again.") from error
