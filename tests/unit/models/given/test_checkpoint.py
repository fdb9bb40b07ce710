"""A trained torch module as a given model: right numbers, or one sentence on what does not fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.unit.models import nets
from trustbench.contracts.encoding import CategoryColumn, Encoder, NumberColumn
from trustbench.contracts.given import GivenModel, ModelSource
from trustbench.contracts.given_checks import checked_probabilities
from trustbench.errors import UserError
from trustbench.models.given.opening import open_model

NETS = Path(nets.__file__)
TABLE = pd.DataFrame({"age": [30.0, 50.0, 41.0], "income": [1.0, 0.5, -2.0]})
CLASSES = ("no", "yes")


@pytest.fixture
def net():
    torch.random.fork_rng()
    return nets.Net(2, 2)


def opened(path, table=TABLE, classes=CLASSES, **options):
    options.setdefault("module", f"{NETS}:Net")
    if "order" in options:
        options["classes"] = options.pop("order")
    return open_model(ModelSource(path, classes=classes, table=table, options=options))


def saved(module, path, kind="pt"):
    file = path / f"net.{kind}"
    state = module.state_dict()
    save_file(state, file) if kind == "safetensors" else torch.save(state, file)
    return file


def softmax(module, X):
    with torch.no_grad():
        return module.eval()(torch.tensor(X, dtype=torch.float32)).softmax(-1).numpy()


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_a_checkpoint_answers_as_the_module_that_wrote_it(net, tmp_path, kind):
    model = opened(saved(net, tmp_path, kind))
    assert isinstance(model, GivenModel)
    found = checked_probabilities(model, TABLE, "net")
    assert np.allclose(found, softmax(net, TABLE.to_numpy()), atol=1e-6)
    assert model.channels == {"probabilities", "queries", "gradients", "parameters"}
    facts = model.describe()
    assert facts["kind"] == "torch Net"
    assert len(facts["digest"]) == 64
    assert facts["outputs"] == "0=no, 1=yes"
    X = torch.tensor(TABLE.to_numpy(), dtype=torch.float32).requires_grad_()
    model.module(X).sum().backward()
    assert X.grad.abs().max() > 0


def test_what_a_training_script_saves_around_the_parameters_is_looked_through(net, tmp_path):
    wrapped = nn.DataParallel(net).state_dict()
    torch.save({"epoch": 3, "model_state_dict": wrapped}, tmp_path / "a.ckpt")
    half = {k: v.half() for k, v in net.state_dict().items()}
    torch.save(half, tmp_path / "b.pth")
    wanted = softmax(net, TABLE.to_numpy())
    assert np.allclose(opened(tmp_path / "a.ckpt").predict_proba(TABLE), wanted, atol=1e-6)
    model = opened(tmp_path / "b.pth")
    assert np.allclose(model.predict_proba(TABLE), wanted, atol=1e-2)
    assert model.describe()["precision"] == "float16"


@pytest.mark.parametrize("name", ["OneLogit", "FlatLogit", "Sigmoid", "Softmax", "BatchNorm"])
def test_every_head_answers_its_own_probabilities(name, tmp_path):
    module = getattr(nets, name)(2).eval()
    model = opened(saved(module, tmp_path), module=f"{NETS}:{name}")
    with torch.no_grad():
        raw = module(torch.tensor(TABLE.to_numpy(), dtype=torch.float32))
    if name in ("Softmax", "BatchNorm"):
        wanted = raw if name == "Softmax" else raw.softmax(-1)
    else:
        p = raw.reshape(-1) if name == "Sigmoid" else raw.reshape(-1).sigmoid()
        wanted = torch.stack([1 - p, p], 1)
    found = checked_probabilities(model, TABLE, "net")
    assert np.allclose(found, wanted.numpy(), atol=1e-5)
    assert (";" in model.describe()["outputs"]) == (name not in ("BatchNorm",))


def test_the_classes_are_in_the_order_of_the_outputs(net, tmp_path):
    file = saved(net, tmp_path)
    assert opened(file, classes=("9", "10")).classes == ("9", "10")
    assert opened(file, order="yes, no").classes == ("yes", "no")


def test_raw_rows_go_through_the_encoder_of_training_or_a_function(tmp_path):
    columns = (NumberColumn("age", 40.0, 10.0), CategoryColumn("job", ("a", "b")))
    encoder = Encoder(columns)
    (tmp_path / "encoder.json").write_text(encoder.to_json())
    (tmp_path / "prepare.py").write_text(
        "def encode(rows):\n    return [[(a - 40) / 10, j == 'a', j == 'b'] "
        "for a, j in zip(rows['age'], rows['job'])]\n"
    )
    table = pd.DataFrame({"job": ["a", "b", "a"], "age": [30.0, 40.0, 60.0]})
    net = nets.Net(3, 2)
    file = saved(net, tmp_path)
    wanted = softmax(net, encoder.encode(table))
    for option in ({"encoder": "encoder.json"}, {"transform": "prepare.py:encode"}):
        given = {k: f"{tmp_path}/{v}" for k, v in option.items()}
        assert np.allclose(opened(file, table, **given).predict_proba(table), wanted, atol=1e-6)
    with pytest.raises(UserError, match="'job' holds text"):
        opened(file, table)


def test_a_module_from_python_is_copied_and_keeps_its_mode(net):
    net.train()
    model = open_model(ModelSource(net, classes=CLASSES, table=TABLE))
    assert np.allclose(model.predict_proba(TABLE), softmax(net, TABLE.to_numpy()), atol=1e-6)
    assert model.module is not net
    assert all(p.requires_grad for p in net.parameters())


def spoilt(net, tmp_path, change):
    state = net.state_dict()
    change(state)
    torch.save(state, tmp_path / "net.pt")
    return tmp_path / "net.pt"


SPOILT = {
    "missing": (lambda s: s.pop("out.bias"), "lacks out.bias of Net; name the module"),
    "renamed": (
        lambda s: s.update({"output.bias": s.pop("out.bias")}),
        "lacks out.bias of Net; it holds output.bias instead",
    ),
    "more": (lambda s: s.update(outt=torch.zeros(1)), "holds outt, which Net does not have"),
    "shape": (
        lambda s: s.update({"hidden.weight": torch.zeros(16, 2)}),
        r"hidden.weight of shape \(16, 2\), but that of Net has \(8, 2\); give the arguments",
    ),
    "other": (lambda s: s.update(note="mine"), "holds note beside tensors"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_parameters_that_do_not_fit_the_code_are_refused(net, tmp_path, case):
    change, says = SPOILT[case]
    with pytest.raises(UserError, match=says) as told:
        opened(spoilt(net, tmp_path, change))
    assert "\n" not in str(told.value)


def scripted(net, path):
    torch.jit.script(nn.Sequential(nn.Linear(2, 2))).save(str(path))


FILES = {
    "pickle": (torch.save, "holds more than tensors"),
    "torchscript": (scripted, "holds more than tensors, or is not a file of torch.save"),
    "empty": (lambda net, p: p.write_bytes(b""), "cannot be read"),
    "text": (lambda net, p: p.write_text("hello"), "holds more than tensors, or is not"),
    "list": (lambda net, p: torch.save([1], p), "holds a list in place of a state dict"),
    "nothing": (lambda net, p: torch.save({}, p), "is empty"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("case", FILES)
def test_a_file_without_plain_tensors_is_refused_and_runs_no_code(net, tmp_path, case):
    write, says = FILES[case]
    write(net, tmp_path / "net.pt")
    with pytest.raises(UserError, match=says) as told:
        opened(tmp_path / "net.pt")
    assert "\n" not in str(told.value)


OPTIONS = {
    "no code": (
        {"module": ""},
        r"name the class or the function that builds it \(--option module=",
    ),
    "unknown argument": ({"args": {"widht": 3}}, "args names widht, .* did you mean 'width'"),
    "not arguments": ({"args": "wide"}, "args is 'wide'; give keyword arguments"),
    "both": ({"encoder": "a", "transform": "b:c"}, "both encoder and transform"),
    "no encoder": ({"encoder": "nowhere.json"}, "the encoder nowhere.json does not exist"),
    "other encoder": ({"encoder": str(NETS)}, "does not describe the columns of a table"),
    "installed": ({"transform": "torch:load"}, "give a function of your own file"),
    "three": ({"module": f"{NETS}:Three"}, "shape"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_fit_are_refused(net, tmp_path, case):
    options, says = OPTIONS[case]
    with pytest.raises(UserError, match=says):
        opened(saved(net, tmp_path), **options)


def test_outputs_for_other_classes_are_refused(tmp_path):
    model = opened(saved(nets.Three(2), tmp_path), module=f"{NETS}:Three")
    with pytest.raises(UserError, match=r"its output is \(3, 3\) for 3 rows of 2 classes"):
        model.predict_proba(TABLE)
    with pytest.raises(UserError, match="has one output, but the data have 3 classes"):
        opened(
            saved(nets.OneLogit(2), tmp_path), classes=("a", "b", "c"), module=f"{NETS}:OneLogit"
        )
