"""Opens a given model with the adapter that accepts its source."""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from functools import cache
from inspect import isabstract

from trustbench.contracts.given import Adapter, GivenModel, ModelSource
from trustbench.errors import UserError
from trustbench.models import given


def open_model(source: ModelSource, beside: Sequence[Adapter] = ()) -> GivenModel:
    """The model of a source, by an adapter of this package or one of those `beside` it.

    Raises:
        UserError: no adapter accepts the source, or the model cannot be used.
    """
    every = sorted([*adapters(), *beside], key=_turn)
    for adapter in every:
        if adapter.accepts(source):
            return adapter.open(source)
    kinds = "; ".join(f"{a.kind} ({a.example})" for a in every)
    missing = isinstance(source.given, str) and source.path is None and ":" not in source.given
    what = "is not an existing file or folder" if missing else "is not a model that can be opened"
    raise UserError(f"model {source.name} {what}; give {kinds}.")


@cache
def adapters() -> tuple[Adapter, ...]:
    """Every adapter in this package, in the order in which they are asked."""
    return tuple(sorted(_found(), key=_turn))


def _found() -> Iterator[Adapter]:
    for module in pkgutil.iter_modules(given.__path__, f"{given.__name__}."):
        for cls in vars(importlib.import_module(module.name)).values():
            adapter = isinstance(cls, type) and issubclass(cls, Adapter)
            if adapter and cls.__module__ == module.name and not isabstract(cls):
                yield cls()


def _turn(adapter: Adapter) -> tuple[int, str]:
    return adapter.rank, adapter.kind
