"""A table that extends another: its file lists the differences, the rest is the parent's."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trustbench.config.binding import shown
from trustbench.config.yaml_file import read_yaml
from trustbench.errors import ConfigError, did_you_mean
from trustbench.summary.table.table_file import parse_file

WHOLE = ("operating_point",)
"""Mappings that a child replaces instead of completing: a dose is one unit."""
KEYED = {"sides": ("metric", "against"), "mitigations": ("source", "target")}
"""Lists to which a child adds, and the keys by which an item of its own replaces the parent's."""
TIED = {
    "metric": (
        "against",
        "binary",
        "delta",
        "logistic",
        "sentence",
        "unacceptable",
        "unreliable_if",
    ),
    "intervention": ("dose", "operating_point"),
}
"""Key -> the keys that describe its value; a child that changes it gives these as well."""


def read_table(path: Path, known: Mapping[str, Path], children: tuple[Path, ...] = ()) -> Any:
    """The YAML document of a table, with its parents' content where it extends one.

    A parent is another file of the same folder, one of the `known` tables, or a path ending in
    `.yaml`, relative to the file.

    Raises:
        ConfigError: a file that cannot be read, an unknown parent, a cycle, or a change that
            keeps what belongs to the value before it.
    """
    data = read_yaml(path, "table")
    if not isinstance(data, Mapping) or "extends" not in data:
        return data
    own = {k: v for k, v in data.items() if k != "extends"}
    parent, line = _parent(data["extends"], path, known), (*children, path.resolve())
    if parent.resolve() in line:
        names = " -> ".join(p.stem for p in (*line, parent))
        raise ConfigError(
            f"table {path}: extends itself ({names}); remove `extends` from one of these files."
        )
    base = read_table(parent, known, line)
    parse_file(base, str(parent))  # so that errors there name that file
    problems = [f"table {path}: {p}" for p in (*_misnamed(own, path), *_kept(base, own, ""))]
    if problems:
        raise ConfigError(problems)
    return {**_merged(base, own), "name": path.stem, "version": own.get("version", 1)}


def _parent(name: Any, path: Path, known: Mapping[str, Path]) -> Path:
    """The file of a parent; a table may extend a known one of its own name."""
    text = str(name)
    if Path(text).suffix in (".yaml", ".yml"):
        return path.parent / Path(text).expanduser()
    beside = {p.stem: p for p in sorted(path.parent.glob("*.yaml")) if p.stem != path.stem}
    tables = {**known, **beside}
    if text not in tables:
        names = [n for n in tables if n != path.stem or known[n].resolve() != path.resolve()]
        raise ConfigError(
            f"table {path}: extends {shown(name)}, an unknown table; {did_you_mean(text, names)}"
        )
    return tables[text]


def _misnamed(own: Mapping[str, Any], path: Path) -> Iterator[str]:
    """A sweep keeps the table's name, by which `summarize` finds the file again."""
    name = own.get("name", path.stem)
    if name != path.stem:
        yield f"name is {name!r}, but a table is found by its file's name; write {path.stem!r}."


def _kept(base: Any, own: Any, where: str) -> Iterator[str]:
    """A sentence for each change that would keep a description of the previous value."""
    if not isinstance(base, Mapping) or not isinstance(own, Mapping):
        return
    for key, tied in TIED.items():
        if key in own and own[key] != base.get(key, own[key]):
            kept = [f"`{k}`" for k in tied if base.get(k) is not None and k not in own]
            if kept:
                yield (
                    f"{where} changes `{key}` from {base[key]!r}, of which the parent's "
                    f"{', '.join(kept)} {'speaks' if len(kept) == 1 else 'speak'}; give "
                    f"{'it' if len(kept) == 1 else 'them'} as well."
                )
    for key in own.keys() & base.keys():
        yield from _kept(base[key], own[key], f"{where}.{key}".lstrip("."))


def _merged(base: Any, own: Any, key: str = "") -> Any:
    """The parent's value with the child's in its place, or beside it."""
    if isinstance(base, Mapping) and isinstance(own, Mapping) and key not in WHOLE:
        both = {k: _merged(base[k], own[k], str(k)) for k in own.keys() & base.keys()}
        return {**base, **own, **both}
    if key in KEYED and all(isinstance(v, Mapping) for v in (*_items(base), *_items(own))):
        names = KEYED[key]
        by_name = {tuple(v.get(n) for n in names): v for v in (*_items(base), *_items(own))}
        return list(by_name.values())
    return own


def _items(value: Any) -> Sequence[Any]:
    """The items of a list; any other value becomes the only item, which validation refuses."""
    return value if isinstance(value, list) else [value]
