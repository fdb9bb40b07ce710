"""What a sweep's list of arms may say; plain values, no Hydra."""

from collections.abc import Iterable, Mapping
from typing import Any

from trustbench.errors import ConfigError

UNSWEPT = ("experiment", "table")


def named_arms(arms: Mapping[str, Any]) -> dict[str, list[str]]:
    """The arms of `hydra.sweeper.arms`; a single unnamed one when there are none.

    >>> named_arms({"baseline": [], "private": ["intervention=dpsgd"]})
    {'baseline': [], 'private': ['intervention=dpsgd']}
    """
    bad = [
        f"hydra.sweeper.arms.{name} is {overrides!r}; give a list of overrides, "
        "like [intervention=dpsgd, seed=1]."
        for name, overrides in arms.items()
        if isinstance(overrides, str | Mapping)
        or not isinstance(overrides, Iterable)
        or not all(isinstance(o, str) for o in overrides)
    ]
    if bad:
        raise ConfigError(bad)
    return {name: list(overrides) for name, overrides in arms.items()} or {"": []}


def refuse_contradictions(arm: str, common: Mapping[str, bool], own: Mapping[str, bool]) -> None:
    """Raises ConfigError when an arm and the command line set the same key.

    Both map an override's key to whether it sweeps. An arm that silently lost its own value
    would carry a wrong name; one that silently kept it would ignore the user.
    """
    for key in UNSWEPT:
        if {**common, **own}.get(key):
            raise ConfigError(f"{key} cannot be swept; give one {key} a run.")
    both = sorted(set(common) & set(own))
    if both:
        raise ConfigError(
            f"{', '.join(both)} is set by the experiment's arm {arm!r} and on the command line; "
            "drop it there, or sweep without +experiment: -m "
            f"{both[0]}=..."
        )


def together(problems: Mapping[str, tuple[str, ...]], jobs: int) -> list[str]:
    """Each sentence once, with the arms it is about unless it is about all.

    >>> together({"a": ("x is 1.", "y is 2."), "b": ("x is 1.",)}, jobs=2)
    ['x is 1.', 'arm a: y is 2.']
    """
    arms: dict[str, list[str]] = {}
    for name, sentences in problems.items():
        for sentence in sentences:
            arms.setdefault(sentence, []).append(name)
    return [
        sentence if len(names) == jobs else f"arm {', '.join(names)}: {sentence}"
        for sentence, names in arms.items()
    ]
