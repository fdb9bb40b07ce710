"""Reads YAML that somebody else wrote: within bounds, and every fault of it is a YAMLError."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

LONGEST = 2**20
_TOO_LONG = "it holds more than 1 MB of text"
DEEPEST = 50
"""Lists and mappings inside each other; a policy has 5 levels, a table 8."""
MOST_VALUES = 50_000
"""Values of a document after its aliases are filled in; the largest table has 2,000."""
MOST_DIGITS = 100
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is installed: ten times as fast."""
_WHOLE = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|[0-9_:]+)")
# what PyYAML raises on a tag that does not fit its value: `!!int x`, `!!timestamp x`, 2001-99-99
MISFITS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class UnboundedYaml(yaml.YAMLError):
    """A document that is too large, too deep or refers to itself; the text says which."""


def text(path: Path) -> str:
    """The text of a file, read no further than it may be long.

    Raises:
        OSError, UnicodeDecodeError, UnboundedYaml: it cannot be read, or is too long.
    """
    with path.open("rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise UnboundedYaml(_TOO_LONG)
    return data.decode("utf-8")


def check(text: str) -> None:
    """Raises YAMLError for a document that would take minutes or gigabytes to read.

    >>> check("a: &a [*a]")
    Traceback (most recent call last):
    ...
    trustbench.store.yaml_text.UnboundedYaml: the anchor &a holds itself
    """
    if len(text) > LONGEST:
        raise UnboundedYaml(_TOO_LONG)
    count = _Count()
    for event in yaml.parse(text, Loader=LOADER):
        count.add(event)


def load(text: str) -> Any:
    """The value of the one document in `text`.

    Raises:
        YAMLError: it is not YAML, or out of bounds.
    """
    node = compose(text)
    return None if node is None else construct(node)


def compose(text: str) -> yaml.Node | None:
    """The nodes of the one document in `text`, whose keys may still occur twice."""
    check(text)
    node: yaml.Node | None = yaml.compose(text, Loader=LOADER)
    return node


def construct(node: yaml.Node) -> Any:
    """The value of a node of `compose`."""
    try:
        return LOADER("").construct_document(node)
    except MISFITS as error:
        raise misfit(error) from error


def misfit(error: Exception) -> yaml.MarkedYAMLError:
    """The fault that one of MISFITS means."""
    what = str(error).partition("\n")[0].partition(";")[0] or type(error).__name__
    return yaml.MarkedYAMLError(problem=f"a value does not fit its type ({what})")


@dataclass
class _Count:
    """Walks the events of a document and counts the values that it holds when filled in."""

    open: list[tuple[str | None, int]] = field(default_factory=list)
    """The anchor of each list or mapping that is open, and the total when it began."""
    sizes: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def add(self, event: yaml.Event) -> None:
        """Counts one event; raises UnboundedYaml."""
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            self._keep(anchor, before)
            return
        if isinstance(event, yaml.AliasEvent):
            self.total += self._size(str(event.anchor))
        elif isinstance(event, yaml.NodeEvent):
            self.total += 1
            self._begin(event)
        if self.total > MOST_VALUES:
            raise UnboundedYaml(
                f"it holds more than {MOST_VALUES:,} values, counting those that aliases repeat"
            )

    def _begin(self, event: yaml.NodeEvent) -> None:
        if isinstance(event, yaml.ScalarEvent):
            _refuse_long(event)
            self._keep(event.anchor, self.total - 1)
            return
        self.open.append((event.anchor, self.total - 1))
        if len(self.open) > DEEPEST:
            raise UnboundedYaml(f"it nests lists and mappings more than {DEEPEST} deep")

    def _keep(self, anchor: str | None, before: int) -> None:
        if anchor is not None:
            self.sizes[anchor] = self.total - before

    def _size(self, anchor: str) -> int:
        if any(anchor == opened for opened, _ in self.open):
            raise UnboundedYaml(f"the anchor &{anchor} holds itself")
        return self.sizes.get(anchor, 1)


def _refuse_long(event: yaml.ScalarEvent) -> None:
    if len(event.value) <= MOST_DIGITS or not _WHOLE.fullmatch(event.value):
        return
    if event.implicit[0] or (event.tag or "").endswith(":int"):
        raise UnboundedYaml(f"it holds a whole number of more than {MOST_DIGITS} digits")


def repeated(node: yaml.Node | None, where: str = "") -> Iterator[str]:
    """Every key that occurs twice in a mapping; YAML would silently keep the last."""
    if isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from repeated(item, f"{where}{i}.")
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            name = f"{where}{key.value if isinstance(key, yaml.ScalarNode) else '?'}"
            if name in seen and not name.endswith("?"):
                yield name
            seen.add(name)
            yield from repeated(value, f"{name}.")
