"""Lists of arms, factors and pools as overrides."""

import pytest

from trustbench.config.sweep_arms import (
    named_arms,
    redrawn,
    refuse_contradictions,
    subsets,
    together,
)
from trustbench.errors import ConfigError


def test_subsets_are_sorted_and_each_once():
    assert subsets(["b", "a", "b"]) == {
        "baseline": [],
        "a": ["intervention=[a]"],
        "b": ["intervention=[b]"],
        "a+b": ["intervention=[a,b]"],
    }
    assert len(subsets(list("abcd"))) == 16


@pytest.mark.parametrize("factors", ["dpsgd", [1], [["dpsgd"]], [None]])
def test_malformed_factors_are_refused(factors):
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.factors is .* give a list of interv"):
        subsets(factors)


def test_pools_keep_every_other_override_of_an_arm():
    own = ["intervention=[a,b]", "control=reseed"]
    jobs = redrawn("x", own, seed=4, pools=2)
    assert jobs == {"x seed=4": [*own, "seed=4"], "x seed=5": [*own, "seed=5"]}
    assert redrawn("x", [*own, "seed=9"], seed=4, pools=1) == {"x": [*own, "seed=9"]}
    assert own == ["intervention=[a,b]", "control=reseed"]
    with pytest.raises(ConfigError, match="arm 'x' gives a seed"):
        redrawn("x", ["seed=9"], seed=4, pools=2)


@pytest.mark.parametrize(
    ("arms", "sentence"),
    [
        ({"a": "seed=1"}, "hydra.sweeper.arms.a is 'seed=1'; give a list of overrides"),
        ({"a": {"seed": 1}}, "give a list of overrides"),
        ({"a": [1]}, "give a list of overrides"),
        ({"a": None}, "give a list of overrides"),
    ],
)
def test_malformed_arms_are_refused(arms, sentence):
    with pytest.raises(ConfigError, match=sentence):
        named_arms(arms)


def test_an_arm_and_the_command_line_may_not_set_the_same_key():
    refuse_contradictions("dp", {"seed": True}, {"intervention": False})
    with pytest.raises(ConfigError, match="intervention is set by the experiment's arm 'dp'"):
        refuse_contradictions("dp", {"intervention": False}, {"intervention": False})
    with pytest.raises(ConfigError, match="table cannot be swept"):
        refuse_contradictions("", {"table": True}, {})


def test_problems_of_all_arms_are_told_once():
    problems = {"a": ("x.", "y."), "b": ("x.",), "c": ("x.", "y.")}
    assert together(problems, 3) == ["x.", "arm a, c: y."]
