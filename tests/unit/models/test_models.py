"""Every architecture: shapes, determinism, what it refuses, and that both engines can train it."""

import math

import pytest
import torch
from torch import nn

from tests.conftest import make_problem
from trustbench.config.binding import bind
from trustbench.contracts import Feature, Problem
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.pixels import pixel_features
from trustbench.errors import ConfigError
from trustbench.models.cnn import CNN
from trustbench.models.logistic import Logistic
from trustbench.models.mlp import MLP
from trustbench.models.resnet18 import ResNet18
from trustbench.training.engine_choice import is_linear_chain
from trustbench.training.engines import stack
from trustbench.training.functional import FunctionalEngine
from trustbench.training.opacus_engine import OpacusEngine

MODELS = {"logistic": Logistic(), "mlp": MLP(), "cnn": CNN(), "resnet18": ResNet18()}
SHAPES = [(64,), (1, 28, 28), (3, 32, 32)]


def images(shape, n=40, classes=3):
    """A problem of random images; flat shapes get the pixel features of a square."""
    base = make_problem(n=n, d=2, classes=classes, groups=2)
    X = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0)).numpy()
    grid = (math.isqrt(shape[0]),) * 2 if len(shape) == 1 else shape
    return Problem(**{**vars(base), "X": X, "features": pixel_features(grid)})


def built(model, problem, seed=0):
    with Streams(seed).global_torch("initialisation", 0):
        return model.build(problem)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_logits_have_one_column_per_class(name, shape):
    problem = images(shape)
    assert MODELS[name].supports(problem) is None
    logits = built(MODELS[name], problem)(torch.as_tensor(problem.X[:5]))
    assert logits.shape == (5, 3)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_come_from_the_stream_alone(name):
    problem = images((64,))
    a, b, other = (built(MODELS[name], problem, s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], other[k]) for k in a)


@pytest.mark.parametrize("name", MODELS)
def test_a_logit_depends_on_its_own_row_only(name):
    """What BatchNorm would break, and with it every per-example bound."""
    problem = images((64,))
    model = built(MODELS[name], problem).train()
    X = torch.as_tensor(problem.X[:8])
    alone = torch.cat([model(x[None]) for x in X])
    torch.testing.assert_close(model(X), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_works_in_place_and_nothing_keeps_buffers(name):
    model = built(MODELS[name], images((3, 32, 32)))
    assert not any(getattr(m, "inplace", False) for m in model.modules())
    assert list(model.buffers()) == []
    assert not any(isinstance(m, nn.AdaptiveAvgPool2d) for m in model.modules())


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_dense_models_are_chains_with_closed_form_gradients(name):
    assert is_linear_chain(built(MODELS[name], images((1, 28, 28))))


def test_widths_and_activation_are_those_asked_for():
    model = MLP(hidden=(7, 5), activation="relu").build(make_problem(d=4, classes=3))
    kinds = [type(m).__name__ for m in model]
    assert kinds == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [tuple(m.weight.shape) for m in model if isinstance(m, nn.Linear)] == [
        (7, 4),
        (5, 7),
        (3, 5),
    ]


@pytest.mark.parametrize(
    ("name", "shape"), [("cnn", (64,)), ("cnn", (1, 9, 7)), ("resnet18", (64,))]
)
def test_torch_func_and_opacus_hooks_agree_on_clipped_gradients(name, shape):
    """Both engines must be able to train the model: same batch, same sum of clipped gradients."""
    problem = images(shape) if shape != (1, 9, 7) else images((1, 9, 7))
    model = built(MODELS[name], problem).double()
    params = stack([model])
    X = torch.as_tensor(problem.X[:4], dtype=torch.float64)[None, :, None]
    y = torch.as_tensor(problem.y[:4])

    def loss(logits, _):
        flat = logits.flatten(0, 2)
        return nn.functional.cross_entropy(flat, y, reduction="none").view(logits.shape[:2])

    def half(norms, _):
        return (0.5 / norms).clamp(max=1.0)

    ours = FunctionalEngine(model, problem.shape, why="test").gradient(params, X, loss, half)
    theirs = OpacusEngine(model, problem.shape, why="test").gradient(params, X, loss, half)
    for key in ours.total:
        torch.testing.assert_close(ours.total[key], theirs.total[key], rtol=1e-8, atol=1e-10)
    norm = torch.cat([t.flatten() for t in ours.total.values()]).norm()
    assert 0 < norm <= 4 * 0.5 + 1e-9


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_tables_are_refused_with_a_reason(name):
    reason = MODELS[name].supports(make_problem(d=16))
    assert "takes images" in reason
    assert "model=mlp" in reason


def test_images_too_small_to_halve_are_refused():
    assert "at least 8x8" in ResNet18().supports(images((1, 4, 4)))
    assert CNN().supports(images((1, 4, 4))) is None


def test_flat_pixels_that_do_not_fill_a_square_are_not_an_image():
    base = images((64,))
    odd = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 1.0) for j in range(63))
    problem = Problem(**{**vars(base), "X": base.X[:, :63], "features": odd})
    assert "inputs of shape (63,)" in CNN().supports(problem)


def test_flat_pixels_are_folded_row_by_row():
    problem = images((64,))
    flat = CNN().build(problem)
    folded = problem.X.reshape(-1, 1, 8, 8)
    X = torch.as_tensor(problem.X[:3])
    torch.testing.assert_close(flat(X), flat[1:](torch.as_tensor(folded[:3])))


def test_large_images_keep_the_strided_stem():
    small, large = (ResNet18().build(images((3, s, s), n=20))[0] for s in (64, 72))
    assert (small.conv1.stride, small.conv1.kernel_size) == ((1, 1), (3, 3))
    assert (large.conv1.stride, large.conv1.kernel_size) == ((2, 2), (7, 7))


@pytest.mark.parametrize(
    ("cls", "params", "says"),
    [
        (MLP, {"hidden": []}, "hidden is"),
        (MLP, {"hidden": [0]}, "hidden"),
        (MLP, {"activation": "gelu"}, "tanh"),
        (CNN, {"channels": [16, 30]}, "multiple of 4"),
        (CNN, {"channels": [16]}, "channels"),
        (ResNet18, {"groups": 48}, "does not divide 64"),
        (Logistic, {"hidden": 3}, "unknown key model.hidden"),
    ],
)
def test_wrong_settings_get_a_sentence(cls, params, says):
    with pytest.raises(ConfigError, match=says):
        bind(cls, params, "model")
