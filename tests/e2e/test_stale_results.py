"""A user's plugin or weights file changes: what rests on it is measured again, and said so."""

import sys

import numpy as np
import pytest

from trustbench.store.records import Store

PRETRAINED = """
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
from trustbench.contracts import Model

@dataclass(frozen=True)
class Pretrained(Model):
    weights: Path

    def build(self, problem):
        layer = torch.nn.Linear(problem.n_features, len(problem.classes))
        with torch.no_grad():
            layer.weight.copy_(torch.as_tensor(np.load(self.weights)))
        return torch.nn.Sequential(layer)
"""
BRIER = """
from dataclasses import dataclass
from trustbench.contracts import Evaluator, Measured, Metric
from scoring.rules import score

@dataclass(frozen=True)
class Brier(Evaluator):
    aspect = None
    metrics = (Metric("brier", "The Brier score.", "score", "lower", 0.0, 2.0),)

    def measure(self, system):
        y = system.problem.rows("test")[1]
        p = system.split_logits("test").softmax(-1).numpy()
        return Measured((self.measurement("brier", score(p, y), len(y)),))
"""
OWN = ("pretrained", "brier", "scoring")
RULES = """
import numpy as np

def score(p, y):
    return np.square(p - np.eye(p.shape[-1])[y]).sum(-1).mean(1)
"""


@pytest.fixture
def project(outside):
    """A run of a pretrained model and an evaluator with a helper module, as a function."""
    (outside.folder / "pretrained.py").write_text(PRETRAINED)
    (outside.folder / "brier.py").write_text(BRIER)
    (outside.folder / "scoring").mkdir()
    (outside.folder / "scoring" / "rules.py").write_text(RULES)
    np.save(outside.folder / "weights.npy", np.zeros((2, 5), dtype=np.float32))
    outside.write(
        "model/pretrained",
        "# from a file\nname: pretrained\n_target_: pretrained.Pretrained\nweights: weights.npy\n",
    )
    outside.write("evaluator/brier", "# Brier\nbrier:\n  _target_: brier.Brier\n")
    outside.args = [
        *outside.args, "plugins=[outsiders,pretrained,brier]", "model=pretrained",
        "evaluator=[hits,brier]", "training.lr=0.0001", "training.epochs=1",
    ]  # fmt: skip
    yield outside
    forget()


def forget():
    """What a new process knows of the user's modules: nothing."""
    for name in [n for n in sys.modules if n.split(".")[0] in OWN]:
        del sys.modules[name]


def records(project):
    return {r.id: r for r in Store(project.outputs).records()}


def run(project, tb):
    forget()
    done = tb("run", *project.args)
    assert done.code == 0, done.err
    return done.err


@pytest.mark.slow
def test_a_changed_checkpoint_is_measured_again(project, tb):
    assert "since record" not in run(project, tb)
    (first,) = records(project)
    assert "kept " in run(project, tb)
    np.save(project.folder / "weights.npy", np.full((2, 5), 0.5, dtype=np.float32) * [[-1], [1]])
    said = run(project, tb)
    assert (
        f"plugin pretrained changed (what its `weights` holds) since record {first} was written; "
        "measured again." in said
    )
    found = records(project)
    assert len(found) == 2
    second = next(i for i in found if i != first)
    assert found[first].fit != found[second].fit
    before, after = (
        np.mean(next(e for k, e in found[i].evaluations.items() if k.startswith("hits"))
                .measurements["accuracy"].values)
        for i in (first, second)
    )  # fmt: skip
    assert after > before + 0.2
    np.save(project.folder / "weights.npy", np.zeros((2, 5), dtype=np.float32))
    assert "since record" not in run(project, tb), "the first file's record is there"
    assert len(records(project)) == 2


def test_a_changed_evaluator_is_measured_again_and_nothing_else(project, tb):
    run(project, tb)
    before = records(project)
    rules = project.folder / "scoring" / "rules.py"  # which the plugin's module imports
    rules.write_text(RULES.replace("np.square", "2 * np.square"))
    said = run(project, tb)
    after = records(project)
    assert after.keys() == before.keys(), "the arm is the same: its model does not read the helper"
    (arm,) = after
    assert (
        f"plugin brier changed (its source) since record {arm} was written; measured again." in said
    )
    old, new = (
        {k.split("-")[0]: (k, e) for k, e in found[arm].evaluations.items()}
        for found in (before, after)
    )
    assert new["hits"] == old["hits"]
    assert len(after[arm].evaluations) == 2, "the stale evaluation is replaced"
    assert new["brier"][0] != old["brier"][0]
    first, second = (found["brier"][1].measurements["brier"].values for found in (old, new))
    np.testing.assert_allclose(second, 2 * np.array(first))


def test_a_missing_checkpoint_is_one_sentence(project, tb):
    (project.folder / "weights.npy").unlink()
    forget()
    done = tb("run", *project.args)
    assert done.code == 2
    assert "model.weights is 'weights.npy', which does not exist" in done.err
    assert "Traceback" not in done.err
