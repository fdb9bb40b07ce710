"""Shared parts of model cards and datasheets: numbers, tables, settings, words of data cards."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from trustbench.store.labels import show, shown
from trustbench.summary.cards.figures import Figure
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import one_line
from trustbench.summary.render.known_interactions import safe
from trustbench.summary.stats.effects import Effect

INTENDED = "to compare what methods of trustworthy AI do to each other on this data set"
NAMES = {
    "description": "Description",
    "known_harms": "Known harms",
    "licence": "Licence of the data",
    "reference": "Reference",
    "synthetic": "Synthetic",
    "rows_public": "Single rows may be shown to anybody",
}
"""The names of the entries in the card of a data set."""


def level(value: float) -> str:
    """A number with four significant digits, never minus zero.

    >>> level(0.66449), level(-0.0), level(1234567.0)
    ('0.6645', '0', '1.235e+06')
    """
    return f"{value:z.4g}"


def interval(effect: Effect) -> str:
    """A mean with its 95 % interval and n."""
    return f"{level(effect.effect)} [{level(effect.low)}, {level(effect.high)}] {w.sample(effect)}"


def code(name: str) -> str:
    r"""An id as inline code, safe inside a table.

    >>> print(code("2252644c"), code("a`|b"))
    `2252644c` `a'\|b`
    """
    shown = one_line(name).replace("`", "'").replace("|", "\\|")
    return f"`{shown}`"


def grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table of cells that are already safe."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def settings(params: Mapping[str, Any]) -> str:
    """Settings on one line."""
    return safe(", ".join(f"{k}={show(v)}" for k, v in params.items())) or "none"


def chosen(
    params: Mapping[str, Any], defaults: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The settings that say something: not empty, and not the default; nested ones by dotted keys.

    >>> chosen({"a": None, "b": 2, "c": {"d": [], "e": 1, "f": 0}}, {"b": 2, "c": {"f": 0}})
    {'c.e': 1}
    """
    found: dict[str, Any] = {}
    for key, value in params.items():
        default = defaults.get(key)
        if isinstance(value, Mapping):
            inner = chosen(value, default if isinstance(default, Mapping) else {})
            found |= {f"{key}.{k}": v for k, v in inner.items()}
        elif value not in (None, "", [], ()) and value != default:
            found[key] = value
    return found


def in_words(value: Any) -> str:
    """An entry in the card of a data set; booleans as yes or no.

    >>> in_words(True), in_words("CC BY 4.0")
    ('yes', 'CC BY 4.0')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    return safe(str(value))


def out_of_scope(synthetic: bool) -> list[str]:
    """What numbers measured on a data set cannot show, with any method."""
    out = ["decisions about people", "other data, groups or attackers than those measured here"]
    return [*out, "statements about the world: the data are synthetic"] if synthetic else out


def figure_cells(record: str, figure: Figure) -> list[str]:
    """Mean with interval and unit, direction, rows, and source."""
    better = "higher" if figure.higher_is_better else "lower"
    unit = f" {safe(figure.unit)}" if figure.unit else ""
    at = f" ({shown(figure.settings)})" if figure.settings else ""
    source = f"{code(record)}, {safe(figure.evaluation + at)}"
    null = figure.chance
    chance = "" if null is None else f" (random groups of these sizes: {level(null)})"
    return [f"{interval(figure.mean)}{unit}{chance}", better, str(figure.rows), source]


FIGURE_HEAD = ("mean [95 % interval]", "better", "rows", "record, evaluation")


def figure_rows(
    record: str, metric: str, figures: Iterable[Figure], missing: Mapping[str, str]
) -> Iterator[list[str]]:
    """The cells under FIGURE_HEAD of every figure of a metric, or the reason for none."""
    found = [f for f in figures if f.metric == metric]
    yield from (figure_cells(record, f) for f in found)
    if not found:
        why = missing.get(metric) or missing.get(metric.split("/")[0])
        absent = safe(f"not measured: {why}" if why else "not measured")
        yield [absent, "", "", code(record)]
