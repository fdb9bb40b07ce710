"""The arms that retrain a module with methods, and the overrides that describe them."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from trustbench.api.retraining import Retraining, arms_of
from trustbench.config.compose import conf_dirs
from trustbench.errors import UserError

CONTROLS = {"baseline", "reseed", "memorising", "memorising_reseed"}


def asked(*methods, **fields):
    data = Path("a b's.csv")
    return Retraining("net.py:Net", methods, data, "y", **{"sensitive": ("sex",), **fields})


def test_a_method_has_the_arms_that_the_full_table_has_for_it():
    found = arms_of(["dpsgd"], conf_dirs())
    own = {"dpsgd", "matched_dpsgd", "memorising_dpsgd", "memorising_matched_dpsgd"}
    assert set(found) == CONTROLS | own
    assert found["matched_dpsgd"] == ["control=matched", "intervention=dpsgd"]
    assert set(arms_of([], conf_dirs())) == CONTROLS


@pytest.mark.parametrize(("name", "retrains"), [("trades", True), ("temperature", False)])
def test_another_method_has_the_arms_of_its_kind(name, retrains):
    found = arms_of([name], conf_dirs())
    memorising = found["memorising"]
    assert found[name] == [f"intervention={name}"]
    assert found[f"memorising_{name}"] == [*memorising, f"intervention={name}"]
    assert (f"matched_{name}" in found) == retrains
    assert (f"matched_memorising_{name}" in found) == retrains


def test_an_unknown_method_is_refused_with_a_near_name():
    with pytest.raises(UserError, match="names 'dpsdg', which is not a method; did you mean 'dpsg"):
        arms_of(["dpsdg"], conf_dirs())
    with pytest.raises(UserError, match="names 'none', which is not a method"):
        arms_of(["none"], conf_dirs())


def test_every_value_survives_the_grammar_of_overrides():
    made = asked("dpsgd", favourable="it's", args={"width": 3, "names": ["a,b"]}).overrides(
        conf_dirs()
    )
    found = {o.key_or_group: o.value() for o in OverridesParser.create().parse_overrides(made)}
    plain = {k: getattr(v, "text", v) for k, v in found.items()}
    assert plain["dataset.path"] == str(Path("a b's.csv").absolute())
    assert plain["dataset.favourable"] == "it's"
    assert plain["model.target"] == "net.py:Net"
    (names,) = found["model.args"]["names"]
    assert (found["model.args"]["width"], str(getattr(names, "text", names))) == (3, "a,b")


def test_arms_that_fix_what_the_user_sets_are_left_out():
    made = asked("dpsgd", settings=("evaluator=[utility]",)).overrides(conf_dirs())
    arms = [o.split("=")[0].rsplit(".", 1)[1] for o in made if o.startswith("hydra.sweeper.arms.")]
    assert arms == ["baseline", "reseed", "dpsgd", "matched_dpsgd"]
    assert made[-1] == "evaluator=[utility]"
