"""Passes that are computed in parts: every number stays, and what does not fit is said."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.pretended import DEVICE, pretended
from tests.unit.arm_toys import Accuracy
from tests.unit.training.test_launches import SHORT, TinyCNN
from tests.unit.training.test_loop import TinyMLP, assert_same, ignore, trainer
from trustbench.config.arms import Chosen
from trustbench.execution import job
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.privacy.dpsgd_global_adapt import DPSGDGlobalAdapt
from trustbench.interventions.robustness.fair_robust_learning import FairRobustLearning
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.training import loop
from trustbench.training.engine_choice import choose
from trustbench.training.engines import stack
from trustbench.training.memory import LIMITS, EngineInParts, row_bytes

R, ROWS = 8, 300
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def limits():
    """The limits of a new process."""
    LIMITS.start(4.0)
    yield
    LIMITS.start(4.0)


class Cramped:
    """An engine in whose memory a limited number of rows of all replicates fits."""

    def __init__(self, engine, most):
        self.engine, self.most, self.refused = engine, most, 0

    def __getattr__(self, name):
        return getattr(self.engine, name)

    def _allocate(self, rows):
        if rows > self.most:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def forward(self, params, X, factors=None):
        R = len(next(iter(params.values())))
        self._allocate(R * (X.shape[1] if X.ndim > len(self.engine.shape) + 1 else X.shape[0]))
        return self.engine.forward(params, X, factors)

    def gradient(self, params, X, loss, coefficients=None, factors=None):
        found = self.engine.gradient(params, X, loss, coefficients, factors)
        self._allocate(2 * X.shape[0] * X.shape[1])  # when the rule has seen the norms
        return found


def answers(engine, params, X, factors):
    """Logits, their gradient by the inputs, and the gradient of its square."""
    X = X.clone().requires_grad_()
    logits = engine.forward(params, X, factors)
    (first,) = torch.autograd.grad(logits.square().sum(), X, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), X)
    with torch.no_grad():
        return logits.detach(), first.detach(), second, engine.forward(params, X, factors)


@pytest.mark.parametrize("masks", [1, ROWS], ids=["shared masks", "masks of rows"])
@pytest.mark.parametrize(
    ("model", "kind"), [(TinyMLP(), "stacked"), (TinyCNN(), "stacked"), (TinyCNN(), "opacus")]
)
def test_numbers_are_equal_bit_for_bit_whatever_the_budget(problem, model, kind, masks):
    engine = choose(kind, model.build(problem), problem, CPU)
    params = stack([model.build(problem) for _ in range(R)])
    X = torch.randn(R, ROWS, *problem.shape)
    factors = {n: torch.rand(R, masks, *unit) for n, unit in engine.sites.items()}
    fitting, each = EngineInParts(engine), row_bytes(engine.module, problem.shape)
    whole = (*answers(engine, params, X, factors), engine.forward(params, X[0]))
    seen = set()
    for rows in (R * ROWS, R * 150, R * 100, R * 64, 1):
        LIMITS.start(rows * each / 1e9)
        seen.add(LIMITS.parts(R, ROWS, each, engine.fewest))
        parts = (*answers(fitting, params, X, factors), fitting.forward(params, X[0]))
        for found, expected in zip(parts, whole, strict=True):
            assert torch.equal(found, expected), rows
    assert len(seen) == 5
    assert {(R, ROWS), (4, 64)} <= seen


METHODS = {
    "none": [],
    "dpsgd": [DPSGD(epsilon=5.0, epochs=1, batch_size=32)],
    "dpsgd_global_adapt": [DPSGDGlobalAdapt(epsilon=5.0, epochs=1, batch_size=32)],
    "pgd_at": [PGDAdversarialTraining(steps=2)],
    "fair_robust_learning": [FairRobustLearning(steps=2)],
    "dpsgd and mc_dropout": [DPSGD(epsilon=5.0, epochs=1, batch_size=32), MCDropout()],
}


@pytest.mark.parametrize("model", [TinyMLP(), TinyCNN()], ids=["chain", "functional"])
@pytest.mark.parametrize("methods", METHODS.values(), ids=METHODS)
def test_a_step_that_lacks_memory_is_repeated_in_parts_with_equal_numbers(problem, methods, model):
    made, params = trainer(problem, methods, SHORT, 16, "stacked", model)
    whole = loop.train(made, params, ignore)
    cramped = Cramped(made.engine, 800)
    if made.rule is not None:
        made = replace(made, rule=methods[0].gradient(SHORT, int(made.membership.sum(1).min())))
    parts = loop.train(replace(made, engine=EngineInParts(cramped)), params, ignore)
    assert cramped.refused
    assert_same(parts.best, whole.best)
    assert_same(parts.rule_state, whole.rule_state)
    assert [a.tolist() for a in parts.loss] == [a.tolist() for a in whole.loss]


def test_memory_that_runs_out_in_a_backward_repeats_the_attack(problem, monkeypatch):
    """Nothing of a forward pass is lacking: the graph that it leaves is too large."""
    made, params = trainer(problem, METHODS["pgd_at"], SHORT, 16)
    made = replace(made, engine=EngineInParts(made.engine))
    whole = loop.train(made, params, ignore)
    real, failed = torch.autograd.grad, []

    def grad(outputs, inputs, *args, **kwargs):
        if torch.is_tensor(inputs) and LIMITS.rows is None:
            failed.append(outputs)
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(outputs, inputs, *args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", grad)
    assert_same(loop.train(made, params, ignore).best, whole.best)
    assert len(failed) == 1


class Hungry(Accuracy):
    """Lacks memory until half of a pass is computed at once, or always."""

    def measure(self, system):
        found = super().measure(system)
        if LIMITS.rows is None or self.points:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore")
        return found


def test_an_evaluation_is_repeated_and_only_then_fails_with_what_helps(arm):
    chosen = replace(arm, evaluators=(Chosen("hungry", Hungry()),))
    assert job.run(chosen, ignore).status == "ok"
    outcome = job.run(replace(arm, evaluators=(Chosen("hungry", Hungry(points=1)),)), ignore)
    assert outcome.status == "failed"
    assert outcome.reason == (
        "it ran out of memory in the smallest parts that keep its numbers (CUDA out of memory. "
        "Tried to allocate 2.00 GiB); lower training.batch_size or protocol.replicates, or run "
        "fewer arms beside it (hydra.launcher.per_gpu, hydra.launcher.slots)."
    )


def test_another_error_is_not_taken_for_a_lack_of_memory(problem):
    engine = choose("stacked", nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), problem, CPU)
    with pytest.raises(RuntimeError, match=r"must match|size|shape"):
        EngineInParts(engine).forward(stack([engine.module]), torch.zeros(1, 3, 7))


def test_parts_are_computed_where_the_whole_is(problem):
    with pretended() as device:
        made, params = trainer(problem, METHODS["pgd_at"], SHORT, device=DEVICE)
        LIMITS.start(1e-6)
        state = loop.train(replace(made, engine=EngineInParts(made.engine)), params, ignore)
        assert device.holds(state.best["1.weight"])
