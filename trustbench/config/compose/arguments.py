"""The arguments of `trustbench run`, and the folders whose YAML files are its options."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from trustbench.config.binding import shown
from trustbench.config.compose.flags import FAIL_FAST, mode, parse, refuse_unstoppable
from trustbench.config.compose.hydra_settings import refuse_given
from trustbench.config.compose.overrides import completed, listing, refuse_impossible
from trustbench.config.plugins import registered
from trustbench.errors import ConfigError, TrustbenchError

SEARCHPATH = "hydra.searchpath"


@dataclass(frozen=True)
class Command:
    """Flags and overrides in Hydra's form, and where options are looked up."""

    flags: tuple[str, ...]
    overrides: tuple[str, ...]
    dirs: tuple[Path, ...]
    shows: bool = False
    """Whether Hydra only prints the configuration (--cfg, --info)."""


def read(args: Sequence[str]) -> Command:
    """Reads the command in `args`, with flags and overrides in any order.

    Raises:
        ConfigError: an unknown flag, or a folder that does not exist.
        HydraException: an override that is not of the form key=value.
    """
    flags = parse(args)
    given = list(flags.overrides)
    rest = [a for a in args if a != FAIL_FAST]
    for override in given:
        rest.remove(override)
    if flags.fail_fast:
        refuse_unstoppable(given)
        given.append("hydra.launcher.on_error=stop")
    parsed = OverridesParser.create().parse_overrides(given)
    refuse_given(parsed)
    overrides = [*map(completed, given), *mode(flags, parsed)]
    extra = [*_searchpath(parsed), *_package_dirs()]
    dirs = conf_dirs(flags.config_dir, extra)
    refuse_impossible(parsed, listing(dirs))
    if extra:
        overrides = [o for o in overrides if not o.lstrip("+").startswith(f"{SEARCHPATH}=")]
        overrides.append(f"{SEARCHPATH}=[{','.join(map(in_grammar, dirs[-len(extra) :]))}]")
    shows = bool(flags.cfg or flags.info)
    return Command(tuple(rest), tuple(overrides), tuple(dirs), shows)


def in_grammar(folder: Path) -> str:
    """A folder of options in the grammar of overrides, with any characters in its name."""
    return quoted(f"file://{folder}")


def quoted(text: str) -> str:
    r"""A text in the grammar of overrides, where a backslash is one unless a quote follows.

    >>> print(quoted("it's a\\b"), quoted("c:\\"))
    'it\'s a\b' 'c:\\'
    """
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", text)
    return "'" + doubled.replace("'", "\\'") + "'"


def conf_dir() -> Path:
    """The folder of trustbench's own configuration: in the wheel, or beside the package."""
    package = Path(__file__).parents[2]
    for folder in (package / "_conf", package.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise TrustbenchError(
        f"the configuration folder is missing: neither {package / '_conf'} nor "
        f"{package.parent / 'conf'} holds config.yaml; install trustbench again."
    )


def conf_dirs(config_dir: str | None = None, searchpath: Sequence[str] | None = None) -> list[Path]:
    """Every folder in which options are looked up: trustbench's, the user's, plugin packages'.

    Raises:
        ConfigError: one of the user's folders does not exist.
    """
    given = [("--config-dir", config_dir)] if config_dir else []
    given += [(SEARCHPATH, s) for s in (_package_dirs() if searchpath is None else searchpath)]
    return [conf_dir(), *(_existing(name, text) for name, text in given)]


def _searchpath(overrides: Sequence[Override]) -> list[str]:
    """The folders that the last `hydra.searchpath=[...]` gives."""
    values = [o.value() for o in overrides if o.key_or_group == SEARCHPATH]
    if not values:
        return []
    if not isinstance(values[-1], list) or not all(isinstance(v, str) for v in values[-1]):
        raise ConfigError(f"{SEARCHPATH} is {shown(values[-1])}; give a list: [file:///FOLDER].")
    return list(values[-1])


def _package_dirs() -> list[str]:
    """The `conf` folders of installed packages with plugins."""
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
