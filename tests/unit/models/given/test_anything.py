"""Functions and objects of Python as given models, and packages that are missing."""

import importlib

import numpy as np
import pytest

from trustbench.contracts.given import ModelSource
from trustbench.errors import UserError
from trustbench.models.given.opening import open_model


def positive(rows):
    return np.clip(rows[:, 0], 0, 1)


class Vendor:
    classes_ = np.array([0.0, 1.0])

    def predict_proba(self, rows):
        return np.tile([0.3, 0.7], (len(rows), 1))


def test_a_function_and_an_object_answer():
    X = np.array([[0.2], [0.9]])
    model = open_model(ModelSource(positive, classes=("no", "yes")))
    assert model.predict_proba(X).tolist() == [[0.8, 0.2], [pytest.approx(0.1), 0.9]]
    assert model.describe()["kind"] == "positive from Python"
    assert open_model(ModelSource(Vendor())).classes == ("0", "1")
    assert open_model(ModelSource(Vendor())).predict_proba(X)[:, 1].tolist() == [0.7, 0.7]


def test_a_function_without_classes_and_a_class_are_refused():
    with pytest.raises(UserError, match="does not say which classes"):
        open_model(ModelSource(positive))
    with pytest.raises(UserError, match="is not a model that can be opened"):
        open_model(ModelSource(Vendor))


@pytest.mark.parametrize(("name", "package"), [
    ("m.onnx", "onnxruntime"), ("m.ubj", "xgboost"), ("m.txt", "lightgbm"),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(name, package, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(b"tree\n" if package == "lightgbm" else b"")
    real = importlib.import_module

    def without(module):
        if module.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(module)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(UserError, match=rf"needs the package {package}.*trustbench\[given\]"):
        open_model(ModelSource(tmp_path / name))
