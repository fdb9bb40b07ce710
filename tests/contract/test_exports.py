"""Every method can be exported: without its rows, one replicate answers as it was measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.contract.conftest import of
from tests.unit.arm_toys import ignore
from trustbench.api.checks.cheap import cheap
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.datasets.digits import Digits
from trustbench.datasets.silobank import SiloBank
from trustbench.errors import UserError
from trustbench.execution.deploy import deployed
from trustbench.execution.export.loading import load_system
from trustbench.execution.export.refit import with_system_noise
from trustbench.execution.export.writing import ExportSource, answers, write_export
from trustbench.execution.plan import plan, refuse_impossible
from trustbench.interventions.explainability.saliency import SaliencyRelease
from trustbench.models.mlp import MLP
from trustbench.store.records import Store

NOT_EXPORTED = {"scaffold": "reads rows when it answers"}
SOURCE = ExportSource("arm", "record", "in a test")
ROWS = 48
DRAWN = ("explanations", "intervals", "aps sets", "lac sets")


def arm_with(plugin, name, dataset, output):
    chosen = with_system_noise(Chosen(name, plugin))
    methods = [chosen]
    if plugin.deploys == "release":
        methods.append(Chosen("saliency", SaliencyRelease()))
    return Arm(
        dataset=Chosen("data", dataset),
        model=Chosen("mlp", MLP()),
        training=Training(regime="tuned", epochs=2, batch_size=64, lr=0.1),
        interventions=tuple(methods),
        evaluators=(),
        protocol=Protocol(replicates=2),
        output_dir=output,
        data_dir=Path("nowhere"),
    )


def planned(option, output):
    """The plan of an arm with the method, on the first data set that it takes."""
    plugin = cheap(option.plugin)
    for dataset in (SiloBank(rows=1000), Digits()):
        made = plan(arm_with(plugin, option.name, dataset, output))
        if plugin.supports(made.problem, made.schedule) is None:
            refuse_impossible(made)
            return made
    raise AssertionError(f"{option.name} takes neither data set")


@of("intervention")
def test_an_exported_replicate_answers_as_it_was_measured(option, tmp_path):
    whole, store = planned(option, tmp_path), Store(tmp_path)
    one = plan(replace(whole.arm, only=1))
    if option.name in NOT_EXPORTED:
        with pytest.raises(UserError, match=NOT_EXPORTED[option.name]):
            write_export(one, SOURCE, tmp_path / "export", store, ignore)
        return
    spec = write_export(one, SOURCE, tmp_path / "export", store, ignore)
    loaded = load_system(tmp_path / "export", plugins=[option.module])
    X, _, group = (rows[:ROWS] for rows in whole.problem.rows("test"))
    measured = answers(deployed(whole, store, ignore), X, group)
    found = answers(loaded.system, X, group)
    assert found.keys() == measured.keys()
    for name, values in measured.items():
        if "noise" in vars(option.plugin) and name in DRAWN:
            continue  # each deployment draws its own noise
        own = values[:, 1] if name == "intervals" else values[1]
        exported = found[name][:, 0] if name == "intervals" else found[name][0]
        assert torch.allclose(exported.double(), own.double(), rtol=1e-4, atol=1e-5), name
    assert spec.needs_group == (option.plugin.needs_group == "predict")


@of("intervention")
def test_an_export_holds_training_rows_only_where_it_says_so(option, tmp_path):
    if option.name in NOT_EXPORTED:
        return
    whole = planned(option, tmp_path)
    one = plan(replace(whole.arm, only=0))
    spec = write_export(one, SOURCE, tmp_path / "export", Store(tmp_path), ignore)
    rows = whole.problem.X.reshape(len(whole.problem.X), -1)
    known = {row.tobytes() for row in np.ascontiguousarray(rows)}
    memory = load_system(tmp_path / "export", plugins=[option.module]).system.memory
    held = 0
    for value in memory.values.values() if memory else ():
        for tensor in value.tensors.values():
            flat = tensor.numpy().astype(np.float32)
            if flat.ndim >= 2 and flat.shape[-1] == rows.shape[1]:
                held += sum(r.tobytes() in known for r in flat.reshape(-1, rows.shape[1]))
    assert held == sum(spec.rows_held.values())
