"""What every plugin keeps, tested for free: a new one needs no line here."""

import dataclasses
import inspect

import numpy as np
import pytest
import torch

from tests.contract.conftest import (
    FOLDERS,
    OPTIONS,
    SCHEDULE,
    cheap,
    of,
    opened_by,
    plugin_modules,
)
from trustbench.api.dataset_files import EMBEDDED, list_data
from trustbench.config.arms import Chosen
from trustbench.config.plugins import describe
from trustbench.contracts import (
    CHANNELS,
    TRAINING_HOOKS,
    Batch,
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


@of("intervention")
def test_an_intervention_keeps_what_its_hooks_promise(option, problem):
    plugin = option.plugin
    reason = plugin.supports(problem, SCHEDULE)
    if reason is not None:
        assert isinstance(reason, str)
        pytest.skip(reason)
    n = len(problem.splits["train"])
    weights = plugin.weights(problem)
    if weights is not None:
        assert weights.shape == (n,)
        assert (weights >= 0).all()
        assert weights.mean() == pytest.approx(1.0)
    rule = plugin.gradient(SCHEDULE, n // 2)
    if rule is not None:
        assert rule.facts()
        assert rule.schedule.regime == SCHEDULE.regime
        assert (rule.coefficients(torch.full((2, 3), 1e6), slice(None)) <= 1).all()
    if plugin.fills("perturb"):
        _perturbed(plugin, problem)
    if plugin.fills("hidden"):
        _hidden(plugin)
    assert plugin.draws() >= 0


def _hidden(plugin):
    drawn = [plugin.hidden((4000, 5), Streams(0).torch("hidden", r)) for r in (0, 0, 1)]
    assert drawn[0].shape == (4000, 5)
    assert drawn[0].dtype == torch.float32
    assert torch.equal(drawn[0], drawn[1]), "equal generators give equal factors"
    assert not torch.equal(drawn[0], drawn[2])
    error = drawn[0].std(0).max() / 4000**0.5
    assert ((drawn[0].mean(0) - 1).abs() < 5 * error).all(), "factors have mean 1"


def _perturbed(plugin, problem):
    X, y, group = (torch.as_tensor(a[:8]).expand(2, 8, *a.shape[1:]) for a in problem.rows("train"))
    linear = torch.nn.Linear(problem.n_features, len(problem.classes))
    streams = Streams(0)

    def batch():
        return Batch(
            X=X.unsqueeze(2).clone(),
            y=y,
            group=group,
            weight=torch.ones(2, 8),
            rows=torch.arange(8).expand(2, 8),
            generators=[streams.torch("attacks", r) for r in range(2)],
        )

    given = batch()
    out = plugin.perturb(given, linear, problem)
    assert out.shape[:2] == given.X.shape[:2]
    assert out.shape[3:] == given.X.shape[3:]
    assert torch.equal(given.X, batch().X), "a hook never changes its batch in place"
    same = plugin.perturb(batch(), linear, problem)
    assert torch.equal(out, same), "equal generators give equal rows"
    flat = out.detach().flatten(3)
    assert (flat >= torch.as_tensor(problem.per_column("lower")) - 1e-5).all()
    assert (flat <= torch.as_tensor(problem.per_column("upper")) + 1e-5).all()


@of("intervention")
def test_deploying_opens_a_channel_and_leaves_the_system_as_it_was(option, system):
    if not option.plugin.fills("deploy"):
        assert option.plugin.deploy(system) is system
        return
    if option.plugin.deploys == "release":
        system = opened_by(system, "channel")
    reason = option.plugin.supports(system.problem, SCHEDULE)
    if reason is not None:
        pytest.skip(reason)
    before = channels(system), dict(system.facts)
    deployed = cheap(option.plugin).deploy(system)
    assert (channels(system), dict(system.facts)) == before
    now = zip(CHANNELS, before[0], channels(deployed), strict=True)
    changed = {c for c, old, new in now if old != new}
    assert changed, "a method that is deployed changes a channel"
    assert ("forward" in changed) == (option.plugin.deploys == "outputs")


def channels(system):
    return [dict(v) if isinstance(v := getattr(system, c), dict) else v for c in CHANNELS]


@of("model")
def test_a_model_maps_inputs_to_logits(option, problem, image_problem):
    fitting = [p for p in (problem, image_problem) if option.plugin.supports(p) is None]
    assert fitting
    for some in fitting:
        _maps(option.plugin, some)


def _maps(model, problem):
    module = model.build(problem)
    X = torch.as_tensor(problem.rows("test")[0][:5])
    logits = module(X)
    assert logits.shape == (5, len(problem.classes))
    assert torch.isfinite(logits).all()
    kinds = {type(m).__name__ for m in module.modules()}
    assert not any("BatchNorm" in k for k in kinds), (
        "DP forbids it, and the baseline has the same architecture"
    )


def _files_are_there(dataset, folder):
    state = next(iter(list_data(folder, {"it": dataset}))).state
    return state in ("present", EMBEDDED)


@of("dataset")
def test_a_dataset_describes_what_it_loads(option, shared_data):
    if not _files_are_there(option.plugin, shared_data):
        with pytest.raises(DataError, match=r"trustbench data fetch|with dataset\.path=FILE"):
            option.plugin.load(shared_data, Streams(0))
        return
    problem = option.plugin.load(shared_data, Streams(0))
    card = problem.card
    for text in (card.description, card.known_harms, card.licence, card.reference):
        assert len(text) > 2
    columns = [c for f in problem.features for c in f.columns]
    assert sorted(columns) == list(range(problem.n_features))
    # bounds, like scales, are learnt from the training pool; a test row may lie outside
    flat = problem.rows("train")[0].reshape(len(problem.splits["train"]), -1)
    assert problem.X.dtype == np.float32
    assert (flat >= problem.per_column("lower") - 1e-4).all()
    assert (flat <= problem.per_column("upper") + 1e-4).all()
    assert problem.group_name
    assert len(problem.groups) > 1


def test_the_contract_itself_fills_no_hook():
    assert not any(Intervention().fills(h) for h in HOOKS)


def test_factors_that_no_method_draws_leave_the_network_as_it_is():
    factors = Intervention().hidden((3, 4), Streams(0).torch("hidden", 0))
    assert torch.equal(factors, torch.ones(3, 4))


@pytest.mark.parametrize("contract", [Dataset, Model, Evaluator])
def test_a_contract_alone_is_no_plugin(contract):
    with pytest.raises(TypeError, match="abstract"):
        contract()
