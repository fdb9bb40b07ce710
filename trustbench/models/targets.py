"""The user's own classes and factories of modules, named `my.net:Net` or `path/to/net.py:Net`."""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, get_type_hints

import torch
from torch import nn

from trustbench.errors import FAILURES, ConfigError, did_you_mean, first_sentence

FORM = "my.net:Net or path/to/net.py:Net"
INSTALLED = ("site-packages", "dist-packages")

_FILES: dict[tuple[Path, str], ModuleType] = {}


class ModuleTarget(NamedTuple):
    """A class or function that returns a fresh module, and the Python module that defines it."""

    text: str
    make: Callable[..., Any]
    source: ModuleType

    @property
    def name(self) -> str:
        """The name of the class or function."""
        return self.text.rpartition(":")[2]


def load(text: str, key: str = "model.target", folder: Path | None = None) -> ModuleTarget:
    """Imports a target, given at `key` of the configuration.

    Its file, or the modules that it names, are searched in `folder` first, where the command was
    given: a job may start in another one.

    Raises:
        ConfigError: it has another form, cannot be imported, or builds no modules.
    """
    found = _named(text, key, folder)
    _refuse_other(found, text, key)
    return ModuleTarget(text, found, sys.modules[found.__module__])


def load_function(text: str, key: str) -> Callable[..., Any]:
    """Imports a user's own function; ConfigError as in `load`."""
    found = _named(text, key)
    if not isinstance(found, FunctionType) or _installed(found):
        raise ConfigError(f"{key} is {text!r}; give a function of your own file, {FORM}.")
    return found


def builds_modules(text: str, key: str) -> bool:
    """Whether a target is a class of modules or a function that declares to return one.

    Raises:
        ConfigError: it has another form or cannot be imported.
    """
    found = _named(text, key)
    if isinstance(found, FunctionType):
        return _builds_modules(_returned(found))
    return _builds_modules(found)


def _named(text: str, key: str, folder: Path | None = None) -> Any:
    where, _, name = text.rpartition(":")
    if not where or not name.isidentifier():
        raise ConfigError(f"{key} is {text!r}; give a class or a function as {FORM}.")
    by_file = where.endswith(".py") or "/" in where
    try:
        with torch.random.fork_rng(devices=[]):  # a file that draws numbers shifts no stream
            module = (
                _from_file(_located(where, folder), key) if by_file else _by_name(where, folder)
            )
    except (*FAILURES, ImportError, SyntaxError, NameError) as error:
        raise ConfigError(
            f"{key} is {text!r}, but importing {where} fails: {first_sentence(error)}."
            + ("" if by_file else " Put its folder on PYTHONPATH, or name its file.")
        ) from error
    if not hasattr(module, name):
        own = (n for n, x in vars(module).items() if _builds_modules(x))
        raise ConfigError(
            f"{key} is {text!r}, but {where} has no {name}; {did_you_mean(name, own)}"
        )
    return getattr(module, name)


def _from_file(path: Path, key: str) -> ModuleType:
    """The module of a file; a changed file is imported anew."""
    path = path.absolute()
    if not path.is_file():
        raise ConfigError(f"{key} names the file {path}, which does not exist; give its path.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if (path, digest) not in _FILES:
        _search(path.parent)
        spec = importlib.util.spec_from_file_location(f"{path.stem}_{digest[:12]}", path)
        assert spec is not None and spec.loader is not None, "the file exists"
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        _FILES[path, digest] = module
    return _FILES[path, digest]


def _located(where: str, folder: Path | None) -> Path:
    """The file that a target names: below `folder`, else from where Python is."""
    path = Path(where).expanduser()
    return folder / path if folder is not None and (folder / path).is_file() else path


def _by_name(name: str, folder: Path | None) -> ModuleType:
    top = name.partition(".")[0]
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        _search(folder or Path.cwd())
    return importlib.import_module(name)


def _search(folder: Path) -> None:
    """Lets modules of a folder import each other; installed ones come first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def _builds_modules(found: object) -> bool:
    return inspect.isclass(found) and issubclass(found, nn.Module) and found is not nn.Module


def _refuse_other(found: object, text: str, key: str) -> None:
    """Raises ConfigError unless a target is a class of modules or a function that may build one.

    A configuration may come from somebody else. A function of an installed package therefore counts
    only if it declares that it returns a module: `torch.load` would run any code.
    """
    if _builds_modules(found):
        return
    if not isinstance(found, FunctionType):
        kind = "an instance" if isinstance(found, nn.Module) else f"a {type(found).__name__}"
        kind = "a class of another kind" if inspect.isclass(found) else kind
        raise ConfigError(
            f"{key} is {text!r}, which is {kind}; give a class of torch.nn.Module, or a function "
            "that returns a fresh module for each replicate."
        )
    if _installed(found) and not _builds_modules(_returned(found)):
        raise ConfigError(
            f"{key} is {text!r}, a function of an installed package that does not declare to "
            "return a torch.nn.Module; call it in a function of your own file and name that."
        )


def _installed(found: FunctionType) -> bool:
    top = found.__module__.partition(".")[0]
    file = found.__code__.co_filename
    return top in sys.stdlib_module_names or any(p in INSTALLED for p in Path(file).parts)


def _returned(found: FunctionType) -> object:
    try:
        return get_type_hints(found).get("return")
    except (*FAILURES, NameError):
        return None


def construct(
    target: ModuleTarget,
    args: Mapping[str, Any],
    offered: Mapping[str, Any],
    key: str = "model.args",
) -> nn.Module:
    """Calls a target with `args` and with those of `offered` that its signature names.

    Raises:
        ConfigError: an argument is unknown or missing, or the call fails.
    """
    values = arguments(target, args, offered, key)
    try:
        made = target.make(**values)
    except FAILURES as error:
        given = ", ".join(f"{k}={v!r}" for k, v in values.items())
        raise ConfigError(
            f"model: {target.name}({given}) fails: {first_sentence(error)}."
        ) from error
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"model: {target.name} returns {type(made).__name__} objects; return a torch.nn.Module."
        )
    return made


def arguments(
    target: ModuleTarget, args: Mapping[str, Any], offered: Mapping[str, Any], key: str
) -> dict[str, Any]:
    """The keyword arguments of a call, each checked against the signature."""
    asked = inspect.signature(target.make).parameters
    kinds = {p.kind for p in asked.values()}
    named = {n: p for n, p in asked.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    unknown = [n for n in args if n not in named]
    if unknown and inspect.Parameter.VAR_KEYWORD not in kinds:
        raise ConfigError(
            f"{key} names {unknown[0]}, which {target.name} does not take; "
            + did_you_mean(unknown[0], named)
        )
    values = {**{n: v for n, v in offered.items() if n in named}, **args}
    missing = [n for n, p in named.items() if p.default is p.empty and n not in values]
    if missing:
        raise ConfigError(
            f"{key} lacks {missing[0]}, which {target.name} requires; give "
            f"'{key}={{{missing[0]}: ...}}'. The data fill in {', '.join(sorted(offered))}."
        )
    return values
