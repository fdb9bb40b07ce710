"""Members of a given torch module are attacked beside trainings of the same module."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import trustbench
from trustbench.commands.cli import main
from trustbench.errors import UserError

INPUTS = ["a", "b", "c", "d"]
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, n_features, width=64):
        super().__init__(nn.Linear(n_features, width), nn.ReLU(), nn.Linear(width, 2))
"""
MEMORISE = [
    "training=memorising", "training.epochs=80", "training.lr=0.5", "training.max_members=null",
]  # fmt: skip


@pytest.fixture(scope="module")
def table():
    """Noisy labels, which only a model that remembers its rows gives back."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(400, 4)), columns=INPUTS)
    z = rows.a + rows.b + 2 * rng.normal(size=len(rows))
    part = np.repeat(["train", "test", "calibration"], [170, 170, 60])
    return rows.assign(y=np.where(z > 0, "yes", "no"), part=part)


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    file = tmp_path_factory.mktemp("net") / "net.py"
    file.write_text(NET)
    return f"{file}:Net"


@pytest.fixture(scope="module")
def net(table):
    """Trained by hand until it remembers its rows."""
    seen = table[table.part == "train"]
    X = torch.as_tensor(np.array(seen[INPUTS]), dtype=torch.float32)
    y = torch.as_tensor((seen.y == "yes").to_numpy().astype(int))
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
    step = torch.optim.Adam(made.parameters(), 0.02)
    for _ in range(100):
        step.zero_grad()
        nn.functional.cross_entropy(made(X), y).backward()
        step.step()
    return made


def attacked(net, table, code, settings=(), **keys):
    given = {
        "target": "y", "draws": 100, "evaluators": ["membership_attacks", "privacy"],
        "split_column": "part", "references": 8, "recipe": code, "settings": settings, **keys,
    }  # fmt: skip
    return trustbench.audit(net, table, **given)


def test_a_net_that_remembers_its_rows_is_found_out(net, table, code):
    found = attacked(net, table, code, MEMORISE)
    for name in ("membership_attacks/rmia_auc", "privacy/lira_auc"):
        number = found.record.metrics[name].number
        assert 0.6 < number.low < number.value, name
    assert found.record.references == {
        "recipe": code, "count": 8, "rows_of_each": 169, "pool": 340, "seed": 0,
        "training": "memorising, 80 epochs, learning rate 0.5",
    }  # fmt: skip
    assert "net.py:Net (memorising, 80 epochs, learning rate 0.5), each fitted" in str(found)


def test_a_net_that_saw_other_rows_is_not_accused(table, code):
    torch.manual_seed(0)
    fresh = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))
    found = attacked(fresh, table, code, MEMORISE, references=4).record.metrics
    number = found["membership_attacks/rmia_auc"].number
    assert number.low < 0.5 < number.high


def test_each_reference_knows_its_own_half_best_and_settings_count(net, table, code, monkeypatch):
    kept = []
    from trustbench.execution.audit import references

    made = references.References
    monkeypatch.setattr(references, "References", lambda *a: kept.append(made(*a)) or kept[-1])
    attacked(net, table, code, MEMORISE, references=4, evaluators="utility")
    attacked(net, table, code, [*MEMORISE, "training.epochs=1"], references=4, evaluators="utility")
    rows = table[table.part != "calibration"]
    y = (rows.sort_values("part", ascending=False, kind="stable").y == "yes").to_numpy().astype(int)
    gaps = []
    for found in kept:
        own = found.pool[:, np.arange(len(y)), y]  # [K, rows]
        gaps.append([p[i].mean() - p[~i].mean() for p, i in zip(own, found.inside, strict=True)])
        assert np.allclose(found.pool.sum(-1), 1)
    assert min(gaps[0]) > 0.15, "a model that memorises answers the rows of its half better"
    assert max(np.abs(gaps[1])) < 0.1, "and not after one epoch"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"settings": ["dataset=adult"]}, "does not take dataset=adult; give settings of train"),
        ({"settings": ["training.lr=auto"]}, r"give the model's own, as in --set training\.lr="),
        ({"settings": ["training.epoch=3"]}, r"epochs"),
        ({"settings": ["training.max_members=50"]}, r"training\.max_members=null"),
        ({"references": 5}, "give an even number from 4"),
        ({"recipe": None, "settings": ["training.epochs=3"]}, "give a recipe as well"),
        ({"recipe": nn.Linear}, "name a module as text, such as 'net.py:Net'"),
        (
            {"recipe": lambda X, y: X, "settings": ["training.epochs=3"]},
            "the recipe is a function that trains by itself",
        ),
    ],
)
def test_what_a_module_recipe_cannot_do_is_one_sentence(net, table, code, keys, said):
    with pytest.raises(UserError, match=said) as error:
        attacked(net, table, code, **keys)
    assert "\n" not in str(error.value)


def test_the_command_trains_the_module_of_a_checkpoint(tmp_path, net, table, code):
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    table.to_csv(tmp_path / "all.csv", index=False)
    args = [
        "audit", "--model", str(tmp_path / "net.safetensors"), "--module", code,
        "--data", str(tmp_path / "all.csv"), "--target", "y", "--split-column", "part",
        "--draws", "100", "--evaluator", "membership_attacks", "--recipe", code,
        "--references", "4", "--format", "json", "--output", str(tmp_path / "a.json"),
        *(word for setting in MEMORISE for word in ("--set", setting)),
        "--output-dir", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main(args) == 0
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["references"]["training"].startswith("memorising, 80 epochs")
    assert record["metrics"]["membership_attacks/rmia_auc"]["number"]["value"] > 0.6
