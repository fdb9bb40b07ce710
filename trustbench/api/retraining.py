"""Retrains the user's own module with methods beside it: from one model to the table of effects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trustbench.api.records import Records
from trustbench.api.runs import run
from trustbench.config.compose import conf_dirs
from trustbench.config.plugins import build, discover
from trustbench.config.sweep_arms import named_arms
from trustbench.config.yaml_file import read_yaml, settings_below
from trustbench.contracts import Intervention
from trustbench.errors import UserError, did_you_mean
from trustbench.store.records import Record

FULL_TABLE = "full_table"
"""The experiment whose arms are those of the methods."""
CHOICE = "intervention="
MEMORISING = "memorising"
"""The baseline of the arms in which models memorise, where membership is measured."""

Arms = dict[str, list[str]]


@dataclass(frozen=True)
class Retraining:
    """What is trained: a module on a table, alone and with each of the methods.

    `args` are the module's arguments. `settings` are overrides of `trustbench run`, such as
    `protocol.replicates=4`. Arms that set the same key are left out: with `evaluator=[utility]`,
    those in which models memorise.
    """

    module: str
    methods: tuple[str, ...]
    data: Path
    target: str | None = None
    sensitive: tuple[str, ...] = ()
    favourable: str | tuple[str, ...] | None = None
    schema: str | None = None
    drop: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()

    def _favourable(self) -> str | list[str] | None:
        if self.favourable is None or isinstance(self.favourable, str):
            return self.favourable
        return list(self.favourable)

    def overrides(self, dirs: Sequence[Path]) -> list[str]:
        """The sweep as overrides of `trustbench run`; raises UserError for an unknown method."""
        chosen: dict[str, Any] = {
            "dataset": "table",
            "dataset.path": str(self.data.expanduser().absolute()),
            "model": "module",
            "model.target": self.module,
        }
        declared = {
            "target": self.target,
            "favourable": self._favourable(),
            "schema": self.schema,
            "sensitive": list(self.sensitive),
            "drop": list(self.drop),
        }
        chosen |= {f"dataset.{k}": v for k, v in declared.items() if v}
        if self.args:
            chosen["model.args"] = dict(self.args)
        own = {s.partition("=")[0] for s in self.settings}
        arms = {
            f"hydra.sweeper.arms.{name}": overrides
            for name, overrides in arms_of(self.methods, dirs).items()
            if not own & {o.partition("=")[0] for o in overrides}
        }
        return [*(f"{k}={value_text(v)}" for k, v in {**chosen, **arms}.items()), *self.settings]


def retrain(
    asked: Retraining,
    *,
    output_dir: str | Path | None = None,
    config_dir: str | Path | None = None,
) -> Records:
    """Trains and measures the arms; `table(records)` is the table of their effects.

    Raises:
        UserError: a method, the module or the table cannot be used.
    """
    dirs = conf_dirs(None if config_dir is None else str(config_dir))
    overrides = asked.overrides(dirs)
    return run(*overrides, multirun=True, output_dir=output_dir, config_dir=config_dir)


def baseline_of(records: Records) -> Record | None:
    """The arm without a method, a control or models that memorise; None if it has no numbers."""
    plain = (
        r
        for r in records
        if not r.arm.interventions
        and r.arm.control == "none"
        and r.arm.training["regime"] == "tuned"
    )
    return next((r for r in plain if r.status == "ok"), None)


def arms_of(methods: Sequence[str], dirs: Sequence[Path]) -> Arms:
    """The arms of the full table without methods, and those whose methods are all among `methods`.

    A method that the full table lacks gets the arms that its own methods have.
    """
    every = _full_table(dirs)
    known = discover("intervention", dirs)
    for name in methods:
        if name not in known or name == "none":
            raise UserError(
                f"--methods names {name!r}, which is not a method; {did_you_mean(name, known)}"
            )
    kept = {n: o for n, o in every.items() if _methods(o) <= set(methods)}
    listed = set().union(*(_methods(o) for o in every.values()))
    for name in methods:
        if name not in listed:
            kept |= _own(name, every[MEMORISING], _retrains(name, known[name]))
    return kept


def _full_table(dirs: Sequence[Path]) -> Arms:
    file = discover("experiment", dirs)[FULL_TABLE]
    content = read_yaml(file, "the experiment")
    return named_arms(content["hydra"]["sweeper"]["arms"])


def _methods(overrides: Sequence[str]) -> set[str]:
    """The interventions that an arm chooses."""
    chosen = [o.removeprefix(CHOICE) for o in overrides if o.startswith(CHOICE)]
    return {name.strip() for text in chosen for name in text.strip("[]").split(",")}


def _retrains(name: str, file: Path) -> bool:
    plugin = build("intervention", name, settings_below(name, file), name)
    assert isinstance(plugin, Intervention)
    return plugin.retrains


def _own(name: str, memorising: list[str], retrains: bool) -> Arms:
    """The arms of a method; one that retrains nothing needs no control of equal accuracy."""
    method = f"{CHOICE}{name}"
    arms = {name: [method], f"{MEMORISING}_{name}": [*memorising, method]}
    if retrains:
        arms |= {f"matched_{k}": ["control=matched", *o] for k, o in list(arms.items())}
    return arms


def value_text(value: Any) -> str:
    """A value in the grammar of overrides, with all text in quotes."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{value_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(value_text, value)) + "]"
    if isinstance(value, str):
        return "'" + "".join(_escaped(value)) + "'"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _escaped(text: str) -> Iterator[str]:
    r"""The characters of a quoted text.

    >>> print(value_text({"a": ["it's", 1.5, True]}))
    {a:['it\'s',1.5,true]}
    """
    for c in text:
        yield f"\\{c}" if c in "'\\" else c
