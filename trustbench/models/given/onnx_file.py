"""A model in ONNX, run by onnxruntime on the CPU."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from typing_extensions import override

from trustbench.contracts import Array, Fact
from trustbench.contracts.given import Adapter, GivenChannel, GivenModel, ModelSource
from trustbench.errors import ConfigError, UserError
from trustbench.models.given.answers import both_classes, from_margins, named_classes, own_classes
from trustbench.models.given.class_names import class_positions
from trustbench.models.given.columns import Rows, is_number, numbers, ordered
from trustbench.models.given.files import digest
from trustbench.models.given.onnx_graph import Meaning, class_labels, meaning
from trustbench.models.given.optional import optional

WHAT = "a model in ONNX"
TYPES: Mapping[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": object,
}
Form = Literal["tensor", "maps"]


@dataclass(frozen=True)
class OnnxModel:
    """A classifier in ONNX: one input for all columns, or one for each column, named like it.

    `meaning` says what the numbers of its output are; see `onnx_graph.meaning`.
    """

    name: str
    session: Any = field(repr=False)  # onnxruntime.InferenceSession
    classes: tuple[str, ...]
    output: str
    form: Form
    meaning: Meaning
    sha256: str
    keys: tuple[str, ...] = ()  # the classes as the file names them
    label: str | None = None  # the output with the decided classes, if there is one

    channels: ClassVar[frozenset[GivenChannel]] = frozenset({"probabilities", "queries"})
    module: ClassVar[None] = None

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the inputs if there is one for each column; None for a single matrix."""
        inputs = self.session.get_inputs()
        return tuple(i.name for i in inputs) if len(inputs) > 1 else None

    def predict_proba(self, rows: Rows) -> Array:
        """Probabilities, float64 [n, C]."""
        feeds = self._feeds(rows)
        parts = [self._run(part, n) for part, n in self._batches(feeds, len(rows))]
        answer = np.concatenate(parts) if parts else np.zeros((0, len(self.classes)))
        if self.meaning == "logits":
            return from_margins(answer)
        if answer.ndim == 1 or answer.shape[1] == 1:
            return both_classes(answer)
        return answer

    def decide(self, rows: Rows) -> Array | None:
        """The positions of the classes that the graph returns beside its scores, [n]."""
        if self.label is None:
            return None
        parts = [
            np.asarray(self._ask(self.label, part)).reshape(-1)[:n]
            for part, n in self._batches(self._feeds(rows), len(rows))
        ]
        found = np.concatenate(parts)
        place = class_positions(found, self.keys or [str(k) for k in range(len(self.classes))])
        if (place < 0).any():
            raise UserError(
                f"model {self.name} decides {str(found[place.argmin()])[:60]!r} in its output "
                f"{self.label}, which is not one of its classes; let it return these."
            )
        return place

    def describe(self) -> dict[str, Fact]:
        """The kind, the digest of the file, and the inputs."""
        inputs = self.session.get_inputs()
        return {
            "kind": "ONNX",
            "digest": self.sha256,
            "signature": ", ".join(f"{i.name}: {i.type} {i.shape}" for i in inputs),
            "output": f"{self.output}, read as {self.meaning}",
        }

    def _feeds(self, rows: Rows) -> dict[str, Array]:
        inputs = self.session.get_inputs()
        if len(inputs) == 1:
            return {inputs[0].name: self._matrix(rows, inputs[0])}
        table = ordered(rows, [i.name for i in inputs], self.name)
        return {i.name: self._column(table[i.name], i) for i in inputs}

    def _matrix(self, rows: Rows, one: Any) -> Array:
        sizes = tuple(s for s in one.shape[1:] if isinstance(s, int))
        width = int(np.prod(sizes)) if len(sizes) == len(one.shape) - 1 else None
        if isinstance(rows, pd.DataFrame):
            if width is not None and rows.shape[1] != width:
                rows = rows.select_dtypes(["number", "bool"])
            values = numbers(rows, width or rows.shape[1], self.name)
        else:
            values = np.asarray(rows)
        if width is not None:
            if values[:1].size != width * len(values[:1]):
                raise UserError(
                    f"model {self.name} takes inputs of shape {list(sizes)}; these rows have shape "
                    f"{list(values.shape)}."
                )
            values = values.reshape(len(values), *sizes)
        return values.astype(TYPES[one.type])

    def _column(self, column: "pd.Series", one: Any) -> Array:
        kind = TYPES[one.type]
        if kind is object:
            values = column.astype(str).to_numpy(dtype=object)
        elif not is_number(column):
            raise UserError(
                f"model {self.name} takes numbers in {one.name!r}, and the column holds text; "
                "give it as the model expects it."
            )
        else:
            values = column.to_numpy(dtype=np.float64, na_value=np.nan).astype(kind)
        return values.reshape(-1, *[1] * (len(one.shape) - 1))

    def _batches(self, feeds: dict[str, Array], n: int) -> Iterator[tuple[dict[str, Array], int]]:
        """The rows as the model takes them: all at once, or padded to its fixed batch size."""
        first = self.session.get_inputs()[0].shape[0]
        size = first if isinstance(first, int) else max(n, 1)
        for at in range(0, n, size):
            part = {k: v[at : at + size] for k, v in feeds.items()}
            real = len(next(iter(part.values())))
            if isinstance(first, int) and real < size:
                part = {k: np.repeat(v, [1] * (real - 1) + [size - real + 1], axis=0)
                        for k, v in part.items()}  # fmt: skip
            yield part, real

    def _ask(self, output: str, feeds: dict[str, Array]) -> Any:
        """What an output holds."""
        state = optional("onnxruntime.capi.onnxruntime_pybind11_state", WHAT)
        try:
            (answer,) = self.session.run([output], feeds)
        except (state.InvalidArgument, state.Fail, state.RuntimeException) as error:
            reason = str(error).splitlines()[0].rpartition(" : ")[2]
            raise UserError(f"model {self.name} cannot score these rows: {reason}") from error
        return answer

    def _run(self, feeds: dict[str, Array], n: int) -> Array:
        """The numbers [n, C] or [n, 1] that the output of scores holds."""
        answer = self._ask(self.output, feeds)
        if self.form == "maps":
            answer = [[row[key] for key in self.keys or row] for row in map(_texts, answer)]
        found = np.asarray(answer, dtype=np.float64)[:n]
        return found.reshape(len(found), -1)


class OnnxAdapter(Adapter):
    """Opens `.onnx` files.

    The option `output` says what the output holds, `probabilities` or `logits`, where the graph
    does not tell.
    """

    kind: ClassVar[str] = "a model in ONNX"
    example: ClassVar[str] = "model.onnx"
    rank: ClassVar[int] = 30

    @override
    def accepts(self, source: ModelSource) -> bool:
        return source.path is not None and source.path.suffix.lower() == ".onnx"

    @override
    def open(self, source: ModelSource) -> GivenModel:
        runtime, path = optional("onnxruntime", WHAT), source.path
        assert path is not None
        state = optional("onnxruntime.capi.onnxruntime_pybind11_state", WHAT)
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except (
            state.InvalidProtobuf, state.InvalidGraph, state.Fail, state.NotImplemented,
            state.InvalidArgument, state.NoSuchFile,
        ) as error:  # fmt: skip
            reason = str(error).splitlines()[0].rpartition(" : ")[2]
            raise UserError(f"onnxruntime cannot read the model {path}: {reason}") from error
        return _opened(source, path, session)


def _opened(source: ModelSource, path: Path, session: Any) -> OnnxModel:
    _refuse_inputs(source, session)
    output, form = _output(source, session)
    graph = optional("onnx", WHAT).load(str(path), load_external_data=False).graph
    labels = class_labels(graph)
    size = output.shape[1] if form == "tensor" and len(output.shape) > 1 else 0
    count = len(labels) or (size if isinstance(size, int) else 0) or len(source.classes or ())
    classes = own_classes(source, labels) if labels else named_classes(source, max(2, count))
    read_as: Any = source.options.get("output", meaning(graph, output.name))
    if read_as not in get_args(Meaning):
        raise ConfigError(
            f"output={read_as} is not known; available: {', '.join(get_args(Meaning))}."
        )
    return OnnxModel(
        source.name, session, classes, output.name, form, read_as, digest(path), labels,
        _label(session),
    )  # fmt: skip


def _label(session: Any) -> str | None:
    """The one output with a whole number or a text for each row: the decided class."""
    kinds = ("tensor(int64)", "tensor(int32)", "tensor(string)")
    found = [o.name for o in session.get_outputs() if o.type in kinds and len(o.shape) == 1]
    return found[0] if len(found) == 1 else None


def _texts(row: Mapping[Any, float]) -> dict[str, float]:
    return {str(key): value for key, value in row.items()}


def _refuse_inputs(source: ModelSource, session: Any) -> None:
    for one in session.get_inputs():
        if one.type not in TYPES:
            raise UserError(
                f"model {source.name} has an input {one.name!r} of type {one.type}; readable: "
                f"{', '.join(TYPES)}."
            )


def _output(source: ModelSource, session: Any) -> tuple[Any, Form]:
    """The output with one number per class, and its form.

    Raises:
        UserError: no output holds such numbers, or several do.
    """
    found: list[tuple[Any, Form]] = []
    for one in session.get_outputs():
        if one.type.startswith("seq(map("):
            found.append((one, "maps"))
        elif one.type in ("tensor(float)", "tensor(double)", "tensor(float16)"):
            found.append((one, "tensor"))
    if len(found) != 1:
        names = ", ".join(f"{o.name}: {o.type}" for o in session.get_outputs())
        raise UserError(
            f"model {source.name} has {len(found)} outputs of floating-point numbers ({names}); "
            "an audit needs exactly one, the probabilities or the logits."
        )
    return found[0]
