"""Causal models of data sets: published graphs for Adult and COMPAS, a user's for a table."""

import numpy as np
import pytest

from trustbench.contracts import Streams
from trustbench.datasets.adult import Adult
from trustbench.datasets.compas import Compas
from trustbench.datasets.table import TableDataset
from trustbench.errors import DataError
from trustbench.methods.causal.problems import LEARNT
from trustbench.methods.causal.twins import twins

ADULT = Adult(causal=True, subsample=3000)
COMPAS = Compas(sensitive="sex", causal=True)


def column(problem, name):
    return next(f.columns[0] for f in problem.features if f.name == name)


@pytest.mark.parametrize("dataset", [ADULT, COMPAS], ids=["adult", "compas"])
def test_a_published_graph_is_learnt_and_changes_effects_of_sex_alone(shared_data, dataset):
    problem = dataset.load(shared_data, Streams(0))
    scm, X = problem.scm, problem.rows("test")[0]
    assert not scm.exact
    assert dataset.declares()[-1] is LEARNT
    np.testing.assert_allclose(scm.from_latent(scm.latent(X)), X, atol=1e-4)
    sex = next(f for f in problem.features if f.name == "sex")
    assert scm.sensitive == sex.columns
    for g, name in enumerate(problem.groups):
        other = scm.counterfactual(X, g)
        assert (other[:, sex.columns[sex.levels.index(name)]] == 1).all()
        np.testing.assert_array_equal(
            other[:, column(problem, "age")], X[:, column(problem, "age")]
        )
    assert np.abs(twins(scm, X) - X).max() > 0.05
    assert scm.sample(500, np.random.default_rng(0)).shape == (500, problem.n_features)
    again = dataset.load(shared_data, Streams(0))
    assert again.fingerprint == problem.fingerprint


def test_the_six_columns_of_adults_graph_and_the_four_of_compas(shared_data):
    names = {d: {f.name for f in d.load(shared_data, Streams(0)).features} for d in (ADULT, COMPAS)}
    assert names[ADULT] == {"sex", "age", "native", "married", "education-num", "hours-per-week"}
    assert names[COMPAS] == {"age", "sex", "caucasian", "priors_count"}
    plain = Compas().load(shared_data, Streams(0))
    assert plain.scm is None
    assert LEARNT not in Compas().declares()


def test_groups_that_are_not_the_graphs_sensitive_variable_have_no_counterfactual(shared_data):
    problem = Compas(causal=True).load(shared_data, Streams(0))
    with pytest.raises(ValueError, match="groups are not those of the causal model"):
        problem.scm.counterfactual(problem.X[:2], 0)


@pytest.fixture
def table(tmp_path):
    """A file in which pay is a line of sex and age."""
    rng = np.random.default_rng(0)
    sex, age = rng.integers(2, size=600), rng.normal(40, 10, size=600).round(1)
    pay = (20 - 6 * sex + 0.3 * age + rng.normal(size=600)).round(2)
    label = np.where(pay + rng.normal(size=600) > 29, "yes", "no")
    lines = [f"{'fm'[s]},{a},{p},{y}" for s, a, p, y in zip(sex, age, pay, label, strict=True)]
    path = tmp_path / "people.csv"
    path.write_text("sex,age,pay,label\n" + "\n".join(lines) + "\n")
    return path


def load(path, graph, **settings):
    settings = {"sensitive": ("sex",), "functions": "linear", **settings}
    dataset = TableDataset(
        path=str(path), target="label", favourable="yes", graph=graph, **settings
    )
    return dataset.load(path.parent, Streams(0)), dataset


def test_a_users_graph_gives_the_effect_that_made_the_table(table):
    problem, dataset = load(table, {"pay": ("sex", "age")})
    scm, X = problem.scm, problem.rows("test")[0]
    pay = column(problem, "pay")
    deviation = next(c.deviation for c in problem.encoder.columns if c.name == "pay")
    moved = scm.counterfactual(X, problem.groups.index("m")) - scm.counterfactual(
        X, problem.groups.index("f")
    )
    assert moved[:, pay].mean() * deviation == pytest.approx(-6, abs=0.3)
    assert dataset.declares()[-1] is LEARNT
    plain, without = load(table, {})
    assert plain.scm is None
    assert LEARNT not in without.declares()
    other, _ = load(table, {"pay": ("sex",)})
    assert len({p.fingerprint for p in (problem, plain, other)}) == 3, "other models, other ids"


@pytest.mark.parametrize(
    ("graph", "settings", "reason"),
    [
        ({"pay": ("sex", "agee")}, {}, "no input 'agee'; did you mean"),
        ({"pay": ("age",), "age": ("pay",)}, {}, "has a cycle .*; remove one"),
        ({"pay": ("sex",)}, {"sensitive": ()}, "dataset.graph needs a sensitive variable"),
    ],
)
def test_a_users_mistake_is_one_sentence(table, graph, settings, reason):
    with pytest.raises(DataError, match=reason):
        load(table, graph, **settings)
