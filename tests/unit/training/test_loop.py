"""The loop: hooks, early stopping per replicate, resume to the same bits, divergence."""

from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from trustbench.config.arms import Protocol
from trustbench.contracts import Batch, Intervention, Model, Schedule
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.seeding import Streams
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.training import fits, hooks, loop
from trustbench.training.engine_choice import choose
from trustbench.training.replicates import initial_parameters, membership
from trustbench.training.state import Trainer, TrainingState

CPU = torch.device("cpu")
SCHEDULE = Schedule("tuned", epochs=6, batch_size=32, lr=0.1, momentum=0.9)


class TinyMLP(Model):
    def build(self, problem):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(problem.n_features, 8), nn.Tanh(), nn.Linear(8, 2)
        )


@dataclass(frozen=True)
class Recorder(Intervention):
    """Fills every training hook with something that can be seen in the result."""

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS

    def weights(self, problem, members):
        y = problem.rows("train")[1][members]
        return np.where(y == 1, 2.0, 0.0)

    def perturb(self, batch, forward, problem):
        R, B, V = batch.X.shape[:3]
        assert forward(batch.X.flatten(1, 2)).shape == (R, B * V, 2)
        return torch.cat([batch.X, batch.X + 1], dim=2)

    def objective(self, loss, logits, batch):
        assert logits.shape[:2] == loss.shape == batch.y.shape
        return loss * 0.5


def trainer(
    problem,
    interventions=(),
    schedule=SCHEDULE,
    replicates=4,
    engine="auto",
    model=None,
    device=CPU,
    **kwargs,
):
    """A trainer of a model (None: a small MLP), and the parameters that it starts from."""
    model, streams = model or TinyMLP(), Streams(0)
    inside = membership(problem, Protocol(replicates=replicates), streams)
    rule = None
    for i in interventions:
        rule = rule or i.gradient(schedule, int(inside.sum(1).min()))
    made = Trainer(
        problem=problem,
        engine=choose(engine, model.build(problem), problem, device),
        interventions=list(interventions),
        schedule=rule.schedule if rule else schedule,
        rule=rule,
        membership=inside,
        streams=streams,
        device=device,
        patience=kwargs.pop("patience", 10),
        **kwargs,
    )
    if any(i.first_fit for i in interventions):
        others = [i for i in interventions if not i.first_fit]
        first, params = trainer(problem, others, schedule, replicates, engine, model, device)
        made = replace(made, first=loop.train(first, params, ignore).best)
    return made, initial_parameters(model, problem, replicates, streams, device)


def ignore(*_):
    pass


def assert_same(a, b):
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)


DP = DPSGD(epsilon=5.0, epochs=5, batch_size=32)


@pytest.mark.parametrize("interventions", [(), (DP,), (Recorder(),), (Recorder(), DP)])
def test_two_runs_end_in_the_same_bits(problem, interventions):
    states = [loop.train(*trainer(problem, interventions), ignore) for _ in range(2)]
    assert_same(states[0].best, states[1].best)


def test_a_checkpoint_keeps_every_field_of_a_training_state(tmp_path):
    def tensors(value):
        return {"w": torch.tensor([[value, -2.0]])}

    one, two = np.array([0.25, 0.5]), np.array([1.0, 2.0])
    filled = {
        "params": tensors(1.0), "velocity": tensors(2.0), "best": tensors(3.0), "epoch": 3,
        "best_loss": one, "best_epoch": np.array([1, 3]), "best_accuracy": two,
        "loss": [one, two], "accuracy": [two, one, one],
        "snapshots": [tensors(4.0)], "snapshot_accuracy": [two],
        "rule_state": tensors(5.0), "memory": [{}, tensors(6.0)],
    }  # fmt: skip
    # which rows are left out follows from the methods, and is set whenever training starts
    assert set(filled) == {f.name for f in fields(TrainingState)} - {"left_out"}
    fits.write_checkpoint(tmp_path, TrainingState(**filled))
    found = fits.read_checkpoint(tmp_path, CPU)
    for name, given in filled.items():
        torch.testing.assert_close(getattr(found, name), given, rtol=0, atol=0)


@pytest.mark.parametrize("interventions", [(), (DP,)])
def test_a_killed_training_goes_on_to_the_same_bits(problem, interventions, tmp_path):
    whole = loop.train(*trainer(problem, interventions, snapshots=4), ignore)

    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 3:
            raise Killed

    made, params = trainer(problem, interventions, snapshots=4)
    with pytest.raises(Killed):
        loop.train(
            made,
            params,
            kill,
            checkpoint=lambda s: fits.write_checkpoint(tmp_path, s),
            checkpoint_s=0.0,
        )
    saved = fits.read_checkpoint(tmp_path, CPU)
    assert saved.epoch == 2
    made, params = trainer(problem, interventions, snapshots=4)
    resumed = loop.train(made, params, ignore, resume=saved)
    assert_same(resumed.best, whole.best)
    assert_same(resumed.params, whole.params)
    for a, b in zip(resumed.snapshots, whole.snapshots, strict=True):
        assert_same(a, b)
    np.testing.assert_array_equal(resumed.snapshot_accuracy, whole.snapshot_accuracy)


def test_replicate_r_does_not_depend_on_how_many_replicates_there_are(problem):
    two = loop.train(*trainer(problem, (DP,), replicates=2, engine="opacus"), ignore)
    four = loop.train(*trainer(problem, (DP,), replicates=4, engine="opacus"), ignore)
    for name in two.params:
        torch.testing.assert_close(two.params[name], four.params[name][:2], rtol=1e-5, atol=1e-6)


def assert_engines_agree(problem, interventions):
    """Both engines end in the same float64 parameters."""
    runs = []
    for engine in ("stacked", "opacus"):
        made, params = trainer(problem, interventions, engine=engine)
        runs.append(loop.train(made, {n: p.double() for n, p in params.items()}, ignore))
    for name in runs[0].params:
        torch.testing.assert_close(runs[0].params[name], runs[1].params[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("interventions", [(), (DP,), (Recorder(), DP)])
def test_stacked_and_opacus_engines_train_the_same_replicates(problem, interventions):
    assert_engines_agree(problem, interventions)


def test_every_hook_reaches_the_gradient(problem):
    """The recorder's gradient, by hand: weight 2 or 0, two views, half the loss."""
    made, params = trainer(problem, (Recorder(),))
    X, y, _ = (torch.as_tensor(a) for a in problem.rows("train"))
    made = replace(made, membership=np.ones_like(made.membership))
    rows = torch.arange(20).expand(4, 20)
    weights = hooks.example_weights(made, made.data("train", torch.float32))
    batch = Batch(
        X=X[rows].unsqueeze(2),
        y=y[rows],
        group=y[rows],
        weight=weights.gather(1, rows),
        rows=rows,
        generators=[],
    )
    got = loop.batch_gradient(made, params, batch, [], count=torch.full((4,), 20.0), memory=[{}])
    module = TinyMLP().build(problem)
    for r in range(4):
        module.load_state_dict({n: p[r] for n, p in params.items()})
        views = torch.stack([X[:20], X[:20] + 1], dim=1).flatten(0, 1)
        ce = nn.functional.cross_entropy(
            module(views), y[:20].repeat_interleave(2), reduction="none"
        )
        expected = (0.5 * ce.view(20, 2).mean(1) * torch.where(y[:20] == 1, 2.0, 0.0)).sum() / 20
        grads = torch.autograd.grad(expected, list(module.parameters()))
        for (name, _), g in zip(module.named_parameters(), grads, strict=True):
            torch.testing.assert_close(got[name][r], g, rtol=1e-4, atol=1e-6)


def test_tuned_keeps_the_best_epoch_and_stays_stopped(problem):
    schedule = replace(SCHEDULE, epochs=60, lr=0.3)
    made, params = trainer(problem, schedule=schedule, patience=3)
    state = loop.train(made, params, ignore)
    losses = np.array(state.loss)
    for r in range(4):
        best = int(state.best_epoch[r])
        assert losses[best - 1, r] == state.best_loss[r]
        window = losses[best : best + 3, r]
        assert (window >= state.best_loss[r]).all()
    assert state.epoch < 60


def test_memorising_keeps_the_last_state(problem):
    made, params = trainer(problem, schedule=replace(SCHEDULE, regime="memorising"))
    state = loop.train(made, params, ignore)
    assert (state.best_epoch == SCHEDULE.epochs).all()
    assert_same(state.best, state.params)


def test_snapshots_start_within_the_first_epoch(problem):
    made, params = trainer(problem, snapshots=6)
    state = loop.train(made, params, ignore)
    # 120 members in batches of 32: 4 steps, of which 1 and 2 are kept, then six epochs.
    assert len(state.snapshots) == 2 + 6
    assert state.snapshot_accuracy[0].mean() < state.snapshot_accuracy[-1].mean()


def test_poisson_steps_are_those_that_were_accounted(problem):
    made, params = trainer(problem, (DP,))
    steps = []
    original = made.rule.update

    def counting(total, generators):
        steps.append(1)
        return original(total, generators)

    made.rule.update = counting
    loop.train(made, params, ignore)
    assert len(steps) == made.rule.steps == made.rule.facts()["steps"]
