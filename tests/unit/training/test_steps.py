"""What one training run does step by step, against torch's own optimiser."""

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import make_problem
from tests.unit.training.test_loop import SCHEDULE, TinyMLP, ignore, trainer
from trustbench.contracts import Intervention
from trustbench.contracts.aspects import Aspect
from trustbench.training import loop
from trustbench.training.sampling import epoch_batches


def steps_of_torch(made, params, r):
    """The parameters of replicate r after each step of `torch.optim.SGD` on its batches."""
    schedule = made.schedule
    X, y, _ = (torch.as_tensor(a) for a in made.problem.rows("train"))
    module = TinyMLP().build(made.problem)
    module.load_state_dict({n: p[r] for n, p in params.items()})
    optimiser = torch.optim.SGD(
        module.parameters(),
        lr=schedule.lr,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
    )
    for epoch in range(schedule.epochs):
        drawn = epoch_batches(schedule, made.membership, made.streams, epoch)
        for rows, real in zip(drawn.rows[:, r], drawn.real[:, r], strict=True):
            optimiser.zero_grad()
            chosen = torch.as_tensor(rows[real > 0])
            nn.functional.cross_entropy(module(X[chosen]), y[chosen]).backward()
            optimiser.step()
            yield {n: p.detach().clone() for n, p in module.named_parameters()}


@pytest.mark.parametrize(("momentum", "decay"), [(0.9, 0.05), (0.0, 0.05), (0.9, 0.0)])
def test_every_step_and_every_snapshot_is_that_of_torch(problem, momentum, decay):
    schedule = replace(
        SCHEDULE, regime="memorising", epochs=3, momentum=momentum, weight_decay=decay
    )
    made, params = trainer(problem, schedule=schedule, replicates=2, snapshots=2)
    state = loop.train(made, params, ignore)
    # 120 members in batches of 32 are 4 steps an epoch; 1 and 2 are within the first.
    kept = [1, 2, 4, 12]
    assert len(state.snapshots) == len(kept)
    for r in range(2):
        steps = list(steps_of_torch(made, params, r))
        assert len(steps) == 12
        for name, p in state.params.items():
            torch.testing.assert_close(p[r], steps[-1][name], rtol=1e-4, atol=1e-5)
        for snapshot, step in zip(state.snapshots, kept, strict=True):
            for name, p in snapshot.items():
                torch.testing.assert_close(p[r], steps[step - 1][name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [(1, ()), (2, (1,)), (3, (1, 2)), (4, (1, 2)), (5, (1, 2, 4)), (8, (1, 2, 4)),
     (9, (1, 2, 4, 8)), (17, (1, 2, 4, 8, 16))],
)  # fmt: skip
def test_snapshots_of_the_first_epoch_are_powers_of_two_before_its_end(problem, steps, kept):
    made, _ = trainer(problem, snapshots=3)
    assert loop._snapshot_steps(made, steps) == kept
    assert loop._snapshot_steps(replace(made, snapshots=0), steps) == ()


@dataclass(frozen=True)
class Watcher(Intervention):
    """Keeps which rows its hooks are shown."""

    aspect: ClassVar[Aspect] = Aspect.ROBUSTNESS
    adapting: list = field(default_factory=list)
    perturbing: list = field(default_factory=list)

    def adapt(self, memory, validation, forward, problem):
        self.adapting.append(validation.rows)

    def perturb(self, batch, forward, problem):
        self.perturbing.append(batch.rows)
        return batch.X


def test_validation_rows_are_marked_and_members_are_places_in_the_pool(problem):
    """A method that keeps a number per member must not write validation rows into its places."""
    watcher = Watcher()
    made, params = trainer(problem, (watcher,), replace(SCHEDULE, epochs=2), replicates=2)
    loop.train(made, params, ignore)
    n = len(problem.splits["validation"])
    assert len(watcher.adapting) == 3, "before the first epoch and after each"
    training = [rows for rows in watcher.perturbing if (rows >= 0).all()]
    validating = [rows for rows in watcher.perturbing if not (rows >= 0).all()]
    assert (len(training), len(validating)) == (2 * 4, 2)
    for rows in [*watcher.adapting, *validating]:
        assert rows.shape == (2, n)
        assert (rows == -1).all()
    assert max(int(rows.max()) for rows in training) < len(problem.splits["train"])


def test_the_validation_objective_reads_a_thousand_rows_and_accuracy_all():
    longer = make_problem(n=10070)
    assert len(longer.splits["validation"]) == 1007
    watcher = Watcher()
    schedule = replace(SCHEDULE, epochs=1, batch_size=512)
    made, params = trainer(longer, (watcher,), schedule, replicates=2)
    state = loop.train(made, params, ignore)
    assert {rows.shape[1] for rows in watcher.adapting} == {1000}
    X, y, _ = (torch.as_tensor(a) for a in longer.rows("validation"))
    right = (made.engine.forward(state.params, X).argmax(-1) == y).double().mean(1)
    np.testing.assert_allclose(state.accuracy[-1], right)


@pytest.mark.parametrize(("given", "epochs"), [({}, [3, 6]), ({"checkpoint_s": 20.0}, [2, 4, 6])])
def test_a_checkpoint_is_written_once_its_interval_has_passed(problem, monkeypatch, given, epochs):
    """Epochs take ten seconds each; without an interval it is half a minute."""
    now, written = [100.0], []
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])

    def ten_seconds(*_):
        now[0] += 10

    made, params = trainer(problem, replicates=2)
    loop.train(made, params, ten_seconds, checkpoint=lambda s: written.append(s.epoch), **given)
    assert written == epochs
