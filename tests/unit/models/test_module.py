"""A user's own module gives the right numbers, or one sentence that says what to change."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tests.conftest import make_problem
from tests.unit.arm_toys import ignore
from trustbench.config import fingerprints
from trustbench.config.arms import Chosen
from trustbench.config.identity import arm_id
from trustbench.config.plugins import build
from trustbench.contracts.seeding import Streams
from trustbench.errors import ConfigError
from trustbench.execution import job
from trustbench.execution.own_code import refuse_changed
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.records import Store
from trustbench.training.engine_choice import choose
from trustbench.training.engines import stack

NETS = Path(__file__).with_name("nets.py")
CPU = torch.device("cpu")


def chosen(name="Net", file=NETS, **args):
    """The model as a configuration with `model.target` and `model.args` chooses it."""
    target = f"{file}:{name}"
    node = {"_target_": "trustbench.models.module.Module", "target": target, "args": args}
    plugin = build("model", "module", node, "model")
    return Chosen("module", plugin, fingerprints.of(plugin, "model"))


def ran(arm, name, engine="auto", **args):
    """The outcome and the record of the toy arm with a module."""
    private = Chosen("dpsgd", DPSGD(epsilon=8.0, epochs=1, noise="seeded"))
    changed = {"model": chosen(name, **args), "engine": engine, "interventions": (private,)}
    outcome = job.run(dataclasses.replace(arm, **changed), ignore)
    return outcome, outcome.arm_id and Store(arm.output_dir).read(outcome.arm_id)


REFUSED = {
    "FunctionalDropout": "draws random numbers in training that do not come from a named stream",
    "AlwaysDropout": "draws random numbers in evaluation mode",
    "BatchNorm": "layer 'norm' (BatchNorm1d) is a BatchNorm, .* replace it with GroupNorm",
    "Centred": "couples the examples of a batch",
    "Softmax": "forward ends in a softmax, .* return the logits before it",
    "Three": "output has shape (2, 3) for 2 rows .* let its last layer have 2 outputs",
    "Tuple": "forward returns a tuple; return one tensor of logits",
    "Double": "hidden.weight is torch.float64, .* single precision (module.float())",
    "DoubleOutput": "output is torch.float64; return logits in torch.float32",
    "InPlaceInput": "changes its inputs in place, .* x = x.clone()",
    "NoParameters": "has no parameters, so there is nothing to train",
    "Unused": "spare.weight takes no part in the logits, .* freeze it",
    "Rounded": "gradient of its logits with respect to the inputs is zero, .* rounding",
    "Detached": "gradient of its logits with respect to the inputs is missing",
    "NumpyStart": "built twice from one random stream .* not with numpy or random",
    "OtherShape": "forward fails on a batch of shape (2, 6) .* Expected 3D",
    "Broken": "Broken(n_features=6) fails: no licence.",
    "not_a_module": "not_a_module returns int objects; return a torch.nn.Module",
    "needy": "model.args lacks width, which needy requires; give 'model.args={width: ...}'",
}


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
@pytest.mark.parametrize("name", REFUSED)
def test_a_module_that_cannot_be_trained_is_refused_in_one_sentence(arm, name, engine):
    outcome, _ = ran(arm, name, engine)
    assert outcome.status == "refused"
    assert outcome.reason.count("\n") == 0
    for part in REFUSED[name].split(" .* "):
        assert part in outcome.reason
    assert not (arm.output_dir / "fits").exists(), "nothing was trained"


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
@pytest.mark.parametrize(
    "name", ["Net", "Dropout", "OneLogit", "FlatLogit", "Sigmoid", "InPlace", "Lazy", "factory"]
)
def test_a_module_is_trained_privately_and_measured(arm, name, engine):
    outcome, record = ran(arm, name, engine)
    assert outcome.status == "ok", outcome.reason
    assert record.facts["engine"] == engine
    (accuracy,) = (m for e in record.evaluations.values() for m in e.measurements.values())
    assert accuracy.values
    adapted = record.facts.get("model_adapted", "")
    assert ("Logit" in name or name == "Sigmoid") == bool(adapted)
    assert ("clipped" in adapted) == (name == "Sigmoid")


@pytest.mark.parametrize(
    ("name", "taken", "refused", "says"),
    [
        ("Branch", "opacus", "stacked", "data-dependent control flow"),
        ("Borrowed", "stacked", "opacus", "sees only some uses of parameter hidden.weight"),
    ],
)
def test_a_module_goes_to_the_engine_that_can_train_it(problem, name, taken, refused, says):
    with Streams(0).global_torch("initialisation"):
        module = chosen(name).plugin.build(problem)
    assert choose("auto", module, problem, CPU, tried=True).name == taken
    assert choose(taken, module, problem, CPU, tried=True).name == taken
    with pytest.raises(ConfigError, match=f"the {refused} engine .* choose engine={taken}") as told:
        choose(refused, module, problem, CPU, tried=True)
    assert says in str(told.value)


@pytest.mark.parametrize("name", ["OneLogit", "FlatLogit", "Sigmoid"])
@pytest.mark.parametrize("engine", ["stacked", "opacus"])
def test_one_logit_has_the_loss_and_gradient_of_binary_cross_entropy(problem, name, engine):
    with Streams(0).global_torch("initialisation"):
        module = chosen(name).plugin.build(problem)
    with Streams(0).global_torch("initialisation"):
        plain = chosen("OneLogit").plugin.build(problem)
    plain._forward_hooks.clear()
    X, y = torch.as_tensor(problem.X[:9]), torch.as_tensor(problem.y[:9])
    made = choose(engine, module, problem, CPU, tried=True)
    found = made.gradient(
        stack([module]), X[None, :, None],
        lambda logits, _: cross_entropy(logits[0, :, 0], y, reduction="none")[None],
    )  # fmt: skip
    loss = binary_cross_entropy_with_logits(plain(X)[:, 0], y.float(), reduction="none")
    loss.sum().backward()
    assert torch.allclose(found.loss[0], loss, atol=1e-5)
    for parameter, value in plain.named_parameters():
        assert torch.allclose(found.total[parameter][0], value.grad, atol=1e-4)


def test_one_output_for_three_classes_is_refused():
    with pytest.raises(ConfigError, match=r"one output, but the data have 3 classes; .* 3 outputs"):
        chosen("OneLogit").plugin.build(make_problem(classes=3))


def test_the_data_fill_in_what_the_signature_names_and_args_the_rest():
    problem = make_problem(classes=3)
    net = chosen("Net", width=5).plugin.build(problem)
    assert (net.hidden.in_features, net.hidden.out_features, net.out.out_features) == (6, 5, 3)
    assert len(chosen("factory", depth=3).plugin.build(problem)) == 9
    with pytest.raises(ConfigError, match=r"model.args names widht, .* did you mean 'width'"):
        chosen("Net", widht=5).plugin.build(problem)


SAID = {
    None: "model.target is null; it should be the class or function that builds your module",
    "Net": "is 'Net'; give a class or a function as my.net:Net or path/to/net.py:Net",
    f"{NETS}:Nett": "has no Nett; did you mean 'Net'",
    f"{NETS}:instance": "which is an instance; give a class",
    "nowhere/net.py:Net": "nowhere/net.py, which does not exist",
    "no_such_module_7:Net": "importing no_such_module_7 fails: No module named",
    "os:system": "which is a builtin",
    "subprocess:call": "a function of an installed package that does not declare",
    "torch:load": "a function of an installed package that does not declare",
    "subprocess:Popen": "which is a class of another kind",
}


@pytest.mark.parametrize("target", SAID)
def test_a_target_that_names_no_module_is_refused(target):
    node = {"_target_": "trustbench.models.module.Module", "target": target}
    with pytest.raises(ConfigError) as told:
        fingerprints.of(build("model", "module", node, "model"), "model")
    assert SAID[target] in str(told.value)
    assert "\n" not in str(told.value)


def test_a_function_of_a_package_that_declares_a_module_is_taken():
    node = {"_target_": "trustbench.models.module.Module", "target": "torchvision.models:resnet18"}
    plugin = build("model", "module", node, "model")
    ((name, mark),) = fingerprints.of(plugin, "model")
    assert name == "source"
    assert mark.startswith("torchvision ")


@pytest.fixture
def project(tmp_path):
    """A folder with a module that imports another one beside it."""
    path, before = list(sys.path), set(sys.modules)
    (tmp_path / "widths_7.py").write_text("WIDTH = 4\n")
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\nimport widths_7\n\n"
        "def net(n_features, n_classes):\n"
        "    return nn.Sequential(nn.Linear(n_features, widths_7.WIDTH), nn.Tanh(), "
        "nn.Linear(widths_7.WIDTH, n_classes))\n"
    )
    yield tmp_path / "net.py"
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("changed", ["net.py", "widths_7.py"])
def test_a_changed_file_is_another_arm(arm, project, changed):
    def now():
        model = chosen("net", project)
        return dataclasses.replace(arm, model=model)

    before = now()
    assert arm_id(now(), "data", "stacked") == arm_id(before, "data", "stacked")
    file = project.with_name(changed)
    file.write_text(file.read_text() + "# another\n")
    if changed != project.name:  # as in the next process: this one keeps what it imported
        assert arm_id(now(), "data", "stacked") == arm_id(before, "data", "stacked")
        project.write_text(project.read_text() + "\n")
        del sys.modules["widths_7"]
    after = now()
    assert arm_id(after, "data", "stacked") != arm_id(before, "data", "stacked")
    refuse_changed(after)
    with pytest.raises(ConfigError, match="model: its source has changed since this arm was comp"):
        refuse_changed(before)
