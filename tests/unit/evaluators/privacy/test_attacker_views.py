"""A view with a channel beats the one without where the channel leaks, and only there."""

import dataclasses

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from trustbench.evaluators.privacy.attacker_views import (
    AttackerViews,
    _parts,
    _shuffled,
    _sizes,
    _stratified,
)

VIEWS = ("label", "label_explanation", "label_set", "confidence", "confidence_explanation",
         "confidence_set")  # fmt: skip


def named(measured):
    return {m.name: m for m in measured.measurements}


@pytest.fixture(scope="module")
def overfit():
    return make_system(make_problem(n=1200, d=20, shift=0.3), replicates=8, steps=120)


@pytest.fixture(scope="module")
def fresh():
    return make_system(make_problem(n=1200, d=20, shift=0.3), replicates=8, steps=0)


def saliency(system):
    """The gradient of the predicted class's probability, released."""

    def explain(X, repeat):
        X = X.expand(system.replicates, *X.shape).clone().requires_grad_()
        top = system.forward(X).softmax(-1).amax(-1)
        return torch.autograd.grad(top.sum(), X)[0]

    return dataclasses.replace(system, explainer=explain)


def labels_above(system, threshold):
    """Sets of the labels whose probability exceeds a threshold, released."""

    def predict(X, group):
        return system.logits(X).softmax(-1) > threshold

    return dataclasses.replace(system, set_predictors={"lac": predict})


def test_gradients_and_sets_tell_more_than_labels_and_no_more_than_confidences(overfit):
    v = named(AttackerViews().measure(labels_above(saliency(overfit), 0.05)))
    assert [n for n in v if n.startswith("auc") and "shuffled" not in n] == [
        f"auc_{view}" for view in VIEWS
    ]
    auc = {view: v[f"auc_{view}"].values for view in VIEWS}
    assert (auc["label_explanation"] - auc["label"]).mean() > 0.03
    assert (auc["label_set"] - auc["label"]).mean() > 0.01
    for channel in ("explanation", "set"):
        assert abs((auc[f"confidence_{channel}"] - auc["confidence"]).mean()) < 0.03
    assert auc["label"].mean() > 0.55
    nulls = {"auc_label", "auc_confidence", "tpr_1_label", "tpr_1_confidence"}
    nulls |= {f"auc_{view}_shuffled" for view in VIEWS if view.count("_")}
    assert {n for n, m in v.items() if m.diagnostic} == nulls


def test_untrained_replicates_leak_nothing_from_any_view(fresh):
    v = named(AttackerViews().measure(labels_above(saliency(fresh), 0.4)))
    for view in VIEWS:
        assert abs(v[f"auc_{view}"].values.mean() - 0.5) < 0.025, view


def test_shuffled_membership_gives_one_half(overfit):
    """A null against overfitting of the attack model: real outputs, meaningless labels."""
    rng = np.random.default_rng(0)
    member = np.zeros_like(overfit.membership)
    for r in range(0, 8, 2):
        member[r] = rng.permutation(overfit.membership[r])
        member[r + 1] = ~member[r]
    shuffled = dataclasses.replace(saliency(overfit), membership=member)
    v = named(AttackerViews().measure(shuffled))
    for view in ("label", "label_explanation", "confidence", "confidence_explanation"):
        assert abs(v[f"auc_{view}"].values.mean() - 0.5) < 0.03, view


def test_an_explanation_that_is_noise_adds_nothing(overfit):
    noise = torch.randn(8, 600, 20, generator=torch.Generator().manual_seed(0))

    def explain(X, repeat):
        return noise[:, : len(X)]

    v = named(AttackerViews().measure(dataclasses.replace(overfit, explainer=explain)))
    gain = v["auc_label_explanation"].values - v["auc_label_explanation_shuffled"].values
    assert abs(gain.mean()) < 0.02


def test_a_channel_of_noise_is_centred_at_its_null():
    gains = []
    for seed in range(6):
        problem = make_problem(n=500, d=20, shift=0.3, seed=seed)
        system = make_system(problem, replicates=8, steps=80, seed=seed)
        drawn = torch.Generator().manual_seed(seed)
        noise = torch.randn(8, len(problem.splits["train"]), 20, generator=drawn)
        noisy = dataclasses.replace(system, explainer=lambda X, repeat, e=noise: e[:, : len(X)])
        v = {k: m.values.mean() for k, m in named(AttackerViews().measure(noisy)).items()}
        gains.append(v["auc_confidence_explanation"] - v["auc_confidence_explanation_shuffled"])
    assert abs(np.mean(gains)) < 3.5 * np.std(gains, ddof=1) / 6**0.5


def test_what_is_shuffled_stays_with_its_label_and_prediction(overfit):
    system = saliency(overfit)
    rows = np.arange(200)
    parts, _ = _parts(system, rows)
    _, predicted, label = parts["label"]
    marked = {**parts, "explanation": [label * 2.0 + predicted, np.tile(rows, (8, 1)) * 1.0]}
    cells, moved = _shuffled(system, marked, "explanation")
    np.testing.assert_array_equal(cells, marked["explanation"][0])
    assert (moved != rows).mean() > 0.9
    assert (np.sort(moved, axis=1) == rows).all()


def test_an_explanation_that_tells_membership_is_found(overfit):
    """A planted leak: magnitudes of members are doubled, by the very rows that were asked."""
    X = overfit.problem.rows("train")[0]
    row_of = {x.tobytes(): i for i, x in enumerate(X)}

    def explain(asked, repeat):
        rows = [row_of[x.numpy().tobytes()] for x in asked]
        size = 1 + torch.as_tensor(overfit.membership[:, rows], dtype=torch.float32)
        return size[..., None] * torch.linspace(-1, 1, 20)

    v = named(AttackerViews().measure(dataclasses.replace(overfit, explainer=explain)))
    assert v["auc_label_explanation"].values.min() > 0.99
    assert v["auc_label"].values.max() < 0.8


def test_closed_channels_are_missing_with_their_reason(overfit):
    measured = AttackerViews().measure(overfit)
    assert "released explanations" in measured.missing["auc_label_explanation"]
    assert "released prediction sets" in measured.missing["tpr_1_confidence_set"]
    assert {"auc_label", "auc_confidence"} <= set(named(measured))
    few = AttackerViews(points=100).measure(overfit)
    assert "needs 100 non-members" in few.missing["tpr_1_label"]


def test_what_it_needs(system):
    two = make_system(make_problem(), replicates=2, steps=0)
    assert "give at least 4" in AttackerViews().supports(two)
    everything = np.ones_like(system.membership)
    reason = AttackerViews().supports(dataclasses.replace(system, membership=everything))
    assert reason.startswith("not applicable")
    assert AttackerViews().supports(system) is None


def test_rows_keep_the_shares_of_the_classes():
    y = np.repeat([0, 1, 2], [500, 300, 200])
    rows = _stratified(y, 100, np.random.default_rng(0))
    assert len(set(rows)) == 100
    np.testing.assert_allclose(np.bincount(y[rows]), [50, 30, 20], atol=1)
    assert sorted(_stratified(y, 5000, np.random.default_rng(0))) == list(range(1000))


def test_sizes_of_a_known_attribution():
    variance, norm, largest = _sizes(np.array([[[3.0, -1.0, -8.0, 2.0]], [[0.0, 0, 0, 0]]]))
    assert variance[0, 0] == pytest.approx(np.log10(np.var([3, -1, -8, 2])))
    assert norm[0, 0] == pytest.approx(np.log10(14))
    assert largest[0, 0] == pytest.approx(np.log10(8))
    assert np.isfinite([variance[1, 0], norm[1, 0], largest[1, 0]]).all()
