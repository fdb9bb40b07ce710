"""Models in ONNX answer as what they were exported from."""

import warnings

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trustbench.contracts.given import ModelSource
from trustbench.errors import ConfigError, UserError
from trustbench.models.given.onnx_graph import class_labels, meaning
from trustbench.models.given.opening import open_model


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    numbers = {name: rng.normal(size=200).astype(np.float32) for name in ("age", "income")}
    rows = pd.DataFrame({**numbers, "job": rng.choice(["clerk", "nurse"], 200)})
    return rows, np.where(rows.age + (rows.job == "nurse") > 0, "yes", "no")


def exported(estimator, example, path, **options):
    from skl2onnx import to_onnx

    path.write_bytes(to_onnx(estimator, example, **options).SerializeToString())
    return open_model(ModelSource(path))


@pytest.mark.parametrize("zipmap", [True, False])
def test_a_pipeline_reads_columns_by_name_and_text(zipmap, table, tmp_path):
    rows, y = table
    encode = make_column_transformer(
        (StandardScaler(), ["age", "income"]), (OneHotEncoder(), ["job"])
    )
    pipeline = make_pipeline(encode, LogisticRegression()).fit(rows, y)
    options = {LogisticRegression: {"zipmap": zipmap}}
    model = exported(pipeline, rows[:1], tmp_path / "m.onnx", options=options)
    assert model.classes == ("no", "yes")
    assert model.columns == ("age", "income", "job")
    shuffled = rows[["job", "income", "age"]].assign(extra=1)
    np.testing.assert_allclose(
        model.predict_proba(shuffled), pipeline.predict_proba(rows), atol=1e-5
    )
    decided = np.array(model.classes)[model.decide(shuffled)]
    assert (decided == pipeline.predict(rows)).all()
    with pytest.raises(UserError, match="reads the column 'age'"):
        model.predict_proba(rows.drop(columns="age"))


@pytest.mark.parametrize("classes", [None, ("bad", "good")])
def test_labels_beside_scores_are_the_decisions(classes, tmp_path):
    """A graph that decides for class 1 from a score of .8 on."""
    cut = helper.make_tensor("cut", TensorProto.FLOAT, [1], [0.8])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    shape = helper.make_tensor("shape", TensorProto.INT64, [1], [-1])
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["one", "x"], ["rest"]),
            helper.make_node("Concat", ["rest", "x"], ["p"], axis=1),
            helper.make_node("Greater", ["x", "cut"], ["above"]),
            helper.make_node("Cast", ["above"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "shape"], ["label"]),
        ],
        "cut",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 2]),
        ],
        [cut, one, shape],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(made, tmp_path / "m.onnx")
    model = open_model(ModelSource(tmp_path / "m.onnx", classes=classes))
    X = np.array([[0.1], [0.6], [0.9]], dtype=np.float32)
    assert model.predict_proba(X).argmax(1).tolist() == [0, 1, 1]
    assert model.decide(X).tolist() == [0, 0, 1]


def test_a_forest_reads_the_numbers_of_a_table(table, tmp_path):
    rows, y = table
    X = rows[["age", "income"]].to_numpy()
    forest = RandomForestClassifier(5, random_state=0).fit(X, y)
    model = exported(forest, X[:1], tmp_path / "m.onnx")
    np.testing.assert_allclose(model.predict_proba(rows), forest.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), forest.predict_proba(X), atol=1e-6)
    with pytest.raises(UserError, match=r"shape \[2\]; these rows have shape \[200, 1\]"):
        model.predict_proba(X[:, :1])


def torch_file(net, width, path, rows_of_batch="n"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without onnxscript is deprecated
        axes = {"x": {0: "n"}, "y": {0: "n"}} if rows_of_batch == "n" else None
        torch.onnx.export(
            net, (torch.zeros(1 if axes else rows_of_batch, width),), str(path), dynamo=False,
            dynamic_axes=axes, input_names=["x"], output_names=["y"],
        )  # fmt: skip


@pytest.mark.parametrize("rows_of_batch", ["n", 1, 7])
def test_logits_of_a_network_become_probabilities_at_any_batch_size(rows_of_batch, tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    torch_file(net, 3, tmp_path / "m.onnx", rows_of_batch)
    X = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    model = open_model(ModelSource(tmp_path / "m.onnx"))
    with torch.no_grad():
        expected = net(torch.as_tensor(X)).softmax(1).numpy()
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)
    assert model.describe()["output"] == "y, read as logits"
    assert model.classes == ("0", "1", "2")


def test_a_single_sigmoid_is_the_second_class(tmp_path):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Sigmoid())
    torch_file(net, 2, tmp_path / "m.onnx")
    X = np.ones((4, 2), np.float32)
    found = open_model(ModelSource(tmp_path / "m.onnx")).predict_proba(X)
    with torch.no_grad():
        np.testing.assert_allclose(found[:, 1], net(torch.as_tensor(X)).numpy()[:, 0], atol=1e-6)


def graph_of(op, **attributes):
    node = helper.make_node(op, ["x"], ["h"], **attributes)
    nodes = [node, helper.make_node("Identity", ["h"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 2]) for n in "xy"]
    return helper.make_graph(nodes, "g", ends[:1], ends[1:])


def test_the_graph_says_what_its_output_is():
    assert meaning(graph_of("Softmax"), "y") == "probabilities"
    assert meaning(graph_of("LogSoftmax"), "y") == "logits"
    assert meaning(graph_of("Relu"), "y") == "probabilities"
    labelled = graph_of("LinearClassifier", classlabels_ints=[3, 5])
    assert class_labels(labelled) == ("3", "5")
    assert class_labels(graph_of("Softmax")) == ()


def test_what_the_graph_cannot_say_is_an_option(tmp_path):
    path = tmp_path / "m.onnx"
    model = helper.make_model(graph_of("Relu"), opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    onnx.save(model, str(path))
    X = np.array([[0.0, 2.0]], np.float32)
    stated = open_model(ModelSource(path, options={"output": "logits"}))
    assert stated.predict_proba(X)[0, 1] == pytest.approx(1 / (1 + np.exp(-2)))
    with pytest.raises(ConfigError, match="available: probabilities, logits"):
        open_model(ModelSource(path, options={"output": "scores"}))


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match=r"onnxruntime cannot read the model .*m\.onnx"):
        open_model(ModelSource(tmp_path / "m.onnx"))
