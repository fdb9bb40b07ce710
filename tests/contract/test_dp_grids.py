"""What private training was tuned over: declared, measured on a page, and never covered."""

import importlib.util
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from tests.contract.conftest import options
from trustbench.config.compose import compose, composed_arm
from trustbench.execution import plan as planning
from trustbench.methods.privacy.ledger import TUNING
from trustbench.store.records import Store

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "results" / "dp-defaults.md").read_text(encoding="utf-8")
TUNED = ("lr", "max_grad_norm")
CLIPPED = {
    o.name: o.plugin
    for o in options("intervention")
    if o.canonical and all(hasattr(o.plugin, field) for field in TUNED)
}
GRIDS = {name: plugin for name, plugin in CLIPPED.items() if plugin.grid}


def claims(*overrides):
    """The privacy claims of an arm on digits."""
    return planning.plan(composed_arm(compose(["device=cpu", *overrides]))).guarantees


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location(
        "dp_grid", ROOT / "scripts" / "studies" / "dp_grid.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", CLIPPED)
def test_whoever_claims_epsilon_says_what_was_tried_for_its_defaults(name):
    plugin = CLIPPED[name]
    claimed = any(g.epsilon for g in claims(f"intervention={name}"))
    if not claimed:  # an ablation of dpsgd, with its values
        assert [getattr(plugin, f) for f in TUNED] == [getattr(CLIPPED["dpsgd"], f) for f in TUNED]
        return
    assert set(plugin.grid) == set(TUNED)
    for field, values in plugin.grid.items():
        assert getattr(plugin, field) in values
        assert len(set(values)) == len(values) >= 3


@pytest.mark.parametrize("name", GRIDS)
def test_the_page_has_every_point_with_the_default_in_bold(name):
    plugin = GRIDS[name]
    text = PAGE.partition(f"## {name}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\*{0,2})([\d.]+)\*{0,2} \| \*{0,2}([\d.]+)\*{0,2} \|", text, re.M)
    points = list(itertools.product(*plugin.grid.values()))
    assert [(float(lr), float(clip)) for _, lr, clip in rows] == points
    bold = [(float(lr), float(clip)) for mark, lr, clip in rows if mark]
    assert bold == [tuple(getattr(plugin, f) for f in plugin.grid)]
    assert "is clearly better" not in text, "the default should give way"


@pytest.mark.parametrize("name", GRIDS)
def test_a_rate_that_a_user_tries_is_not_covered_by_the_claim(name):
    for lr in (0.3, 0.7):
        for claim in claims(f"intervention={name}", f"intervention.{name}.lr={lr}"):
            assert TUNING in claim.not_covered
            assert TUNING in claim.line()


def test_the_script_measures_validation_accuracy_at_every_point(script, tmp_path, monkeypatch):
    plugin = GRIDS["dpsgd"]
    monkeypatch.setattr(script, "SETTINGS", {"digits": ("dataset=digits",)})
    grid = {"lr": (0.01, 1.0), "max_grad_norm": (1.0,)}
    monkeypatch.setattr(type(plugin), "grid", grid)
    common = ["device=cpu", "protocol.replicates=2", f"output_dir={tmp_path}"]
    tried = script.measured("dpsgd", plugin, common, Store(tmp_path))
    assert (tried.best, tried.default) == ((1.0, 1.0), (1.0, 1.0))
    assert tried.mean((1.0, 1.0)) > tried.mean((0.01, 1.0)) + 0.2
    text = script.filled("head\n" + script.START + "\nold\n" + script.END + "\ntail", [tried])
    assert "old" not in text
    assert text.startswith("head\n")
    assert text.endswith("\ntail")
    assert "The default is the best point." in text


def test_a_default_gives_way_to_what_is_clearly_better_only(script):
    noise = np.array([0.0, 0.01, -0.01, 0.005])
    for gain, clear in ((0.05, True), (0.01, False)):
        accuracy = {(1.0,): {"a": 0.8 + noise}, (2.0,): {"a": 0.8 + gain - noise / 2}}
        tried = script.Tried("toy", ("lr",), (1.0,), accuracy)
        assert tried.best == (2.0,)
        assert tried.clearly_worse == clear
