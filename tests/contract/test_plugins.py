"""What every plugin keeps, tested for free: a new one needs no line here."""

import dataclasses
import inspect

import pytest
import torch

from tests.contract.conftest import FOLDERS, OPTIONS, of, plugin_modules
from trustbench.api.checks.check import check_plugin
from trustbench.api.dataset_files import EMBEDDED, list_data
from trustbench.config.arms import Chosen
from trustbench.config.plugins import describe
from trustbench.contracts import (
    TRAINING_HOOKS,
    Dataset,
    Evaluator,
    Intervention,
    Model,
)
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import Streams
from trustbench.errors import DataError

IDS = [f"{o.kind}/{o.name}" for o in OPTIONS]
HOOKS = {*TRAINING_HOOKS, "deploy"}


@pytest.mark.parametrize("kind", FOLDERS)
def test_every_module_has_a_yaml_file_and_every_file_a_module(kind):
    files = {o.name for o in OPTIONS if o.kind == kind}
    own = {o.name for o in OPTIONS if o.kind == kind and o.canonical}
    modules = set(plugin_modules(kind))
    assert modules - files == set(), "add a YAML file of the module's stem"
    assert own == modules
    variants = {o.module.rsplit(".", 1)[-1] for o in OPTIONS if o.kind == kind}
    assert variants <= modules


@pytest.mark.parametrize("option", OPTIONS, ids=IDS)
def test_the_yaml_file_spells_every_field_and_its_default(option):
    given = {k: v for k, v in option.node.items() if k not in ("_target_", "name")}
    fields = {f.name: f for f in dataclasses.fields(option.plugin)}
    assert set(given) == set(fields), f"{option.path} spells every field"
    if option.kind in ("dataset", "model"):
        assert option.node["name"] == option.name
    if not option.canonical:
        return
    for name, field in fields.items():
        if field.default is not dataclasses.MISSING:
            value = getattr(option.plugin, name)
            assert value == field.default, f"{option.path}: {name} is not the class's default"


@pytest.mark.parametrize("option", OPTIONS, ids=IDS)
def test_a_plugin_says_what_it_is(option):
    cls = type(option.plugin)
    assert cls.__dataclass_params__.frozen
    assert describe(option.path), "the YAML file starts with a comment line"
    assert inspect.getdoc(cls)
    assert not inspect.getdoc(cls).startswith(f"{cls.__name__}("), "dataclass's own does not count"
    assert isinstance(option.plugin.version, int)
    assert option.plugin.version >= 1
    if option.kind in ("intervention", "evaluator"):
        assert len(option.plugin.reference) > 10
        assert option.plugin.aspect is None or option.plugin.aspect in Aspect
    spec = Chosen(option.name, option.plugin).spec()
    assert spec.name == option.name
    assert spec.model_dump_json()


@of("intervention")
def test_an_intervention_fills_hooks_and_says_whether_it_retrains(option):
    plugin = option.plugin
    filled = {h for h in HOOKS if plugin.fills(h)}
    assert filled
    assert plugin.exclusive <= HOOKS
    assert plugin.retrains == bool(filled - {"deploy"})
    assert plugin.aspect is not None
    assert plugin.needs_group in ("train", "predict", "never")
    assert set(plugin.dose) <= {f.name for f in dataclasses.fields(plugin)}
    assert not any(hasattr(plugin, name) for name in ("measure", "train"))


@of("model", "intervention")
def test_a_plugin_keeps_what_its_methods_promise(option):
    assert [f.problem for f in check_plugin(option.plugin) if f.problem] == []


def _files_are_there(dataset, folder):
    state = next(iter(list_data(folder, {"it": dataset}))).state
    return state in ("present", EMBEDDED)


@of("dataset")
def test_a_dataset_describes_what_it_loads(option, shared_data):
    if not _files_are_there(option.plugin, shared_data):
        with pytest.raises(DataError, match=r"trustbench data fetch|with dataset\.path=FILE"):
            option.plugin.load(shared_data, Streams(0))
        return
    assert [f.problem for f in check_plugin(option.plugin, shared_data) if f.problem] == []


def test_the_contract_itself_fills_no_hook():
    assert not any(Intervention().fills(h) for h in HOOKS)


def test_factors_that_no_method_draws_leave_the_network_as_it_is():
    factors = Intervention().hidden((3, 4), Streams(0).torch("hidden", 0))
    assert torch.equal(factors, torch.ones(3, 4))


@pytest.mark.parametrize("contract", [Dataset, Model, Evaluator])
def test_a_contract_alone_is_no_plugin(contract):
    with pytest.raises(TypeError, match="abstract"):
        contract()
