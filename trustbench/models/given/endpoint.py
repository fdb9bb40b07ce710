"""A model behind an HTTP address: rows go out as JSON, probabilities come back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.errors import ConfigError, UserError
from trustbench.models.given.answers import both_classes
from trustbench.models.given.class_names import class_positions
from trustbench.models.given.columns import Rows
from trustbench.models.given.http import Address, Limits

Request = Literal["dataframe_split", "dataframe_records", "instances"]
Answers = Literal["probabilities", "labels"]
BATCH = 256
DECISION = "decision"
"""The key of a decided class beside the probabilities of a row."""


@dataclass(frozen=True)
class Endpoint:
    """A server that answers POST requests of rows with probabilities.

    `request` is the form of the JSON: MLflow's `dataframe_split` or `dataframe_records`, or
    `instances` (KServe, TensorFlow Serving, Vertex AI). The answer is a list with an entry for each
    row, alone or under "predictions". An entry is the probabilities of all classes as a list or by
    name, or one number, that of the second of two classes; with `answers` labels, a class's name.
    Beside probabilities by name, `decision` may name the class that the server decides.
    """

    address: Address = field(repr=False)
    classes: tuple[str, ...]
    request: Request = "dataframe_split"
    answers: Answers = "probabilities"
    batch: int = BATCH

    module: ClassVar[None] = None

    @property
    def channels(self) -> frozenset[GivenChannel]:
        """Queries, and probabilities unless it answers labels."""
        offered: set[GivenChannel] = {"queries"}
        return frozenset(
            offered | ({"probabilities"} if self.answers == "probabilities" else set())
        )

    def predict_proba(self, rows: Rows) -> Array:
        """Probabilities, float64 [n, C]."""
        parts = [
            self._answers(rows[at : at + self.batch]) for at in range(0, len(rows), self.batch)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)))

    def decide(self, rows: Rows) -> Array | None:
        """The positions of the decided classes, [n]; None if the first answer names none."""
        found: list[Any] = []
        for at, size in ((0, 1), *((k, self.batch) for k in range(1, len(rows), self.batch))):
            entries = self._entries(rows[at : at + size])
            if not all(isinstance(one, Mapping) and DECISION in one for one in entries):
                return None
            found += [one[DECISION] for one in entries]
        return np.asarray(self._decisions(found).argmax(axis=1))

    def describe(self) -> dict[str, Fact]:
        """The kind and the address, without what may be secret in it."""
        return {
            "kind": "HTTP endpoint",
            "address": self.address.shown,
            "signature": f"{self.request} -> {self.answers}",
        }

    def _answers(self, rows: Rows) -> Array:
        found = self._entries(rows)
        if self.answers == "labels":
            return self._decisions(found)
        return self._numbers([self._entry(one) for one in found])

    def _entries(self, rows: Rows) -> list[Any]:
        """What the server answers, an entry for each row."""
        found = self.address.post(_body(rows, self.request))
        if isinstance(found, Mapping):
            found = found.get("predictions")
        if not isinstance(found, list) or len(found) != len(rows):
            what = f"{len(found)} entries" if isinstance(found, list) else type(found).__name__
            raise UserError(
                f"{self.address.shown} answers {len(rows)} rows with {what}; an audit needs a list "
                'with an entry for each row, alone or under "predictions".'
            )
        return found

    def _decisions(self, labels: list[Any]) -> Array:
        place = class_positions(labels, self.classes)
        if (place < 0).any():
            unknown = str(labels[int((place < 0).argmax())])[:60]
            raise UserError(
                f"{self.address.shown} answers {unknown!r}, which is not one of the classes "
                f"{', '.join(self.classes)}; name the classes as the server does."
            )
        return np.eye(len(self.classes))[place]

    def _entry(self, one: Any) -> Any:
        """One row's answer, with the classes in order."""
        if not isinstance(one, Mapping):
            return one
        missing = [name for name in self.classes if name not in one]
        if missing:
            raise UserError(
                f"{self.address.shown} answers without the class {missing[0]!r}; it names "
                f"{', '.join(map(str, one))}. Name the classes as the server does."
            )
        return [one[name] for name in self.classes]

    def _numbers(self, entries: list[Any]) -> Array:
        try:
            values = np.asarray(entries, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise self._useless(entries[0]) from error
        if len(self.classes) == 2 and values.shape in ((len(entries),), (len(entries), 1)):
            if all(isinstance(one, int) for one in entries):
                raise self._useless(entries[0])  # labels: a probability of 1 is written 1.0
            values = both_classes(values)
        if values.shape != (len(entries), len(self.classes)) or not np.isfinite(values).all():
            raise self._useless(entries[0])
        return values

    def _useless(self, entry: Any) -> UserError:
        return UserError(
            f"{self.address.shown} answers a row with {str(entry)[:60]!r}; an audit needs "
            f"the probabilities of its {len(self.classes)} classes ({', '.join(self.classes)}). "
            "MLflow serves them if the model is logged with pyfunc_predict_fn='predict_proba'; "
            "answers=labels audits decisions alone."
        )


class EndpointAdapter(Adapter):
    """Opens http:// and https:// addresses.

    Options: `request`, `answers`, `batch` (rows of a request), `timeout_s`, `retries`, `max_mb` (of
    an answer), and `header.NAME` for each header to send.
    """

    kind: ClassVar[str] = "a model behind an HTTP address"
    example: ClassVar[str] = "http://127.0.0.1:5001/invocations"
    rank: ClassVar[int] = 10

    @override
    def accepts(self, source: ModelSource) -> bool:
        return isinstance(source.given, str) and urlsplit(source.given).scheme in ("http", "https")

    @override
    def open(self, source: ModelSource) -> GivenModel:
        if source.classes is None:
            raise UserError(
                f"model {source.name} does not say which classes it answers; give a table with the "
                "target, or `classes` in the order of its answers."
            )
        request: Any = _choice(source, "request", get_args(Request))
        answers: Any = _choice(source, "answers", get_args(Answers))
        batch = int(source.options.get("batch") or BATCH)
        if batch < 1:
            raise ConfigError(f"batch={batch} is too small; give at least 1 row.")
        headers = {
            key.removeprefix("header."): str(value)
            for key, value in source.options.items()
            if key.startswith("header.")
        }
        address = Address(str(source.given), Limits.of(source.options), headers)
        return Endpoint(address, source.classes, request, answers, batch)


def _choice(source: ModelSource, key: str, available: tuple[str, ...]) -> str:
    """An option that is one of several words; the first is the default."""
    chosen = str(source.options.get(key, available[0]))
    if chosen not in available:
        raise ConfigError(f"{key}={chosen} is not known; available: {', '.join(available)}.")
    return chosen


def _body(rows: Rows, request: Request) -> dict[str, Any]:
    """The rows as JSON: missing values are null, dates are ISO 8601."""
    if not isinstance(rows, pd.DataFrame):
        values = np.asarray(rows).tolist()
        if request == "instances":
            return {"instances": values}
        return _body(pd.DataFrame(np.asarray(rows).reshape(len(rows), -1)), request)
    columns = [str(c) for c in rows.columns]
    data = [[_plain(v) for v in row] for row in rows.astype(object).to_numpy()]
    if request == "dataframe_split":
        return {request: {"columns": columns, "data": data}}
    return {request: [dict(zip(columns, row, strict=True)) for row in data]}


def _plain(value: Any) -> Any:
    """A cell as JSON holds it."""
    if pd.isna(value):
        return None
    if isinstance(value, np.generic):
        return value.item()
    return value.isoformat() if hasattr(value, "isoformat") else value
