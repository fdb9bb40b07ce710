"""Nothing that runs code when it is opened is opened: in the source, and with hostile files."""

import ast
import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import trustbench
from trustbench.store.records import Store

PACKAGE = Path(trustbench.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "hydra_plugins").rglob("*.py")])

MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load",
    "torch.jit.load", "np.load", "numpy.load", "yaml.load", "yaml.unsafe_load", "yaml.full_load",
    "pd.read_pickle", "pandas.read_pickle", "joblib.load", "runpy.run_path", "runpy.run_module",
    "tempfile.mktemp", "mlflow.pyfunc.load_model", "mlflow.pytorch.load_model",
}  # fmt: skip
EXTRACTS = {"extractall", "unpack_archive", "extract_archive"}
# Module -> what it opens that the others may not.
DECLARED = {
    "datasets/loading/batches.py": ["pickle"],  # reads CIFAR as arrays and calls nothing else
    "models/given/pickles.py": ["pickle", "joblib", "joblib.load"],  # only with --trust
    "models/given/state_dicts.py": ["pickle"],  # what torch raises where weights_only forbids
    "tracking/given_models.py": ["mlflow.pyfunc.load_model"],  # only with --trust
}


def name_of(node):
    """`a.b.c` of a chain of attributes."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(text):
    """Every (line, what) in source text that opens something which may run code."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found = [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found = [node.module] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            found = _called(node)
        else:
            continue
        yield from ((node.lineno, f) for f in found)


def _called(node):
    name = name_of(node.func)
    given = {k.arg: k.value for k in node.keywords}

    def says(key, value):
        return isinstance(given.get(key), ast.Constant) and given[key].value is value

    if name in ("np.load", "numpy.load") and says("allow_pickle", False):
        return []
    if name == "torch.load" and says("weights_only", True):
        return []
    if "shell" in given and not says("shell", False):
        return [f"{name}(shell=...)"]
    return [name] if name in CALLS or name.rpartition(".")[2] in EXTRACTS else []


def test_no_source_opens_what_may_run_code():
    opening = {}
    for path in SOURCES:
        where = str(path.relative_to(PACKAGE)) if PACKAGE in path.parents else path.name
        found = list(dangers(path.read_text(encoding="utf-8")))
        if [f for _, f in found] != DECLARED.get(where, []):
            opening[where] = found
    assert len(SOURCES) > 300
    assert not opening, "these open what may run code: {where: [(line, what)]}"


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "import joblib.numpy_pickle", "eval('1')",
        "torch.load(f)", "torch.load(f, weights_only=False)", "np.load(f)",
        "np.load(f, allow_pickle=True)", "yaml.load(f, Loader=yaml.Loader)", "pd.read_pickle(f)",
        "subprocess.run(c, shell=True)", "tar.extractall(d)", "os.system('x')",
        "np.load(f, allow_pickle=maybe)",
    ],
)  # fmt: skip
def test_the_scan_sees_each_danger(text):
    assert list(dangers(text))


def test_the_scan_leaves_safe_calls_alone():
    safe = "np.load(f, allow_pickle=False); torch.load(f, weights_only=True); yaml.safe_load(f)"
    assert list(dangers(safe)) == []


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def hostile(kind, marker):
    """The bytes of a file that runs code when it is opened carelessly."""
    if kind == "pickle":
        return pickle.dumps(Bomb(marker))
    buffer = io.BytesIO()
    if kind == "torch":
        import torch

        torch.save({"params": Bomb(marker)}, buffer)
    else:
        np.savez(buffer, logits=np.array([Bomb(marker)], dtype=object))
    return buffer.getvalue()


@pytest.fixture
def finished(outside, tb):
    """A finished arm's outputs, and how to run it again."""
    given = [*outside.args, "evaluator=hits", "checkpoint_s=0"]
    done = tb("run", *given)
    assert done.code == 0, done.err
    return given


PLACES = (
    "arms/*/record.json", "arms/*/arrays.npz", "fits/*/fit.json", "fits/*/params.safetensors",
    "fits/*/checkpoint.safetensors", "fits/*/checkpoint.json", "sweeps/default.json",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pickle", "torch", "npz"])
def test_hostile_files_in_a_store_run_nothing(kind, finished, outside, tb, tmp_path):
    """Each file that trustbench reads is replaced; every command that reads it is called."""
    marker, whole = tmp_path / "opened", tmp_path / "whole"
    shutil.copytree(outside.outputs, whole)
    for place in PLACES:
        shutil.rmtree(outside.outputs)
        shutil.copytree(whole, outside.outputs)
        found = list(outside.outputs.glob(place))
        if "checkpoint" in place:
            (fit,) = outside.outputs.glob("fits/*")
            (fit / "fit.json").unlink()
            other = {"safetensors": "json", "json": "safetensors"}[place.rpartition(".")[2]]
            (fit / f"checkpoint.{other}").write_text(json.dumps({"epoch": 1}))
            found = [fit / place.rpartition("/")[2]]
        for path in found or [outside.outputs / place]:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(hostile(kind, marker))
        if place.startswith("fits"):
            shutil.rmtree(outside.outputs / "arms")
        (ident,) = [p.name for p in whole.glob("arms/*")]
        for command in (["summarize"], ["report"], ["card", "--arm", ident], ["datasheet"],
                        ["plan", *finished]):  # fmt: skip
            tb(*command)
            assert not marker.exists(), (place, command)
        tb("run", *finished)
        assert not marker.exists(), place


def test_a_hostile_array_is_a_bomb_where_pickles_are_allowed(tmp_path):
    """The file above would run code in a careless reader, so not running it means something."""
    marker = tmp_path / "opened"
    np.load(io.BytesIO(hostile("npz", marker)), allow_pickle=True)["logits"]
    assert marker.exists()
    assert Store(tmp_path).arrays("none") == {}
