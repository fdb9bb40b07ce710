"""Binds configuration values to the fields of a frozen dataclass, which is their schema."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from trustbench.errors import ConfigError, did_you_mean

T = TypeVar("T")

_LIST = "a list, [a,b]"
_KEYS = "keys with values, {{key: value}}"
_WANTED = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "set_type": _LIST,
    "dict_type": _KEYS,
    "mapping_type": _KEYS,
    "dataclass_type": _KEYS,
    "too_short": "a list of {min_length} or more items",
    "too_long": "a list of {max_length} or fewer items",
    "missing_argument": "a list with one more item",
    "unexpected_positional_argument": "a shorter list",
    "string_too_short": "text of {min_length} or more characters",
    "string_too_long": "text of {max_length} or fewer characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "none_required": "null",
    "missing": "given with all of its keys",
    "value_error": "{error}",
    "assertion_error": "{error}",
}
"""Kinds of pydantic errors whose wording does not suit a command line."""


def bind(cls: type[T], params: Mapping[str, Any], key: str) -> T:
    """Creates an instance of dataclass `cls`; `key` is the position of `params`.

    Raises:
        ConfigError: one sentence for each unknown key, missing value, wrong type or range.
    """
    hints, problems = schema(cls), Problems()
    for name in params:
        if name not in hints:
            problems.add(f"unknown key {key}.{name}; {did_you_mean(name, hints)}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if field.name in params:
            where, given = f"{key}.{field.name}".lstrip("."), params[field.name]
            values[field.name] = problems.of(check, hints[field.name], given, where)
        elif field.default is field.default_factory is dataclasses.MISSING:
            problems.add(f"{key}.{field.name} is missing; give it a value.")
    problems.raise_any()
    try:
        return cls(**values)
    except ValueError as error:  # a dataclass's own check across its fields
        raise ConfigError(f"{key}: {error}") from error


def check(hint: Any, value: Any, key: str) -> Any:
    """Converts `value` to type `hint`; a list from YAML becomes a tuple if needed.

    Raises:
        ConfigError: the value given at `key`, and what is allowed.
    """
    odd = next(_not_finite(value), None)
    if odd is not None:
        raise ConfigError(f"{key} is {shown(value)}; give finite numbers only, not {odd!r}.")
    # JSON is as strict as YAML: "3" is not a number and true is not an integer, but a list is a
    # tuple and a string is a path.
    try:
        return _adapter(hint).validate_json(json.dumps(value), strict=True)
    except TypeError as error:
        raise ConfigError(f"{key} is {value!r}; give plain YAML values: {error}.") from error
    except ValidationError as error:
        raise ConfigError(_nested(hint, key, value, error.errors())) from error


def schema(cls: type) -> dict[str, Any]:
    """The type of each field, ranges included.

    >>> from trustbench.config.arms import Protocol
    >>> sorted(schema(Protocol))
    ['calibration', 'inclusion', 'pools', 'replicates', 'shadows']
    """
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


class Problems:
    """Collects the sentences of many checks, so that all are reported at once."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Records one problem."""
        self.sentences.append(sentence)

    def of(self, make: Callable[..., T], *args: Any) -> T | None:
        """Returns `make(*args)`, or None if it raised ConfigError, which is kept."""
        try:
            return make(*args)
        except ConfigError as error:
            self.sentences.extend(error.problems)
            return None

    def raise_any(self) -> None:
        """Raises ConfigError with every distinct problem, if there is any."""
        if self.sentences:
            raise ConfigError(tuple(dict.fromkeys(self.sentences)))


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _not_finite(value: Any) -> Iterator[float]:
    """Every NaN or infinity in nested lists and mappings."""
    if isinstance(value, float) and not math.isfinite(value):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _not_finite(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _not_finite(inner)


def _nested(hint: Any, key: str, value: Any, errors: list[ErrorDetails]) -> str:
    """One sentence for what is wrong at the deepest key that all errors share."""
    while isinstance(value, Mapping) and all(e["loc"] for e in errors):
        name = errors[0]["loc"][0]
        if name not in value or any(e["loc"][0] != name for e in errors):
            break
        if errors[0]["type"] == "unexpected_keyword_argument" and len(errors[0]["loc"]) == 1:
            return f"unknown key {key}.{name}; {did_you_mean(str(name), _keys(hint))}"
        hint = _inside(hint, str(name))
        key, value = f"{key}.{name}", value[name]
        errors = [{**e, "loc": e["loc"][1:]} for e in errors]
    return _sentence(key, value, errors)


def _keys(hint: Any) -> list[str]:
    """The fields of a dataclass in a type, which may be one of several."""
    for part in (hint, *get_args(hint)):
        if dataclasses.is_dataclass(part):
            return [f.name for f in dataclasses.fields(part)]
    return []


def _inside(hint: Any, name: str) -> Any:
    """The type of a field of a dataclass, or of the values of a mapping."""
    origin = get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return get_args(hint)[-1]
    for part in (hint, *get_args(hint)):
        if isinstance(part, type) and dataclasses.is_dataclass(part):
            return schema(part).get(name, Any)
    return Any


def _sentence(key: str, value: Any, errors: list[ErrorDetails]) -> str:
    """One sentence for everything wrong with a value, or with one of its items."""
    wanted = " or ".join(dict.fromkeys(map(_wanted, errors)))
    place = errors[0]["loc"][:1]
    item_is_there = place and isinstance(place[0], int) and place[0] < len(value)
    if item_is_there and all(e["loc"][:1] == place for e in errors):
        item = shown(value[place[0]])
        return f"{key} is {shown(value)}; its item {item} should be {wanted}."
    return f"{key} is {shown(value)}; it should be {wanted}."


def complaint(error: ErrorDetails) -> str:
    """A pydantic error on one value in our words: what it should be, or a check's own text."""
    own = error["type"] in ("value_error", "assertion_error")
    return _wanted(error) if own else f"it should be {_wanted(error)}"


def _wanted(error: ErrorDetails) -> str:
    if error["type"] == "missing" and isinstance(error["loc"][-1], int):
        return f"a list of {error['loc'][-1] + 1} or more items"
    words = _WANTED.get(error["type"])
    if words is not None:
        return words.format(**error.get("ctx", {}))
    return error["msg"].removeprefix("Input should be ").split(", unable to parse")[0]


def shown(value: Any) -> str:
    """A value in YAML syntax where Python's differs."""
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
