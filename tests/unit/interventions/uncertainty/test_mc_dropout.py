"""MC dropout: its masks, the trainings it changes, what is deployed, and what it composes with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from tests.unit.arm_toys import DP as BUDGET
from tests.unit.arm_toys import Net, ignore
from tests.unit.training.test_loop import DP, SCHEDULE, assert_engines_agree, assert_same, trainer
from trustbench.config.arms import Chosen
from trustbench.contracts import Batch
from trustbench.execution import job
from trustbench.execution.deploy import deployed as deployed_system
from trustbench.execution.plan import plan
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.interventions.robustness.trades import TRADES
from trustbench.interventions.uncertainty.deep_ensemble import STRIDE, DeepEnsemble
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.interventions.uncertainty.temperature import TemperatureScaling
from trustbench.models.logistic import Logistic
from trustbench.store.records import Store
from trustbench.training import fits, hooks, loop
from trustbench.training.averaging import Averaged

HALF = MCDropout()
PGD = PGDAdversarialTraining(steps=2)


def ignored(*_):
    pass


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_factors_are_inverted_dropout(rate):
    """Each is 0 or 1 / (1 - rate), 0 at the rate asked for, and the mean is 1."""
    n = 200_000
    drawn = MCDropout(rate=rate).hidden((n,), torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.float32
    np.testing.assert_allclose(drawn.unique(), [0, 1 / (1 - rate)], rtol=1e-6)
    error = (rate * (1 - rate) / n) ** 0.5
    assert abs((drawn == 0).double().mean() - rate) < 4 * error
    assert abs(drawn.double().mean() - 1) < 4 * error / (1 - rate)
    again = MCDropout(rate=rate).hidden((n,), torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)


@pytest.mark.parametrize(("key", "value"), [("rate", 1.0), ("rate", -0.1), ("passes", -1)])
def test_settings_outside_their_range_are_refused(key, value):
    with pytest.raises(ValidationError):
        TypeAdapter(MCDropout).validate_python({key: value})


def test_rate_zero_trains_the_baseline_to_the_bit(problem):
    base = loop.train(*trainer(problem), ignored)
    none = loop.train(*trainer(problem, (MCDropout(rate=0.0),)), ignored)
    some = loop.train(*trainer(problem, (MCDropout(rate=0.1),)), ignored)
    assert_same(base.best, none.best)
    assert any((base.params[n] != some.params[n]).any() for n in base.params)


@pytest.mark.parametrize(
    "interventions", [(HALF,), (DP, HALF), (HALF, PGD), (HALF, TRADES(steps=2))]
)
def test_stacked_and_opacus_engines_train_the_same_replicates(problem, interventions):
    assert_engines_agree(problem, interventions)


@pytest.mark.parametrize("interventions", [(HALF,), (DP, HALF)])
def test_a_killed_training_goes_on_to_the_same_bits(problem, interventions, tmp_path):
    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 3:
            raise Killed

    def keep(state):
        fits.write_checkpoint(tmp_path, state)

    whole = loop.train(*trainer(problem, interventions), ignored)
    made, params = trainer(problem, interventions)
    with pytest.raises(Killed):
        loop.train(made, params, kill, checkpoint=keep, checkpoint_s=0.0)
    saved = fits.read_checkpoint(tmp_path, torch.device("cpu"))
    assert saved.epoch == 2
    resumed = loop.train(*trainer(problem, interventions), ignored, resume=saved)
    assert_same(resumed.params, whole.params)
    assert_same(resumed.best, whole.best)


@pytest.mark.parametrize("interventions", [(HALF,), (DP, HALF)])
def test_replicate_r_does_not_depend_on_how_many_replicates_there_are(problem, interventions):
    two, four = (
        loop.train(*trainer(problem, interventions, replicates=k, engine="opacus"), ignored)
        for k in (2, 4)
    )
    for name in two.params:
        torch.testing.assert_close(two.params[name], four.params[name][:2], rtol=1e-5, atol=1e-6)


def test_attacks_and_validation_see_the_network_without_masks(problem):
    """With the same parameters, PGD's inputs beside dropout are those without it."""
    made, params = trainer(problem, (HALF, PGD))
    alone, _ = trainer(problem, (PGD,))
    X, y, group = (torch.as_tensor(a[:20]) for a in problem.rows("train"))

    def batch():
        return Batch(
            X=X.expand(4, *X.shape).unsqueeze(2),
            y=y.expand(4, 20),
            group=group.expand(4, 20),
            weight=torch.ones(4, 20),
            rows=torch.arange(20).expand(4, 20),
            generators=[made.streams.torch("attacks", r) for r in range(4)],
        )

    attacked = hooks.perturbed(made, params, batch(), [{}, {}])
    assert torch.equal(attacked, hooks.perturbed(alone, params, batch(), [{}]))
    a = loop.accuracy_on(made, params, "validation")
    np.testing.assert_array_equal(a, loop.accuracy_on(alone, params, "validation"))
    streams = [made.streams.torch("hidden", r) for r in range(4)]
    factors = hooks.factors(made, batch(), hooks.Masks(hidden=streams))
    assert {n: tuple(f.shape) for n, f in factors.items()} == {"2": (4, 20, 1, 8)}
    assert hooks.factors(alone, batch(), hooks.Masks(hidden=streams)) is None


def deployed(arm, *interventions, **changes):
    chosen = tuple(Chosen(type(i).__name__, i) for i in interventions)
    made = plan(replace(arm, interventions=chosen, **changes))
    return made, deployed_system(made, Store(arm.output_dir), ignore)


def test_the_system_is_the_mean_over_fixed_masks(arm):
    made, system = deployed(arm, MCDropout(passes=7))
    assert isinstance(system.forward, Averaged)
    assert len(system.forward.draws) == 7
    X = system.tensor(system.problem.rows("test")[0])
    assert torch.equal(system.forward(X), system.forward(X))
    half = len(X) // 2  # a row's answer depends on no other row
    torch.testing.assert_close(system.forward(X[:half]), system.forward(X)[:, :half])
    for r in range(4):
        net = Net().build(system.problem)
        net.load_state_dict({n: p[r] for n, p in system.forward.params.items()})
        each = []
        for factors in system.forward.draws:
            h = net[2](net[1](net[0](X))) * factors["2"][r]
            each.append(net[3](h).softmax(-1))
        torch.testing.assert_close(system.forward(X)[r].exp(), torch.stack(each).mean(0))
    single = Averaged(made.engine, system.forward.params, system.forward.draws[:1])
    y = torch.as_tensor(system.problem.rows("test")[1]).expand(4, -1).unsqueeze(-1)
    nll = [-f(X).log_softmax(-1).gather(-1, y).mean() for f in (system.forward, single)]
    assert nll[0] < nll[1]  # Jensen


def test_many_passes_come_close_to_the_expectation(arm):
    """Two independent means of K passes differ by about 1 / sqrt K of a single pass's spread."""
    made, system = deployed(arm, MCDropout(passes=400))
    X = system.tensor(system.problem.rows("test")[0])
    streams = [torch.Generator().manual_seed(r) for r in range(4)]
    forward = system.forward
    other = Averaged.over(made.engine, forward.params, MCDropout().hidden, 400, streams)
    one = Averaged(made.engine, forward.params, forward.draws[:1])
    far = (one(X).exp() - other(X).exp()).square().mean().sqrt()
    near = (forward(X).exp() - other(X).exp()).square().mean().sqrt()
    assert near < 3 * far * (2 / 400) ** 0.5


def test_no_passes_deploy_the_weights_as_they_are(arm):
    made, system = deployed(arm, MCDropout(passes=0))
    assert not isinstance(system.forward, Averaged)
    assert made.retraining


def test_temperature_and_ensembles_are_built_on_the_mean(arm):
    made, plain = deployed(arm, MCDropout(passes=3))
    X = plain.tensor(plain.problem.rows("test")[0])
    _, cooled = deployed(arm, MCDropout(passes=3), TemperatureScaling())
    ratio = cooled.forward(X) / plain.forward(X)
    torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio), rtol=1e-4, atol=1e-5)
    _, both = deployed(arm, DeepEnsemble(members=2), MCDropout(passes=3))
    twin = deployed_system(made.reseeded(STRIDE), Store(arm.output_dir), ignore)
    mean = (plain.forward(X).softmax(-1) + twin.forward(X).softmax(-1)) / 2
    torch.testing.assert_close(both.forward(X).softmax(-1), mean)
    assert not torch.equal(twin.forward.draws[0]["2"], plain.forward.draws[0]["2"])


def test_the_matched_control_deploys_the_baselines_network(arm):
    _, system = deployed(arm, HALF, control="matched")
    assert not isinstance(system.forward, Averaged)


def test_privacy_is_accounted_as_without_dropout(arm):
    both = (BUDGET, Chosen("mc_dropout", HALF))
    outcome = job.run(replace(arm, interventions=both), ignore)
    assert outcome.status == "ok", outcome.reason
    record = Store(arm.output_dir).read(outcome.arm_id)
    alone = job.run(replace(arm, interventions=(BUDGET,)), ignore)
    assert record.facts["epsilon"] == Store(arm.output_dir).read(alone.arm_id).facts["epsilon"]


@pytest.mark.parametrize("engine", ["stacked", "opacus"])
def test_a_model_without_hidden_units_is_refused_with_the_reason(arm, engine):
    linear = replace(
        arm,
        model=Chosen("logistic", Logistic()),
        interventions=(Chosen("mc_dropout", HALF),),
        engine=engine,
    )
    outcome = job.run(linear, ignore)
    assert outcome.status == "unsupported"
    assert "model logistic has none; use a model with hidden layers" in outcome.reason


def test_two_methods_on_hidden_units_are_refused(arm):
    both = (Chosen("mc_dropout", HALF), Chosen("other", MCDropout(rate=0.2)))
    outcome = job.run(replace(arm, interventions=both), ignore)
    assert outcome.status == "unsupported"
    assert "both decide the `hidden` hook" in outcome.reason


def test_training_under_dropout_learns(problem):
    schedule = replace(SCHEDULE, epochs=15)
    made, params = trainer(problem, (HALF,), schedule=schedule)
    before = loop.accuracy_on(made, params, "test")
    state = loop.train(made, params, ignored)
    assert (loop.accuracy_on(made, state.best, "test") > before + 0.1).all()
    assert not any(isinstance(m, nn.Dropout) for m in made.engine.module.modules())
