"""The arguments of `trustbench run`, and the folders whose YAML files are its options."""

import argparse
import contextlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString

from trustbench.assembly import GROUPS
from trustbench.errors import ConfigError, TrustbenchError
from trustbench.plugins import registered

SEARCHPATH = "hydra.searchpath"
FAIL_FAST = "--fail-fast"


@dataclass(frozen=True)
class Command:
    """Flags and overrides as Hydra takes them, and where options are looked up."""

    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    dirs: tuple[Path, ...]


def read(args: Sequence[str]) -> Command:
    """The command that `args` give, in any order of flags and overrides.

    Raises:
        ConfigError: an unknown flag, or a folder that does not exist.
        HydraException: an override that is not of the form key=value.
    """
    flags = _parse(args)
    given = list(flags.overrides)
    rest = [a for a in args if a != FAIL_FAST]
    for override in given:
        rest.remove(override)
    if flags.fail_fast:
        _refuse_unstoppable(given)
        given.append("hydra.launcher.on_error=stop")
    overrides = [f"+{o}" if o.startswith("experiment=") else o for o in given]
    parsed = OverridesParser.create().parse_overrides(overrides)
    _refuse_impossible(parsed)
    extra = [*_searchpath(parsed), *_package_dirs()]
    dirs = conf_dirs(flags.config_dir, extra)
    if extra:
        overrides = [o for o in overrides if not o.startswith(f"{SEARCHPATH}=")]
        overrides.append(f"{SEARCHPATH}=[{','.join(f'file://{d}' for d in dirs[-len(extra) :])}]")
    return Command(tuple(rest), tuple(overrides), tuple(dirs))


def conf_dir() -> Path:
    """The folder of trustbench's own configuration: in the wheel, or beside the package."""
    package = Path(__file__).parents[1]
    for folder in (package / "_conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise TrustbenchError(
        f"the configuration folder is missing: neither {package / '_conf'} nor "
        f"{package.parent / 'conf'} holds config.yaml; install trustbench again."
    )


def conf_dirs(config_dir: str | None = None, searchpath: Sequence[str] | None = None) -> list[Path]:
    """Every folder where options are looked up: trustbench's, the user's, plugin packages'.

    Raises:
        ConfigError: one of the user's folders does not exist.
    """
    given = [("--config-dir", config_dir)] if config_dir else []
    given += [(SEARCHPATH, s) for s in (_package_dirs() if searchpath is None else searchpath)]
    return [conf_dir(), *(_existing(name, text) for name, text in given)]


def _refuse_impossible(overrides: Sequence[Override]) -> None:
    for o in overrides:
        if not o.key_or_group:
            raise ConfigError(f"{o.input_line!r} has no key; write key=value.")
        named = o.is_sweep_override() or isinstance(o.value(), str | list | QuotedString)
        if o.key_or_group in GROUPS and not o.is_delete() and not named:
            raise ConfigError(f"{o.input_line!r} names no option; write {o.key_or_group}=NAME.")


def _refuse_unstoppable(overrides: Sequence[str]) -> None:
    for o in overrides:
        if o in ("hydra/launcher=basic", "hydra/launcher=joblib"):
            raise ConfigError(
                f"{FAIL_FAST} and {o} do not go together: it runs every arm; drop one of them."
            )


def _parse(args: Sequence[str]) -> argparse.Namespace:
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            # intermixed: flags may stand between overrides, which plain argparse refuses
            flags, unknown = _parser().parse_known_intermixed_args(list(args))
    except SystemExit:
        last = complaint.getvalue().strip().splitlines()[-1].split("error: ", 1)[-1]
        raise ConfigError(f"{last}; see `trustbench run --help`.") from None
    if unknown:
        raise ConfigError(
            f"unknown option {' '.join(unknown)}; settings are given as key=value, "
            "flags are listed by `trustbench run --help`."
        )
    modes = [flags.run, flags.multirun, flags.cfg, flags.info, flags.shell_completion]
    if sum(map(bool, modes)) > 1:
        raise ConfigError("give only one of --run, --multirun, --cfg, --info.")
    if flags.resolve and not (flags.cfg or flags.help):
        raise ConfigError("--resolve goes with --cfg; give both or neither.")
    return flags


def _parser() -> argparse.ArgumentParser:
    """Hydra's own parser, whose --version would exit before Hydra gets to it."""
    parser: argparse.ArgumentParser = get_args_parser()
    parser.add_argument(FAIL_FAST, action="store_true")
    return parser


def _searchpath(overrides: Sequence[Override]) -> list[str]:
    """The folders that the last `hydra.searchpath=[...]` gives."""
    values = [o.value() for o in overrides if o.get_key_element() == SEARCHPATH]
    if not values:
        return []
    if not isinstance(values[-1], list) or not all(isinstance(v, str) for v in values[-1]):
        raise ConfigError(f"{SEARCHPATH} is {values[-1]!r}; give a list: [file:///FOLDER].")
    return list(values[-1])


def _package_dirs() -> list[str]:
    """The `conf` folders of installed packages that bring plugins."""
    found = []
    for entry in registered():
        for home in _homes(entry.module):
            if (home / "conf").is_dir():
                found.append(str(home / "conf"))
    return found


def _existing(name: str, text: str) -> Path:
    """The folder that `file://FOLDER`, `pkg://module` or a plain path names."""
    if text.startswith("pkg://"):
        folder = next(_homes(text.removeprefix("pkg://").replace("/", ".")), None)
    else:
        folder = Path(text.removeprefix("file://")).absolute()
    if folder is None or not folder.is_dir():
        raise ConfigError(f"{name} names {text!r}, which is not a folder; give one that exists.")
    return folder


def _homes(module: str) -> Iterator[Path]:
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return
    yield from map(Path, (spec.submodule_search_locations or ()) if spec else ())
