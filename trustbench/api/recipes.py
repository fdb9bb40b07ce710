"""The recipe of reference models, as a user names it: a function that fits, or a module."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trustbench.api.retraining import value_text
from trustbench.config.compose import run_request
from trustbench.contracts.given import GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.execution.audit.module_recipe import ModuleRecipe
from trustbench.execution.audit.references import Recipe, ReferenceRecipe
from trustbench.execution.job import prepare_torch
from trustbench.models import targets
from trustbench.models.given.checkpoint import GivenModule
from trustbench.models.given.module_inputs import inputs_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from trustbench.contracts import Array

KEYS = ("training", "model.args", "engine", "device", "threads")
"""The settings of `trustbench run` that say how a module is trained, and on what."""


def recipe_of(
    given: "str | Callable[..., object]",
    count: int,
    settings: Sequence[str],
    audited: GivenModel,
    source: ModelSource,
    config_dir: str | Path | None,
) -> ReferenceRecipe:
    """The recipe that a user names.

    A module is trained on inputs made as those of the audited module, if that is one, else as the
    options of the source say.

    Raises:
        UserError: it is not a recipe, or the settings do not fit it.
    """
    if isinstance(given, type):
        raise UserError(
            f"--recipe is the class {given.__name__}; name a module as text, such as "
            "'net.py:Net', so that it can be imported again."
        )
    if isinstance(given, str) and is_module(given):
        inputs = audited.inputs if isinstance(audited, GivenModule) else inputs_of(source)
        return _module_recipe(given, count, settings, inputs, source, config_dir)
    if settings:
        raise UserError(
            f"{settings[0]} is a setting of training, and the recipe is a function that trains by "
            "itself; leave it out, or name a module, --recipe net.py:Net."
        )
    if isinstance(given, str):
        return Recipe(given, targets.load_function(given, "--recipe"), count)
    return Recipe(getattr(given, "__name__", type(given).__name__), given, count)


def is_module(given: str) -> bool:
    """Whether a recipe names a class of modules, or a function that declares to return one."""
    return targets.builds_modules(given, "--recipe")


def of_training(settings: Sequence[str]) -> tuple[str, ...]:
    """Those overrides of `trustbench run` that a recipe takes."""
    return tuple(s for s in settings if _key(s).startswith(KEYS))


def _module_recipe(
    target: str,
    count: int,
    settings: Sequence[str],
    inputs: "Callable[[DataFrame], Array]",
    source: ModelSource,
    config_dir: str | Path | None,
) -> ModuleRecipe:
    other = [s for s in settings if s not in of_training(settings)]
    if other:
        raise UserError(
            f"--recipe {target} trains the module alone and does not take {other[0]}; give "
            f"settings of {', '.join(KEYS)}."
        )
    chosen = {"model": "module", "model.target": target, "evaluator": ["utility"]}
    args = source.options.get("args")
    if args:
        chosen["model.args"] = args  # type: ignore[assignment]
    overrides = [f"{k}={value_text(v)}" for k, v in chosen.items()]
    flags = [] if config_dir is None else ["--config-dir", str(config_dir)]
    request = run_request([*flags, *overrides, *settings])
    assert request is not None, "no flag was given that only prints"
    prepare_torch(request.first)
    return ModuleRecipe(target, request.first, inputs, count)


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~")
