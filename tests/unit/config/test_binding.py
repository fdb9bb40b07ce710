"""Binding configuration values to dataclass fields."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from trustbench.config.arms import Protocol, Training
from trustbench.config.binding import Problems, bind, check, schema
from trustbench.errors import ConfigError


@dataclass(frozen=True)
class Method:
    epsilon: Annotated[float, Field(gt=0)] | None = 3.0
    mode: Literal["half", "all"] = "half"
    names: tuple[str, ...] = ()
    steps: Annotated[int, Field(ge=1)] | Literal["auto"] = 3
    where: Path = Path()
    window: tuple[int, int] = (8, 8)
    version: ClassVar[int] = 1


@dataclass(frozen=True)
class Pair:
    low: float
    high: float = 1.0

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")


def test_values_arrive_with_the_types_that_the_fields_ask_for():
    made = bind(Method, {"epsilon": 1, "names": ["a", "b"], "steps": "auto", "where": "x"}, "m")
    assert made == Method(1.0, "half", ("a", "b"), "auto", Path("x"))
    assert isinstance(made.epsilon, float)
    assert bind(Method, {"epsilon": None}, "m").epsilon is None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"epsilon": -1}, "m.epsilon is -1; it should be greater than 0."),
        ({"epsilon": "3"}, "m.epsilon is '3'; it should be a valid number."),
        ({"epsilon": True}, "m.epsilon is true; it should be a valid number."),
        ({"epsilon": math.inf}, "m.epsilon is inf; give finite numbers only, not inf."),
        ({"mode": "hal"}, "m.mode is 'hal'; it should be 'half' or 'all'."),
        ({"steps": 1.5}, "m.steps is 1.5; it should be a valid integer"),
        ({"names": ["a", 3]}, r"m.names is \['a', 3\]; its item 3 should be a valid string."),
        ({"window": [8]}, r"m.window is \[8\]; it should be a list of 2 or more items."),
        ({"window": [8, 8, 8]}, r"m.window is \[8, 8, 8\]; it should be a list of 2 or fewer"),
        ({"epsilom": 3}, "unknown key m.epsilom; did you mean 'epsilon'?"),
        ({"version": 2}, "unknown key m.version"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_key(given, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        bind(Method, given, "m")
    assert len(caught.value.problems) == 1


def test_every_problem_is_reported_at_once():
    with pytest.raises(ConfigError) as caught:
        bind(Method, {"epsilon": 0, "mode": 3, "epsilom": 1}, "m")
    assert len(caught.value.problems) == 3


def test_a_missing_value_and_a_check_across_fields_name_the_key():
    with pytest.raises(ConfigError, match=r"p\.low is missing; give it a value"):
        bind(Pair, {}, "p")
    with pytest.raises(ConfigError, match=r"p: low 2\.0 is above high 1\.0"):
        bind(Pair, {"low": 2}, "p")


def test_nested_non_finite_numbers_are_refused():
    with pytest.raises(ConfigError, match="not nan"):
        check(dict[str, list[float]], {"a": [1.0, math.nan]}, "k")


def test_class_variables_are_no_fields():
    assert set(schema(Method)) == {"epsilon", "mode", "names", "steps", "where", "window"}


def test_training_and_protocol_bind():
    training = bind(
        Training, {"regime": "tuned", "epochs": 3, "batch_size": 8, "lr": 1}, "training"
    )
    assert training.lr == 1.0
    with pytest.raises(ConfigError, match=r"protocol\.replicates is 1"):
        bind(Protocol, {"replicates": 1}, "protocol")


def test_problems_keep_each_sentence_once():
    problems = Problems()
    problems.raise_any()
    for _ in range(2):
        problems.of(bind, Pair, {}, "p")
    with pytest.raises(ConfigError) as caught:
        problems.raise_any()
    assert caught.value.problems == ("p.low is missing; give it a value.",)
