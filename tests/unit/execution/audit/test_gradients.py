"""A given torch module is attacked and explained by its gradients, as other packages would."""

import numpy as np
import pandas as pd
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from torch import nn

import trustbench
from trustbench import Streams
from trustbench.api.checks.cheap import cheap
from trustbench.config.compose import conf_dir
from trustbench.config.plugins import build, discover
from trustbench.config.yaml_file import read_yaml
from trustbench.contracts.given import ModelSource
from trustbench.datasets.loading.own.declared import DeclaredColumn, DeclaredTable
from trustbench.errors import Unsupported, UserError
from trustbench.execution.audit.gradient_system import gradient_system, needs_gradients
from trustbench.execution.audit.prepare import prepared
from trustbench.execution.audit.queried import QueriedModel
from trustbench.execution.audit.query_measure import measure_by_queries
from trustbench.models.given.opening import open_model

N = 240
COLUMNS = ["income", "age", "debt", "old"]
TRANSFORM = """
def encode(rows):
    sex = (rows["sex"] == "m").astype(float)
    columns = rows["income"], rows["age"] / 50 + 3 * sex, sex, rows["debt"]
    return [list(x) for x in zip(*columns)]
"""
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:art")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "income": rng.normal(300, 80, N).round(1),
            "age": rng.integers(18, 80, N),
            "debt": rng.normal(size=N),
        }
    )
    rows["old"] = (rows.age > 50).astype(int)
    z = (rows.income - 300) / 60 + (rows.age - 50) / 20 + rows.debt + rng.normal(size=N)
    return rows.assign(repaid=np.where(z > 0, "yes", "no"))


@pytest.fixture(scope="module")
def net(table):
    """A network with batch statistics of its own, trained on raw columns."""
    X = torch.tensor(table[COLUMNS].to_numpy(dtype=np.float32))
    y = torch.tensor((table.repaid == "yes").to_numpy().astype(np.int64))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
        descent = torch.optim.Adam(made.parameters(), 0.02)
        for _ in range(100):
            descent.zero_grad()
            nn.functional.cross_entropy(made(X), y).backward()
            descent.step()
    return made.eval()


def system_of(net, table, explain="saliency", sensitive=(), columns=None, order=(0, 1), **options):
    declared = DeclaredTable(target="repaid", sensitive=sensitive, columns=columns or {})
    own = prepared(table, declared, name="own", unseen=True)
    source = ModelSource(net, classes=("no", "yes"), table=own.rows, options=options)
    model = open_model(source)
    order, rows = np.array(order), np.arange(len(table))
    answers = np.where(order >= 0, model.predict_proba(own.rows)[:, order], 0.0)
    asked = QueriedModel(model, order, explain)
    return gradient_system(asked, own, answers, rows[:-40], rows[-40:], Streams(0))


def test_accuracy_under_attack_is_that_of_the_adversarial_robustness_toolbox(table, net):
    """Both attack the same rows in standard deviations, leave the flag, and stay in the range."""
    found = trustbench.audit(
        net, table, target="repaid", unseen=True, draws=100, evaluators=["robustness"]
    ).metrics.loc["robustness/racc_pgd"]
    raw = table[COLUMNS].to_numpy(dtype=np.float64)
    mean, sd = raw.mean(axis=0), raw.std(axis=0)
    Z = ((raw - mean) / sd).astype(np.float32)

    class Scaled(nn.Module):
        def forward(self, z):
            return net((z * torch.tensor(sd) + torch.tensor(mean)).float())

    theirs = PyTorchClassifier(
        Scaled(), nn.CrossEntropyLoss(), (4,), 2, clip_values=(Z.min(axis=0), Z.max(axis=0))
    )
    attack = ProjectedGradientDescent(
        theirs, norm=np.inf, eps=0.1, eps_step=0.025, max_iter=20, verbose=False
    )
    y = (table.repaid == "yes").to_numpy().astype(np.int64)
    moved = attack.generate(Z, y, mask=np.array([1.0, 1.0, 1.0, 0.0], dtype=np.float32))
    robust = (theirs.predict(moved).argmax(axis=1) == y).mean()
    assert robust < (theirs.predict(Z).argmax(axis=1) == y).mean() - 0.03
    assert robust - 0.01 <= found["value"] <= robust
    assert found["low"] < found["value"] < found["high"]


def test_saliency_is_the_derivative_of_the_modules_margin(table, net):
    system = system_of(net, table)
    X = system.tensor(system.problem.X[:20])
    found = system.explain(X)[0].numpy()
    raw = torch.tensor(table[COLUMNS].to_numpy(dtype=np.float32)[:20], requires_grad=True)
    logits = net(raw)
    top = logits.argmax(1)
    margin = logits[range(20), top] - logits[range(20), 1 - top]
    (slope,) = torch.autograd.grad(margin.sum(), raw)
    sd = table[COLUMNS].to_numpy(dtype=np.float64).std(axis=0)
    np.testing.assert_allclose(found, slope.numpy() * sd, rtol=1e-3, atol=1e-5)


def test_integrated_gradients_add_up_to_the_margin(table, net):
    system = system_of(net, table, "integrated_gradients")
    X = system.tensor(system.problem.X[:10])
    mean = system.tensor(system.problem.rows("train")[0]).mean(0, keepdim=True)
    logits, centre = system.logits(X)[0], system.logits(mean)[0]
    top = logits.argmax(1)
    sign = torch.where(top == 1, 1.0, -1.0)
    gained = sign * ((logits[:, 1] - logits[:, 0]) - (centre[:, 1] - centre[:, 0]))
    torch.testing.assert_close(system.explain(X)[0].sum(1), gained, atol=2e-2, rtol=1e-2)


def test_classes_in_another_order_are_the_same_classes(table, net):
    plain, turned = system_of(net, table), system_of(net, table, order=(1, 0))
    X = plain.tensor(plain.problem.X[:5])
    torch.testing.assert_close(plain.logits(X), turned.logits(X).flip(-1))
    never = system_of(net, table, order=(0, 1, -1)).logits(X).softmax(-1)
    assert (never[..., 2] < 1e-9).all()
    torch.testing.assert_close(never[..., :2], plain.logits(X).softmax(-1))


def test_every_evaluator_that_needs_gradients_alone_runs_or_names_what_it_lacks(table):
    """By discovery: a new evaluator is held to it as well."""
    rng = np.random.default_rng(1)
    wide = table.assign(**{f"x{k}": rng.normal(size=N) for k in range(4)})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = nn.Sequential(nn.BatchNorm1d(8), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    system = system_of(module.eval(), wide, "gradient_x_input")
    plugins = {}
    for name, path in discover("evaluator", [conf_dir()]).items():
        plugin = cheap(build("evaluator", name, read_yaml(path, "the option")[name], name))
        if needs_gradients(plugin) and plugin.metrics:
            plugins[name] = plugin
    done = measure_by_queries(system, plugins, 100)
    found = {name.partition("/")[0] for name in done.found}
    lacking = {
        "explanation_shift": "needs replicates",
        "set_attack": "needs released prediction",
        "guarded_robustness": "no interval over rows",
        "verification": "weights of a chain",
    }
    assert found == plugins.keys() - lacking.keys()
    for name, said in lacking.items():
        assert all(said in why for k, why in done.missing.items() if k.startswith(f"{name}/"))
    for name, metric in done.found.items():
        assert np.isfinite([metric.interval.low, metric.interval.high]).all(), name


def test_explanations_by_gradients_need_gradients(table):
    with pytest.raises(UserError, match="this model has none; give shap or lime"):
        trustbench.audit(
            lambda rows: np.full(len(rows), 0.5), table, target="repaid", unseen=True,
            evaluators=["utility"], draws=100, explain="saliency",
        )  # fmt: skip


def test_inputs_that_come_from_immutable_columns_never_move(tmp_path, table, net):
    (tmp_path / "prepare.py").write_text(TRANSFORM)
    rows = table.assign(sex=np.where(np.arange(N) % 3 > 0, "m", "f"))
    system = system_of(net, rows, sensitive=("sex",), transform=f"{tmp_path / 'prepare.py'}:encode")
    assert [f.mutable for f in system.problem.features] == [True, False, False, True]
    assert [f.scale for f in system.problem.features] == [1.0, 1.0, 0.0, 1.0]
    columns = {
        "age": DeclaredColumn(change="up", high=90.0),
        "debt": DeclaredColumn(scale=0.5),
    }
    declared = system_of(net, table, columns=columns).problem.features
    income, age, debt, old = declared
    assert (income.change, age.change, debt.scale, old.scale) == ("any", "up", 0.5, 0.0)
    assert age.upper == pytest.approx((90 - table.age.mean()) / table.age.std(ddof=0), rel=1e-4)


def test_a_module_without_gradients_is_said_so(table):
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 2)

        def forward(self, x):
            return self.lin(x.detach() / 100)

    with pytest.raises(Unsupported, match="the module cuts them off"):
        system_of(Steps(), table)
    found = trustbench.audit(
        Steps(), table, target="repaid", unseen=True, draws=100, evaluators=["margin"]
    ).record
    assert "cuts them off" in found.missing["margin/mean_epsilon"]


def test_what_needs_other_models_says_exactly_that(table, net):
    found = trustbench.audit(
        net, table, target="repaid", sensitive="old", unseen=True, draws=100, calibration=0.3,
        evaluators=["group_robustness", "margin", "explanation_agreement", "attacked_uncertainty"],
    ).record  # fmt: skip
    measured = (
        "group_robustness/racc_gap", "margin/epsilon_gap", "margin/median_epsilon",
        "explanation_agreement/stability", "attacked_uncertainty/lac_size_attacked",
    )  # fmt: skip
    for name in measured:
        number = found.metrics[name].number
        assert number.low <= number.value <= number.high
        assert number.low < number.high
    assert found.metrics["group_robustness/racc_gap"].null > 0
    assert "another seed" in found.missing["explanation_agreement/spearman"]
