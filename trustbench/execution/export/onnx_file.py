"""An exported table model as ONNX: raw columns in, probabilities out, scaling included."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from trustbench.contracts.encoding import CategoryColumn, Encoder, NumberColumn
from trustbench.errors import Unsupported, UserError
from trustbench.execution.export.model import ExportedModel
from trustbench.store.files import write_atomically

OPSET, ML_OPSET, IR = 17, 3, 8
"""Versions that runtimes since 2022 read."""
CLOSE = 1e-5
ACTIVATIONS = {nn.Tanh: "Tanh", nn.ReLU: "Relu"}


def refuse_missing() -> None:
    """Raises UserError if a package that ONNX needs is not installed."""
    missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--to onnx needs the package {' and '.join(missing)}; install it with "
            "`pip install 'trustbench[onnx]'`, or export with --to folder."
        )


def write(model: ExportedModel, path: Path) -> None:
    """Writes the model's probabilities as an ONNX graph with one input for each raw column.

    Numbers are inputs of doubles [n, 1], categories of text [n, 1]. The output `probabilities` is
    float32 [n, C] in the order of the classes; an unknown category gives a row of NaN.

    Raises:
        Unsupported: the data are not tabular, the network is not a chain of linear layers, or the
            deployed probabilities are more than the network's.
    """
    encoder = model.system.problem.encoder
    if encoder is None:
        raise Unsupported("only models of tables are exported as ONNX; take --to folder.")
    module = model.network
    if module is None:
        raise Unsupported(
            "only chains of Linear, Tanh, ReLU and Dropout layers are exported as ONNX; take "
            "--to folder."
        )
    graph = _Graph()
    graph.layers(module, graph.inputs(encoder))
    data = graph.model(model, encoder)
    _verify(data, model, encoder)
    write_atomically(path, data)


class _Graph:
    """The nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Adds a node; returns the name of its output."""
        from onnx import helper

        domain = "ai.onnx.ml" if kind == "LabelEncoder" else ""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def constant(self, value: Any) -> str:
        """Adds a constant; returns its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def inputs(self, encoder: Encoder) -> str:
        """Adds what turns raw columns into inputs [n, d]; returns their name."""
        parts = []
        for column in encoder.columns:
            if isinstance(column, NumberColumn):
                parts += self._number(column)
            elif isinstance(column, CategoryColumn):
                parts.append(self._category(column))
            else:
                raise Unsupported(
                    f"column {column.name} ({column.kind}) has no form in ONNX yet; take "
                    "--to folder."
                )
        return self.node("Concat", parts, axis=1)

    def _number(self, column: NumberColumn) -> list[str]:
        from onnx import TensorProto

        value, indicators = column.name, list[str]()
        if column.fill is not None:
            absent = self.node("IsNaN", [value])
            value = self.node("Where", [absent, self.constant(np.float64(column.fill)), value])
            if column.indicator:
                indicators.append(self.node("Cast", [absent], to=TensorProto.FLOAT))
        centred = self.node("Sub", [value, self.constant(np.float64(column.mean))])
        scaled = self.node("Div", [centred, self.constant(np.float64(column.deviation))])
        return [self.node("Cast", [scaled], to=TensorProto.FLOAT), *indicators]

    def _category(self, column: CategoryColumn) -> str:
        """One input for each level; NaN in all of them for an unknown value."""
        known = {level: k for k, level in enumerate(column.levels)}
        known |= {code: known[level] for code, level in column.codes.items() if level in known}
        other = known.get(column.other, -1) if column.other is not None else -1
        place = self.node(
            "LabelEncoder",
            [column.name],
            keys_strings=list(known),
            values_int64s=list(known.values()),
            default_int64=other,
        )
        places = self.constant(np.arange(len(column.levels), dtype=np.int64)[None])
        same = self.node("Equal", [place, places])
        one, zero, nan = (self.constant(np.float32(v)) for v in (1, 0, np.nan))
        block = self.node("Where", [same, one, zero])
        unknown = self.node("Less", [place, self.constant(np.int64(0))])
        return self.node("Where", [unknown, nan, block])

    def layers(self, module: nn.Module, value: str) -> None:
        """Adds the network and its softmax."""
        for layer in module.children():
            if isinstance(layer, nn.Linear):
                weights = [self.constant(p.detach().cpu().numpy()) for p in layer.parameters()]
                value = self.node("Gemm", [value, *weights], transB=1)
            elif type(layer) in ACTIVATIONS:
                value = self.node(ACTIVATIONS[type(layer)], [value])
        self.node("Softmax", [value], axis=-1)
        self.nodes[-1].output[0] = "probabilities"

    def model(self, model: ExportedModel, encoder: Encoder) -> bytes:
        """The whole graph, checked."""
        from onnx import TensorProto, checker, helper

        inputs = [
            helper.make_tensor_value_info(
                c.name,
                TensorProto.DOUBLE if isinstance(c, NumberColumn) else TensorProto.STRING,
                ["rows", 1],
            )
            for c in encoder.columns
        ]
        shape: list[str | int | None] = ["rows", len(model.classes)]
        output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "trustbench", inputs, [output], self.constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        made = helper.make_model(graph, opset_imports=opsets, producer_name="trustbench")
        made.ir_version = IR
        helper.set_model_props(
            made,
            {
                "classes": "\n".join(model.classes),
                "label": model.spec.label,
                "record": model.spec.record,
            },
        )
        checker.check_model(made)
        data: bytes = made.SerializeToString()
        return data


def _verify(data: bytes, model: ExportedModel, encoder: Encoder) -> None:
    """Raises Unsupported if the graph's probabilities are not the deployed ones."""
    import onnxruntime

    rows: Any = model.example()
    feed: dict[str, Any] = {
        c.name: rows[[c.name]].to_numpy(dtype=float if isinstance(c, NumberColumn) else object)
        for c in encoder.columns
    }
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found = session.run(["probabilities"], feed)[0]
    if not np.allclose(found, model.predict_proba(rows), atol=CLOSE):
        raise Unsupported(
            f"what {model.spec.label} releases is more than its network's probabilities, which is "
            "all that ONNX holds; take --to folder or --to mlflow."
        )
