"""Plugins are found by their YAML files and built from classes that may be imported."""

from types import SimpleNamespace

import pytest

from trustbench.config import plugins
from trustbench.config.plugins import build, describe, discover
from trustbench.errors import ConfigError
from trustbench.interventions.privacy.dpsgd import DPSGD

DPSGD_TARGET = "trustbench.interventions.privacy.dpsgd.DPSGD"


def _write(folder, name, text="# what it is\n"):
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_discover_sorts_by_name_and_the_first_folder_wins(tmp_path):
    mine = _write(tmp_path / "a", "model/m")
    _write(tmp_path / "b", "model/m")
    other = _write(tmp_path / "b", "model/l")
    found = discover("model", [tmp_path / "a", tmp_path / "b", tmp_path / "none"])
    assert found == {"l": other, "m": mine}
    assert list(found) == ["l", "m"]


def test_describe_skips_package_and_run_lines(tmp_path):
    text = "# @package _global_\n# run: trustbench run\n# what it is\n# more\na: 1\n"
    assert describe(_write(tmp_path, "x", text)) == "what it is"
    assert describe(_write(tmp_path, "y", "a: 1\n# late\n")) == ""


def test_build_binds_parameters_and_ignores_the_name():
    made = build("intervention", "dp", {"_target_": DPSGD_TARGET, "name": "dp", "epsilon": 8}, "k")
    assert made == DPSGD(epsilon=8.0)


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ({"epsilon": 3}, "k is .* without the `_target_` of a plugin: dp is given settings"),
        ("dpsgd", "k is 'dpsgd'; give its settings one by one: k.KEY=VALUE."),
        ({"_target_": "os.system"}, "outside of the modules that may be imported"),
        ({"_target_": "trustbenchmark.x.Y"}, "outside of the modules that may be imported"),
        ({"_target_": "trustbench.nothing.Y"}, "No module named 'trustbench.nothing'"),
        (
            {"_target_": "trustbench.interventions.privacy.dpsgd.DPSDG"},
            r"is not a class of interventions in .*; did you mean 'DPSGD'\? Available: DPSGD",
        ),
        (
            {"_target_": "trustbench.interventions.privacy.dpsgd.ClipAndNoise"},
            "is not a class of interventions in",
        ),
        ({"_target_": "trustbench.contracts.Intervention"}, "is not a class of interventions in"),
        (
            {"_target_": "trustbench.methods.conformal.release.SetRelease"},
            r"lacks `aspect` and `functions` and `thresholds`, .* add it in .*release\.py\.",
        ),
        ({"_target_": DPSGD_TARGET, "epsilon": -1}, "k.epsilon is -1"),
    ],
)
def test_what_cannot_be_built_is_one_sentence(node, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        build("intervention", "dp", node, "k")
    assert len(caught.value.problems) == 1


def test_a_class_of_another_contract_is_refused():
    with pytest.raises(ConfigError, match="is not a class of evaluators in"):
        build("evaluator", "dp", {"_target_": DPSGD_TARGET}, "k")


def test_modules_named_by_the_user_or_an_entry_point_may_be_imported(tmp_path, monkeypatch):
    (tmp_path / "my_models_7.py").write_text(
        "from dataclasses import dataclass\nfrom trustbench.contracts import Model\n"
        "@dataclass(frozen=True)\nclass Mine(Model):\n    width: int = 3\n"
        "    def build(self, problem): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {"_target_": "my_models_7.Mine", "width": 5}
    with pytest.raises(ConfigError, match=r"plugins=\[my_models_7\]"):
        build("model", "mine", node, "model")
    assert build("model", "mine", node, "model", ["my_models_7"]).width == 5
    monkeypatch.setattr(plugins, "registered", lambda: (SimpleNamespace(module="my_models_7"),))
    assert build("model", "mine", node, "model").width == 5


@pytest.mark.parametrize("kind", ["dataset", "model", "evaluator"])
def test_a_class_without_what_its_contract_asks_for_is_told_with_its_file(
    kind, tmp_path, monkeypatch
):
    contract, lacking = {
        "dataset": ("Dataset", "`load`"),
        "model": ("Model", "`build`"),
        "evaluator": ("Evaluator", "`aspect` and `measure` and `metrics`"),
    }[kind]
    path = tmp_path / f"half_a_{kind}.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        f"from trustbench.contracts import {contract}\n"
        f"@dataclass(frozen=True)\nclass Mine({contract}):\n    width: int = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        build(kind, "mine", {"_target_": f"half_a_{kind}.Mine"}, f"{kind}.mine", [path.stem])
    (problem,) = caught.value.problems
    assert problem == (
        f"{kind}.mine._target_ is 'half_a_{kind}.Mine', but that class lacks {lacking}, which its "
        f"contract requires; add it in {path}."
    )
