"""Every fault of a problem, and of a model's outputs, is refused in one sentence."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import make_problem
from tests.unit.arm_toys import Net, Toy, ignore
from trustbench.config.arms import Chosen
from trustbench.errors import DataError
from trustbench.execution import job

GOOD = make_problem()
N = len(GOOD.X)


def splits(**changed):
    return {"splits": {**GOOD.splits, **changed}}


def feature(**changed):
    return {"features": (replace(GOOD.features[0], **changed), *GOOD.features[1:])}


def labels(split, label):
    y = GOOD.y.copy()
    y[GOOD.splits[split]] = label
    return {"y": y}


def at(name, row, value):
    changed = getattr(GOOD, name).copy()
    changed[row] = value
    return {name: changed}


TRAIN = GOOD.splits["train"]
FAULTS = {
    "one class trains": (labels("train", 1), "every row of the train split is of class 1"),
    "one class tests": (labels("test", 0), "every row of the test split is of class 0"),
    "one class validates": (labels("validation", 0), "every row of the validation split"),
    "one class calibrates": (labels("calibration", 0), "every row of the calibration split"),
    "one class in all": ({"y": GOOD.y * 0}, "so a constant answer is always right"),
    "one class named": ({"classes": ("a",)}, "classification needs at least 2"),
    "class without training rows": (
        {"classes": ("0", "1", "2")},
        "class 2 has no row in the train split, so no model can learn it",
    ),
    "label too large": (at("y", 3, 2), "y is 2 in 1 rows, but the 2 names stand for 0 to 1"),
    "label below zero": (at("y", 3, -1), "y is -1 in 1 rows"),
    "group too large": (at("group", 3, 7), "group is 7 in 1 rows"),
    "group without training rows": (
        {"group": np.where(np.isin(np.arange(N), TRAIN), 0, GOOD.group)},
        r"group g1 \(g\) has no row in the train split",
    ),
    "no groups": ({"groups": ()}, "there are no groups"),
    "y too short": ({"y": GOOD.y[1:]}, r"y has shape \(599,\), but X has 600 rows"),
    "y a column": ({"y": GOOD.y[:, None]}, r"y has shape \(600, 1\)"),
    "group too short": ({"group": GOOD.group[1:]}, r"group has shape \(599,\)"),
    "X is flat": ({"X": GOOD.X[:, 0]}, r"X has shape \(600,\)"),
    "X in double": ({"X": GOOD.X.astype(np.float64)}, "X is float64; give float32"),
    "X of integers": ({"X": GOOD.X.astype(np.int64)}, "X is int64"),
    "y of floats": ({"y": GOOD.y.astype(np.float32)}, "y is float32; give int64"),
    "group of truths": ({"group": GOOD.group.astype(bool)}, "group is bool; give int64"),
    "NaN": (at("X", 5, np.nan), "NaN or infinite values in 1 rows .the first: row 5, column 0"),
    "infinite": (at("X", 5, np.inf), "NaN or infinite values"),
    "split absent": ({"splits": {"train": TRAIN}}, "splits are train; give train, validation"),
    "split empty": (splits(test=TRAIN[:0]), "the test split is empty"),
    "split out of range": (splits(test=np.array([N])), "names row 600, but rows are 0 to 599"),
    "split below zero": (splits(test=np.array([-1])), "names row -1"),
    "split of truths": (splits(test=np.ones(N, dtype=bool)), "split test is bool"),
    "splits overlap": (splits(test=TRAIN), "some rows are in two splits"),
    "feature twice": (feature(name="x1"), "two features are called x1"),
    "columns overlap": (feature(columns=(0, 1)), "column 1 is in features x0 and x1"),
    "column unnamed": ({"features": GOOD.features[1:]}, "no feature has column 0 of X"),
    "column too many": (feature(columns=(0, 6)), "has column 6, but X has 6 columns"),
    "bounds reversed": (feature(lower=2.0, upper=1.0), "lower=2 above upper=1; swap them"),
    "bound not finite": (feature(upper=np.inf), "upper=inf"),
    "scale below zero": (feature(scale=-1.0), "a scale of at least 0"),
    "levels too few": (feature(levels=("a", "b", "c")), "3 levels for 1 columns"),
    "class name empty": ({"classes": ("", "1")}, "give each a non-empty name"),
    "class name twice": ({"classes": ("a", "a")}, "classes name a twice"),
    "group name twice": ({"groups": ("a", "a")}, "groups name a twice"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_problem_is_refused_in_one_sentence(fault):
    changed, says = FAULTS[fault]
    with pytest.raises(DataError, match=says) as caught:
        replace(GOOD, **changed)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("dataset toy: ")


class Wide(Net):
    def build(self, problem):
        return nn.Sequential(nn.Flatten(), nn.Linear(problem.n_features, 3))


class Broken(Net):
    def build(self, problem):
        made = super().build(problem)
        with torch.no_grad():
            made[1].weight.fill_(torch.nan)
        return made


class Double(Net):
    def build(self, problem):
        return super().build(problem).double()


class Pair(Net):
    def build(self, problem):
        class Both(nn.Sequential):
            def forward(self, x):
                return super().forward(x), x

        return Both(*super().build(problem))


class Bare(Net):
    def build(self, problem):
        return nn.Flatten()


class OneClass(Toy):
    def load(self, data_dir, streams):
        return replace(GOOD, y=GOOD.y * 0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": Chosen("wide", Wide())}, "model wide: its output has shape (2, 3) for 2 rows"),
        ({"model": Chosen("broken", Broken())}, "model broken: its output is not finite"),
        ({"model": Chosen("double", Double())}, "is torch.float64, and inputs are torch.float32"),
        ({"model": Chosen("pair", Pair())}, "model pair: its forward returns a tuple"),
        ({"model": Chosen("bare", Bare())}, "model bare: it has no parameters"),
        ({"dataset": Chosen("one", OneClass())}, "every row of the train split is of class 0"),
    ],
)
def test_a_run_is_refused_before_anything_is_trained(arm, changed, says):
    outcome = job.run(replace(arm, **changed), ignore)
    assert (outcome.status, outcome.user_error) == ("refused", True)
    assert says in outcome.reason
    assert not (arm.output_dir / "fits").exists()
