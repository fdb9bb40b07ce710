"""What the graph of a model in ONNX says about its output."""

from typing import Any, Literal

Meaning = Literal["probabilities", "logits"]

# Nodes that hand on the numbers of their first input.
PASSING = frozenset({"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "ZipMap"})
# Nodes whose outputs have no bounds: at the end of a classifier, logits.
LINEAR = frozenset({"Gemm", "MatMul", "Add", "Conv", "LogSoftmax"})
LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def meaning(graph: Any, output: str) -> Meaning:
    """Whether an output holds logits, by the node that computes it; probabilities otherwise.

    A wrong guess of probabilities is refused when the answers are checked.
    """
    producers = {name: node for node in graph.node for name in node.output}
    node = producers.get(output)
    while node is not None and node.op_type in PASSING:
        node = producers.get(node.input[0])
    return "logits" if node is not None and node.op_type in LINEAR else "probabilities"


def class_labels(graph: Any) -> tuple[str, ...]:
    """The names of the classes that the last classifying node holds; empty if none does."""
    for node in reversed(graph.node):
        for attribute in node.attribute:
            if attribute.name in LABELS:
                texts = [s.decode() for s in attribute.strings]
                return tuple(texts or map(str, attribute.ints))
    return ()
