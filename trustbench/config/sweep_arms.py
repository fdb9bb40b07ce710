"""The arms of a sweep's configuration; plain values, no Hydra."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

from trustbench.errors import ConfigError, did_you_mean

POOLS = "protocol.pools"
SHARED = (POOLS, "output_dir", "tracking_uri")
UNSWEPT = ("experiment", "table", *SHARED)
CHOSEN = ("intervention", "evaluator")
"""Groups of which an arm chooses any number of plugins, each with settings under its name."""


def named_arms(arms: Mapping[str, Any]) -> dict[str, list[str]]:
    """The arms of `hydra.sweeper.arms`; a single unnamed one without any.

    A list inside a list stands for its overrides, so that YAML anchors can share some.

    >>> named_arms({"baseline": [], "private": [["training=memorising"], "intervention=dpsgd"]})
    {'baseline': [], 'private': ['training=memorising', 'intervention=dpsgd']}
    """
    arms = {name: _flat(overrides) for name, overrides in arms.items()}
    bad = [
        f"hydra.sweeper.arms.{name} is {overrides!r}; give a list of overrides, "
        "like [intervention=dpsgd, seed=1]."
        for name, overrides in arms.items()
        if isinstance(overrides, str | Mapping)
        or not isinstance(overrides, Iterable)
        or not all(isinstance(o, str) for o in overrides)
    ]
    bad += [
        f"hydra.sweeper.arms has the arm {name!r}; give it a name without control characters."
        for name in arms
        if not name.isprintable()
    ]
    if bad:
        raise ConfigError(bad)
    return {name: list(overrides) for name, overrides in arms.items()} or {"": []}


def _flat(overrides: Any) -> Any:
    """The overrides with nested lists flattened; anything else is left as it is, to be refused."""
    if isinstance(overrides, str | Mapping) or not isinstance(overrides, Iterable):
        return overrides
    opened: list[Any] = []
    for each in overrides:
        nested = isinstance(each, Iterable) and not isinstance(each, str | Mapping)
        opened.extend(_flat(each) if nested else [each])
    return opened


def subsets(factors: Any) -> dict[str, list[str]]:
    """An arm for every subset of `hydra.sweeper.factors`, a list of interventions.

    >>> subsets(["dpsgd", "pgd_at"])["dpsgd+pgd_at"]
    ['intervention=[dpsgd,pgd_at]']
    """
    if isinstance(factors, str) or not all(isinstance(f, str) for f in factors):
        raise ConfigError(
            f"hydra.sweeper.factors is {factors!r}; give a list of interventions, "
            "like [balanced_weights,dpsgd]."
        )
    names = sorted(set(factors))
    chosen = chain.from_iterable(combinations(names, k) for k in range(len(names) + 1))
    return {
        "+".join(some) or "baseline": [f"intervention=[{','.join(some)}]"] if some else []
        for some in chosen
    }


def redrawn(name: str, overrides: Sequence[str], seed: int, pools: int) -> dict[str, list[str]]:
    """A job for every pool: the same arm with the seeds that follow `seed`.

    >>> redrawn("dp", ["intervention=dpsgd"], seed=3, pools=2)["dp seed=4"]
    ['intervention=dpsgd', 'seed=4']
    """
    if pools == 1:
        return {name: list(overrides)}
    kept = [o for o in overrides if not o.startswith("seed=")]
    if len(kept) < len(overrides):
        raise ConfigError(
            f"arm {name!r} gives a seed, and protocol.pools={pools} gives each pool its own; "
            "drop one of them."
        )
    return {f"{name} seed={s}": [*kept, f"seed={s}"] for s in range(seed, seed + pools)}


def refuse_contradictions(arm: str, common: Mapping[str, bool], own: Mapping[str, bool]) -> None:
    """Raises ConfigError if an arm and the command line set the same key.

    Both arguments map an override's key to whether it sweeps. An arm that silently lost its own
    value would carry a wrong name; one that silently kept it would ignore the user.
    """
    for key in UNSWEPT:
        if {**common, **own}.get(key):
            raise ConfigError(f"{key} cannot be swept; give one {key} a run.")
    for key in own:
        if key in SHARED or key.startswith(("hydra.", "hydra/")):
            raise ConfigError(
                f"{key} is set by the experiment's arm {arm!r}, but all arms share it; give it for "
                "the experiment or on the command line."
            )
    both = sorted(set(common) & set(own))
    if both:
        raise ConfigError(
            f"{', '.join(both)} is set by the experiment's arm {arm!r} and on the command line; "
            "drop it there, or sweep without +experiment: -m "
            f"{both[0]}=..."
        )


def method_of(key: str) -> tuple[str, str] | None:
    """The group and the name of the plugin that an override's key configures.

    >>> method_of("+intervention.dpsgd.epsilon")
    ('intervention', 'dpsgd')
    >>> method_of("model.hidden")
    """
    group, _, rest = key.lstrip("+~").partition(".")
    return (group, rest.partition(".")[0]) if group in CHOSEN and rest else None


def refuse_unused(
    settings: Iterable[str], used: Collection[str], options: Callable[[str], Iterable[str]]
) -> None:
    """Raises ConfigError for settings of methods that no arm of a sweep chooses.

    All arguments are keys of overrides; `options` lists a group.
    """
    problems = []
    for key in settings:
        method = method_of(key)
        if method is not None and key not in used:
            problems.append(not_chosen(key.lstrip("+~"), *method, options(method[0])))
    if problems:
        raise ConfigError(problems)


def not_chosen(key: str, group: str, name: str, options: Iterable[str]) -> str:
    """The sentence for a setting of a plugin that nothing chooses."""
    names = list(options)
    if name in names:
        return (
            f"{key} is given, but {name} is not chosen; choose it with {group}={name}, or drop "
            "the setting."
        )
    return f"{key} is given, but there is no {group} {name!r}; {did_you_mean(name, names)}"


def together(problems: Mapping[str, tuple[str, ...]], jobs: int) -> list[str]:
    """Each sentence once, with the arms that it concerns unless it concerns all.

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
