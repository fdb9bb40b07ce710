"""What a plugin's numbers depend on beside its settings: its source, and the files it reads.

Plugins of trustbench itself state a `version` in place of a fingerprint of their source. All other
plugins are fingerprinted by their module and by the modules that it imports from the user's own
folders: those on the search path that contain neither Python nor installed packages. For an
installed plugin, the modules of its own package count.
"""

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from trustbench.contracts import Dataset, Plugin
from trustbench.errors import ConfigError

SOURCE = "source"
"""The key of a fingerprint of code; all other keys are fields that name a file."""

Marks = tuple[tuple[str, str], ...]
INSTALLED = ("site-packages", "dist-packages")
LENGTH = 16

# A process runs the source that it imported, even if the file changes afterwards: the digest of a
# module with all that it imports, and of the files of single modules.
_SOURCES: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()
_OWN: WeakKeyDictionary[ModuleType, str] = WeakKeyDictionary()


def of(plugin: Plugin, key: str) -> Marks:
    """The fingerprints of a plugin at `key` of the configuration, sorted by name.

    Raises:
        ConfigError: a field names a missing file, or the plugin's module has no file.
    """
    marks = dict(_files(plugin, key))
    module = type(plugin).__module__
    found = [] if module.partition(".")[0] == "trustbench" else [_source(sys.modules[module], key)]
    found += [_release(m) or _source(m, key) for m in plugin.sources()]
    if found:
        marks[SOURCE] = found[0] if len(found) == 1 else _hashed(" ".join(found).encode())
    return tuple(sorted(marks.items()))


def refuse_changed(plugin: Plugin, key: str, marks: Marks) -> None:
    """Raises ConfigError if what a plugin depends on differs from its fingerprints `marks`.

    An arm may start hours after its sweep was composed, in a process that imports the code anew.
    """
    if not marks:
        return
    now = dict(of(plugin, key))
    changed = [n for n, value in marks if now.get(n) != value]
    if changed:
        what = "its source" if changed == [SOURCE] else " and ".join(changed)
        raise ConfigError(
            f"{key}: {what} has changed since this arm was composed; give the command again to "
            "train what the files say now."
        )


def _release(module: ModuleType) -> str | None:
    """An installed module's package with its version; None if it is not of a known package."""
    top = module.__name__.partition(".")[0]
    if not _installed(Path(module.__file__ or "").resolve()):
        return None
    try:
        return f"{top} {version(top)}"
    except PackageNotFoundError:
        return None


def _source(module: ModuleType, key: str) -> str:
    if module not in _SOURCES:
        if not Path(getattr(module, "__file__", None) or "").is_file():
            raise ConfigError(
                f"{key}: the module {module.__name__} has no file, so a change of it would go "
                "unnoticed; put the plugin into a file."
            )
        digest = hashlib.sha256()
        for name, path in sorted(modules(module).items()):
            digest.update(f"{name} {_imported(name, path, key)}\n".encode())
        _SOURCES[module] = digest.hexdigest()[:LENGTH]
    return _SOURCES[module]


def _imported(name: str, path: Path, key: str) -> str:
    """The digest of a module's file when this process imported it, else as it is now."""
    found = hashlib.sha256(_text(path)).hexdigest()
    module = sys.modules.get(name)
    if module is None:
        return found
    other = Path(getattr(module, "__file__", None) or path)
    if other.resolve() != path.resolve():
        raise ConfigError(
            f"{key}: it would import {name} from {path}, but this process has imported a module of "
            f"that name from {other}; give one of the two another name."
        )
    return _OWN.setdefault(module, found)


def modules(module: ModuleType) -> dict[str, Path]:
    """A plugin's module and the user's modules that it imports, directly or not: {name: file}."""
    assert module.__file__ is not None
    found = {module.__name__: Path(module.__file__)}
    search = _Search(module.__name__, found[module.__name__])
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        for wanted in [*_parents(name), *_imports(name, found[name])]:
            path = None if wanted in found else search.file(wanted)
            if path is not None:
                found[wanted] = path
                waiting.append(wanted)
    return found


class _Search:
    """Where relevant modules are searched."""

    def __init__(self, name: str, path: Path) -> None:
        """For the module `name` of a plugin: its own folder, then the user's other folders."""
        self.top = name.partition(".")[0]
        own = path.resolve().parents[name.count(".") + (path.stem == "__init__")]
        self.installed = _installed(own)
        self.roots = [own] if self.installed else [own, *(r for r in _user_roots() if r != own)]

    def file(self, name: str) -> Path | None:
        """The source file of a module; None if it is not the user's."""
        top = name.partition(".")[0]
        elsewhere = self.installed or top == "trustbench" or top in sys.stdlib_module_names
        if elsewhere and top != self.top:
            return None
        for root in self.roots:
            stem = root.joinpath(*name.split("."))
            for path in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
                if path.is_file():
                    return path
        return None


def _user_roots() -> list[Path]:
    """The folders of the search path that contain the user's own code."""
    roots = dict.fromkeys(Path(entry or ".").resolve() for entry in sys.path)
    return [r for r in roots if r.is_dir() and not _installed(r) and not _pythons(r)]


def _installed(folder: Path) -> bool:
    return any(part in INSTALLED for part in folder.parts)


@cache
def _pythons(folder: Path) -> bool:
    known = {Path(sysconfig.get_path(n)).resolve() for n in ("stdlib", "platstdlib")}
    return bool(known & {folder, *folder.parents})


def _parents(name: str) -> Iterator[str]:
    """The packages imported along with a module."""
    parts = name.split(".")
    return (".".join(parts[:k]) for k in range(1, len(parts)))


def _imports(name: str, path: Path) -> Iterator[str]:
    """Every module that a source file may import, by absolute name."""
    try:
        tree = ast.parse(_text(path))
    except (SyntaxError, ValueError):  # compiled, or for another Python: its bytes count
        return
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                yield from _parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, package)


def _imported_from(node: ast.ImportFrom, package: str) -> Iterator[str]:
    base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    parts = [*base, *(node.module.split(".") if node.module else [])]
    whole = ".".join(filter(None, parts))
    if whole:
        yield whole
        yield from _parents(whole)
    for alias in node.names:
        yield f"{whole}.{alias.name}".lstrip(".")


def _hashed(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]


def _text(path: Path) -> bytes:
    """A source file's bytes with uniform line ends, which a checkout may change."""
    return path.read_bytes().replace(b"\r\n", b"\n")


def _files(plugin: Plugin, key: str) -> Iterator[tuple[str, str]]:
    """The content of files named by fields; for a dataset, the problem has a fingerprint."""
    if isinstance(plugin, Dataset):
        return
    for field in fields(plugin):
        value: Any = getattr(plugin, field.name)
        paths = list(_named(value, field.name in plugin.paths))
        if paths:
            where = f"{key}.{field.name}"
            yield field.name, _hashed("".join(_content(path, where) for path in paths).encode())


def _named(value: Any, declared: bool) -> Iterator[Path]:
    """The paths in a field's value; a text is a path if the plugin declares the field so."""
    if isinstance(value, Path) or (declared and isinstance(value, str)):
        yield Path(value).expanduser()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _named(inner, declared)
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from _named(inner, declared)


def _content(path: Path, key: str) -> str:
    """A digest of a file, or of all files of a folder with their names."""
    if not path.exists():
        raise ConfigError(f"{key} is {str(path)!r}, which does not exist; give a file or a folder.")
    digest = hashlib.sha256()
    inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in inside:
        name = file.relative_to(path).as_posix() if file != path else ""
        state = file.stat()
        digest.update(f"{name} {_of_file(file, state.st_size, state.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@cache
def _of_file(path: Path, _size: int, _changed: int) -> str:
    """A digest of one file's bytes; weights may be large, so each state is read once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
