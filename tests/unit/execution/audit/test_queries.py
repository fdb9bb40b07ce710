"""Questions to a given model: rows come back whole, and shap and lime explain what they should."""

import lightgbm
import numpy as np
import pandas as pd
import pytest
import shap
import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import SklearnClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from trustbench import Streams
from trustbench.api.audits import audit
from trustbench.contracts.given import ModelSource
from trustbench.datasets.loading.own.declared import DeclaredTable
from trustbench.errors import Unsupported
from trustbench.evaluators.explainability.explainability import Explainability
from trustbench.evaluators.explainability.explanation_faithfulness import ExplanationFaithfulness
from trustbench.evaluators.fairness.fidelity_gap import FidelityGap
from trustbench.evaluators.fairness.sensitive_attribution import SensitiveAttribution
from trustbench.evaluators.robustness.query_attacks import QueryAttacks
from trustbench.evaluators.uncertainty.explanation_instability import ExplanationInstability
from trustbench.execution.audit.prepare import prepared
from trustbench.execution.audit.queried import QueriedModel
from trustbench.execution.audit.query_measure import measure_by_queries, needs_only_queries
from trustbench.execution.audit.query_system import query_system
from trustbench.execution.audit.raw_space import raw_space
from trustbench.models.given.opening import open_model

N = 300
DECLARED = DeclaredTable(target="repaid", sensitive=("sex",))
pytestmark = pytest.mark.filterwarnings("ignore:LightGBM binary classifier:UserWarning")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "age": rng.integers(18, 80, N),
            "income": rng.lognormal(8, 1, N).round(2),
            "debt": rng.normal(size=N),
            "town": rng.choice(["north", "south", "west"], N),
            "sex": rng.choice(["f", "m"], N),
        }
    )
    z = (rows.age - 50) / 20 + rows.debt + (rows.town == "west") + rng.normal(size=N) / 2
    return rows.assign(repaid=np.where(z > 0, "yes", "no"))


NUMBERS = ["age", "income", "debt"]


@pytest.fixture(scope="module")
def pipeline(table):
    encode = make_column_transformer(
        (StandardScaler(), NUMBERS), (OneHotEncoder(), ["town", "sex"])
    )
    return make_pipeline(encode, LogisticRegression()).fit(
        table.drop(columns="repaid"), table.repaid
    )


def system_of(fitted, table, explain="shap"):
    model = open_model(ModelSource(fitted))
    own = prepared(table, DECLARED, name="own", unseen=True)
    rows = np.arange(len(table))
    asked = QueriedModel(model, np.array([0, 1]), explain)
    return query_system(asked, own, model.predict_proba(own.rows), rows, Streams(0))


def test_rows_come_back_bit_for_bit_and_whole_numbers_stay_whole(table):
    rows = table.drop(columns="repaid")
    rows = rows.assign(gap=np.where(rows.age > 60, np.nan, rows.debt), same=7)
    space = raw_space(rows, DECLARED)
    X = space.encoder.encode(rows)
    back = space.decode(X)
    pd.testing.assert_frame_equal(back, rows.reset_index(drop=True))
    age = space.places["age"][0]
    X[:, age] += 0.01
    moved = space.decode(X).age
    assert moved.dtype == rows.age.dtype and (moved - rows.age).abs().max() <= 1
    frozen = {f.name for f in space.features if not f.mutable}
    assert frozen == {"sex"}


def test_columns_that_cannot_be_questions_are_said(table, pipeline):
    rows = table.drop(columns="repaid").assign(day=pd.date_range("2020-01-01", periods=N))
    with pytest.raises(Unsupported, match="changed column by column"):
        raw_space(rows, DECLARED)
    noisy = table.assign(town=[f"town {k}" for k in range(N)])
    fitted = LogisticRegression().fit(noisy[["age"]], noisy.repaid)
    assert system_of(fitted, noisy[["age", "sex", "repaid"]]).explainer is not None

    class Names:
        classes_ = np.array(["no", "yes"])

        def predict_proba(self, rows):
            p = rows.town.str.len().to_numpy() % 2 * 0.5
            return np.stack([1 - p, p], axis=1)

    with pytest.raises(Unsupported, match=r"put together again|changed column by column"):
        system_of(Names(), noisy)


def test_forests_and_boosting_are_explained_by_their_trees(table):
    X, y = table[NUMBERS], table.repaid
    boosted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1, random_state=0)
    forest = RandomForestClassifier(5, random_state=0)
    for fitted in (boosted.fit(X, y), forest.fit(X, y)):
        system = system_of(fitted, table)
        rows = system.tensor(system.problem.X[:8])
        found = system.explain(rows)[0].numpy()
        classes = fitted.predict(X[:8]) == "yes"
        inner = getattr(fitted, "booster_", fitted)
        values = np.asarray(shap.TreeExplainer(inner).shap_values(X[:8]))
        if values.ndim == 3:
            expected = np.where(classes[:, None], values[..., 1], values[..., 0])
        else:
            expected = values * np.where(classes, 1, -1)[:, None]
        np.testing.assert_allclose(found[:, :3], expected, rtol=1e-4, atol=1e-6)
        assert (found[:, 3:] == 0).all()


def test_a_pipeline_is_explained_by_kernel_shap_on_whole_columns(table, pipeline):
    """A linear model's Shapley values are known: weight x (value - mean of the background)."""
    system = system_of(pipeline, table)
    rows = system.tensor(system.problem.X[:6])
    found = system.explain(rows)[0]
    assert torch.equal(found, system.explain(rows)[0]), "a query repeated is answered alike"
    logits = system.logits(rows)[0]
    margin = (logits[:, 1] - logits[:, 0]).numpy()
    sign = np.where(margin > 0, 1, -1)
    step, names = pipeline[:-1], list(system.problem.features)
    weights = dict(zip(step.get_feature_names_out(), pipeline[-1].coef_[0], strict=True))
    for k, column in enumerate(NUMBERS):
        slope = weights[f"standardscaler__{column}"] * sign
        z = step.transform(table.drop(columns="repaid"))[:6, k]
        centre = (slope * z - found[:, names[k].columns[0]].numpy()) / slope
        # the same background mean for every row: values are slope x (z - mean)
        np.testing.assert_allclose(centre, centre[0], atol=2e-3)


def test_attacks_find_what_the_adversarial_robustness_toolbox_finds(table):
    """On a linear model its attack by gradients is exact; ours only ask, and come close."""
    X = table[NUMBERS].assign(income=np.log(table.income))
    fitted = LogisticRegression().fit(X, table.repaid)
    rows = X.assign(repaid=table.repaid).head(60)
    found = audit(
        fitted, rows, target="repaid", unseen=True, evaluators=["query_attacks"], draws=100
    ).metrics.loc["query_attacks/racc_queries"]
    mean, sd = X.head(60).to_numpy().mean(axis=0), X.head(60).to_numpy().std(axis=0)
    Z = (X.head(60).to_numpy() - mean) / sd
    scaled = LogisticRegression().fit(Z, rows.repaid == "yes")
    scaled.coef_ = fitted.coef_ * sd
    scaled.intercept_ = fitted.intercept_ + fitted.coef_ @ mean
    theirs = SklearnClassifier(scaled, clip_values=(Z.min(axis=0), Z.max(axis=0)))
    y = (rows.repaid == "yes").to_numpy().astype(int)
    moved = FastGradientMethod(theirs, norm=np.inf, eps=0.1).generate(Z, y)
    robust = (theirs.predict(moved).argmax(axis=1) == y).mean()
    assert robust < (theirs.predict(Z).argmax(axis=1) == y).mean()
    assert robust - 1e-9 <= found["value"] <= robust + 0.04


def test_lime_names_what_a_linear_model_uses(table, pipeline):
    system = system_of(pipeline, table, "lime")
    rows = system.tensor(system.problem.X[:6])
    found = system.explain(rows)[0].numpy()
    exact = system_of(pipeline, table).explain(rows)[0].numpy()
    debt = next(f.columns[0] for f in system.problem.features if f.name == "debt")
    strong = np.abs(exact[:, debt]) > 0.5
    assert strong.any() and (np.sign(found[strong, debt]) == np.sign(exact[strong, debt])).all()


@pytest.mark.parametrize("explain", ["shap", "lime"])
def test_attacks_and_explanations_have_intervals_over_rows(table, pipeline, explain):
    system = system_of(pipeline, table.head(80), explain)
    plugins = {
        "attacks": QueryAttacks(points=30, queries=20, steps=2, probes=5, values=2, epsilon=0.3),
        "faithful": ExplanationFaithfulness(points=25, random_draws=3),
    }
    assert all(needs_only_queries(p) for p in plugins.values())
    found = measure_by_queries(system, plugins, draws=100).found
    attacked, clean = found["attacks/racc_queries"], found["attacks/acc"]
    assert 0 < attacked.value < clean.value
    assert attacked.interval.low < attacked.value < attacked.interval.high
    assert attacked.draws.mean() == pytest.approx(attacked.value, abs=0.05)
    released, random = (found[f"faithful/deletion_{k}"] for k in ("released", "random"))
    assert released.interval.low > random.value


def test_an_audit_asks_the_model(table, pipeline):
    result = audit(
        pipeline, table.head(40), target="repaid", sensitive="sex", unseen=True, draws=100,
        evaluators=["query_attacks"], reference=pipeline,
    )  # fmt: skip
    assert result.record.metrics["query_attacks/racc_queries"].n == 40
    assert result.record.effects["query_attacks/racc_queries"].number.value == 0


def test_what_asks_the_model_has_an_interval_for_every_number():
    """Gaps, quantiles and conditional shares too: redrawn rows give them their spread."""
    rng = np.random.default_rng(1)
    columns = {f"x{i}": rng.normal(size=N) for i in range(5)}
    rows = pd.DataFrame({**columns, "sex": rng.choice(["f", "m"], N)})
    rows["repaid"] = np.where(rows.x0 + (rows.sex == "m") + rng.normal(size=N) > 0, "yes", "no")
    encode = make_column_transformer((StandardScaler(), list(columns)), (OneHotEncoder(), ["sex"]))
    fitted = make_pipeline(encode, LogisticRegression()).fit(
        rows.drop(columns="repaid"), rows.repaid
    )
    evaluators = {
        "fidelity_gap": FidelityGap(points=60, samples=60),
        "sensitive_attribution": SensitiveAttribution(points=40),
        "query_attacks": QueryAttacks(points=30, queries=20, steps=1, probes=4),
        "explainability": Explainability(points=30, samples=60),
        "explanation_instability": ExplanationInstability(points=40, lime_samples=()),
    }
    found = measure_by_queries(system_of(fitted, rows), evaluators, 100)
    assert not found.missing
    for name in (
        "fidelity_gap/gap",
        "sensitive_attribution/reliance",
        "query_attacks/racc_queries_cond",
        "explainability/lime_r2_p10",
        "explanation_instability/false_confidence",
    ):
        interval = found.found[name].interval
        assert interval.low <= interval.value <= interval.high, name
        assert interval.se > 0, name
    conditional = found.found["query_attacks/racc_queries_cond"].value
    robust, correct = (found.found[f"query_attacks/{n}"].value for n in ("racc_queries", "acc"))
    assert conditional == pytest.approx(robust / correct)
    assert found.found["fidelity_gap/gap"].excess is not None
    assert found.found["sensitive_attribution/hidden_bias"].interval.low == 0
