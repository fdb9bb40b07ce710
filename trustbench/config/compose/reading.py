"""Reads each file of a composition once, and refuses files that would take too long.

Hydra composes a sweep at least four times, and reading the table takes longest.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigSource
from omegaconf import OmegaConf

from trustbench.config.compose.arguments import conf_dir
from trustbench.config.compose.file_errors import readable
from trustbench.store import yaml_text

_WITHOUT_TABLE = ContextVar("_WITHOUT_TABLE", default=False)
# A file of trustbench's own -> when it was changed, and what Hydra read from it.
_SHIPPED: dict[Path, tuple[int, Any]] = {}


@contextlib.contextmanager
def read_once() -> Iterator[None]:
    """Lets Hydra read each file once inside the block.

    Hydra has no setting for it (hydra#1324), so the method of its source of files is replaced. What
    is read of trustbench's own files serves later compositions too, until a file changes.

    Raises:
        ConfigError: a file is not YAML, not text, or not readable within seconds.
    """
    source = _file_source()
    read = source.load_config
    files: dict[tuple[str, str], Any] = {}
    own = conf_dir()

    def load(self: ConfigSource, config_path: str) -> Any:
        key = self.path, config_path
        if key not in files:
            with readable(f"{self.path}/{config_path}"):
                if Path(self.path) == own:
                    files[key] = _shipped(own, config_path, partial(read, self, config_path))
                else:
                    _refuse_unbounded(Path(self.path), config_path)
                    files[key] = read(self, config_path)
        if _WITHOUT_TABLE.get() and config_path.startswith("table/"):
            return replace(files[key], config=OmegaConf.create({}))
        return copy.deepcopy(files[key])

    source.load_config = load  # type: ignore[method-assign]
    try:
        yield
    finally:
        source.load_config = read  # type: ignore[method-assign]


@contextlib.contextmanager
def without_table() -> Iterator[None]:
    """Leaves the content of the table out of what is composed inside the block.

    No arm reads it, and copying and merging it takes half of the time of a composition.
    """
    token = _WITHOUT_TABLE.set(True)
    try:
        yield
    finally:
        _WITHOUT_TABLE.reset(token)


def _refuse_unbounded(folder: Path, name: str) -> None:
    """Raises YAMLError for a file that Hydra could not read within seconds."""
    path = _file(folder, name)
    if path.is_file():  # else Hydra looks elsewhere
        yaml_text.check(yaml_text.text(path))


def _file(folder: Path, name: str) -> Path:
    return folder / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")


def _shipped(folder: Path, name: str, read: Callable[[], Any]) -> Any:
    """Returns what `read` gives for a file of trustbench's own, which it reads once per change."""
    path = _file(folder, name)
    changed = path.stat().st_mtime_ns if path.is_file() else 0  # Hydra says that it is missing
    kept = _SHIPPED.get(path)
    if kept is None or kept[0] != changed:
        kept = _SHIPPED[path] = changed, read()
    return kept[1]


def _file_source() -> type[ConfigSource]:
    """The source from which Hydra reads files.

    Hydra imports its plugins anew, so this is not the class that an import statement gives.
    """
    sources: list[Any] = Plugins.instance().discover(ConfigSource)
    found: type[ConfigSource] = next(s for s in sources if s.scheme() == "file")
    return found
