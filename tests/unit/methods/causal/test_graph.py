"""Abduction, prediction and learnt functions, against a linear model known by hand."""

import dataclasses

import numpy as np
import pytest

from tests.conftest import make_problem
from trustbench.api.checks.datasets import causal
from trustbench.api.checks.findings import Broken
from trustbench.contracts import Streams
from trustbench.datasets._credit_model import NUMBERS
from trustbench.datasets.silobank import SiloBank
from trustbench.methods.causal.graph import GraphModel, Variable, refuse_wrong
from trustbench.methods.causal.learning import Fitting, LinearFunction, learn
from trustbench.methods.causal.twins import twins

# sex (two columns) and age have no cause; schooling <- sex, age; pay <- sex, age, schooling.
GRAPH = (
    Variable("sex", (0, 1)),
    Variable("age", (2,)),
    Variable("schooling", (4,), ("sex", "age")),
    Variable("pay", (3,), ("sex", "age", "schooling")),
)
TRUE = {
    "schooling": LinearFunction(np.array([0.0, -0.5, 0.3]), 0.1),
    "pay": LinearFunction(np.array([0.2, -0.2, 0.4, 0.7]), 0.0),
}


def rows(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    sex = np.eye(2)[rng.integers(2, size=n)]
    age, u, w = rng.normal(size=(3, n))
    schooling = -0.5 * sex[:, 1] + 0.3 * age + 0.1 + 0.5 * u
    pay = 0.2 * sex[:, 0] - 0.2 * sex[:, 1] + 0.4 * age + 0.7 * schooling + 0.8 * w
    X = np.column_stack([sex, age, pay, schooling]).astype(np.float32)
    return X, np.column_stack([0.8 * w, 0.5 * u])


@pytest.fixture(scope="module")
def exact():
    X, _ = rows()
    made = GraphModel(GRAPH, TRUE, ("sex",), X.astype(float), exact=True)
    return GraphModel(GRAPH, TRUE, ("sex",), made.latent(X), (0, 1), exact=True)


def test_abduction_reads_the_noise_back_and_prediction_undoes_it(exact):
    X, noise = rows(seed=1)
    Q = exact.latent(X)
    np.testing.assert_allclose(Q[:, [3, 4]], noise, atol=1e-5)
    np.testing.assert_array_equal(Q[:, :3], X[:, :3])
    np.testing.assert_allclose(exact.from_latent(Q), X, atol=1e-6)


def test_another_sex_moves_schooling_directly_and_pay_through_it_too(exact):
    X, _ = rows(seed=2)
    man, woman = exact.counterfactual(X, 0), exact.counterfactual(X, 1)
    np.testing.assert_allclose((woman - man)[:, 4], -0.5, atol=1e-5)
    np.testing.assert_allclose((woman - man)[:, 3], -0.4 + 0.7 * -0.5, atol=1e-5)
    np.testing.assert_array_equal(man[:, 2], X[:, 2])
    assert exact.levels().tolist() == [[1, 0], [0, 1]]
    both = twins(exact, X)
    np.testing.assert_allclose(both, [man, woman], atol=1e-6)
    own = both[X[:, 1].astype(int), np.arange(len(X))]
    np.testing.assert_allclose(own, X, atol=1e-6)


def test_samples_have_the_means_and_covariances_of_the_rows(exact):
    X, _ = rows()
    new = exact.sample(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(new.mean(0), X.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(new.T), np.cov(X.T), atol=0.06)


@pytest.mark.parametrize(
    ("fitting", "close"), [(Fitting(hidden=0), 0.05), (Fitting(hidden=20, epochs=8), 0.1)]
)
def test_learnt_functions_find_the_effect_of_sex(fitting, close):
    X, _ = rows()
    made = learn(X, GRAPH, ("sex",), Streams(0), fitting, groups=(0, 1))
    assert not made.exact
    moved = made.counterfactual(X, 1) - made.counterfactual(X, 0)
    assert moved[:, 4].mean() == pytest.approx(-0.5, abs=close)
    assert moved[:, 3].mean() == pytest.approx(-0.75, abs=close)
    np.testing.assert_allclose(made.from_latent(made.latent(X)), X, atol=1e-5)
    again = learn(X, GRAPH, ("sex",), Streams(0), fitting, groups=(0, 1))
    np.testing.assert_array_equal(again.noise, made.noise)


def test_a_network_finds_what_a_line_cannot():
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    X = np.column_stack([x, np.sin(2 * x)])
    graph = (Variable("a", (0,)), Variable("b", (1,), ("a",)))
    spread = [
        learn(X, graph, ("a",), Streams(0), f).noise[:, 1].std()
        for f in (Fitting(hidden=0), Fitting(epochs=30))
    ]
    assert spread[1] < 0.3 * spread[0]


@pytest.mark.parametrize(
    ("variables", "sensitive", "reason"),
    [
        ((Variable("b", (0,), ("a",)), Variable("a", (1,))), ("a",), "has the cause a, which"),
        ((Variable("a", (0,)), Variable("b", (1, 2), ("a",))), ("a",), "b is a category"),
        ((Variable("a", (0,)), Variable("b", (0,))), ("a",), "shares a column"),
        ((Variable("a", (0,)),), ("sex",), "sensitive variables sex are not known"),
    ],
)
def test_a_graph_that_is_not_one_is_refused(variables, sensitive, reason):
    with pytest.raises(ValueError, match=reason):
        refuse_wrong(variables, sensitive)


@pytest.fixture(scope="module")
def bank():
    return SiloBank(rows=3000).load(None, Streams(0))


def test_silobank_is_exact_in_both_directions_and_its_twins_are_its_counterfactuals(bank):
    X = bank.X.astype(np.float64)
    scm = bank.scm
    assert scm.exact
    np.testing.assert_allclose(scm.from_latent(scm.latent(X)), X, atol=1e-6)
    noise = scm.latent(X)[:, 1:8]
    np.testing.assert_allclose(noise.mean(0), 0, atol=0.06)
    np.testing.assert_allclose(noise.std(0), 1, atol=0.06)
    both = twins(scm, X)
    for g in (0, 1):
        np.testing.assert_allclose(both[g], scm.counterfactual(X, g), atol=1e-12)


def test_silobanks_samples_are_like_its_rows(bank):
    new = bank.scm.sample(30_000, np.random.default_rng(1))
    np.testing.assert_allclose(new.mean(0), bank.X.mean(0), atol=0.08)
    np.testing.assert_allclose(new[:, -1].mean(), 0.15, atol=0.01)
    np.testing.assert_allclose(np.cov(new.T), np.cov(bank.X.T), atol=0.12)


def test_a_model_learnt_on_silobank_finds_most_of_what_the_true_one_moves(bank):
    place = {name: (k,) for k, name in enumerate(NUMBERS)}
    causes = {
        "education": ("group",),
        "log_income": ("group", "age", "education"),
        "area_deprivation": ("group", "log_income"),
    }
    graph = (
        Variable("group", (8, 9)),
        Variable("age", place["age"]),
        *(Variable(name, place[name], parents) for name, parents in causes.items()),
    )
    X = bank.rows("train")[0]
    made = learn(X, graph, ("group",), Streams(0), Fitting(hidden=0), groups=(0, 1))
    for name in causes:
        (k,) = place[name]
        true, found = (
            m.counterfactual(X, 1)[:, k] - m.counterfactual(X, 0)[:, k] for m in (bank.scm, made)
        )
        assert found.mean() == pytest.approx(true.mean(), abs=0.15)


class Deaf:
    """A causal model that reads half of the noise back."""

    exact = True

    def __init__(self, scm):
        self.scm = scm

    def __getattr__(self, name):
        return getattr(self.scm, name)

    def latent(self, X):
        Q = self.scm.latent(X)
        Q[:, 1:8] *= 0.5
        return Q


def test_the_check_of_a_data_set_tries_its_causal_model(bank):
    assert causal(bank) == "2 levels; exact"
    assert causal(make_problem()) == "it has none"
    with pytest.raises(Broken, match="differs from X"):
        causal(dataclasses.replace(bank, scm=Deaf(bank.scm)))


def test_the_last_bits_of_learnt_functions_are_not_part_of_an_id():
    X, _ = rows(400)
    learnt = learn(X, GRAPH, ("sex",), Streams(0), Fitting(hidden=0), groups=(0, 1))
    given = GraphModel(GRAPH, TRUE, ("sex",), learnt.noise, (0, 1))
    moved = learnt.noise * (1 + 1e-12)
    assert dataclasses.replace(learnt, noise=moved).state() == learnt.state()
    assert dataclasses.replace(given, noise=moved).state() != given.state()
    slower = learn(X, GRAPH, ("sex",), Streams(0), Fitting(hidden=0, lr=0.001), groups=(0, 1))
    assert slower.state() != learnt.state()
