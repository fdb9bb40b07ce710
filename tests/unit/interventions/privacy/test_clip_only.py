"""The two halves of DP-SGD: together they are DP-SGD, and alone they guarantee nothing."""

import pytest
import torch

from tests.unit.training.test_loop import ignore, trainer
from trustbench.contracts import Schedule
from trustbench.interventions.privacy.clip_only import ClipOnly
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.privacy.noise_only import NoiseOnly
from trustbench.training import loop

SCHEDULE = Schedule("tuned", epochs=40, batch_size=64, lr=0.1, momentum=0.9)
SHARED = {"max_grad_norm": 0.3, "lr": 0.5, "momentum": 0.2, "batch_size": 32, "epochs": 4}
NOISY = {"epsilon": 4.0, "delta": 1e-3, **SHARED}
NORMS = torch.tensor([[0.0, 0.1, 0.3, 3.0, 1e8]])


def rules():
    made = DPSGD(**NOISY), ClipOnly(**SHARED), NoiseOnly(**NOISY)
    return [m.gradient(SCHEDULE, 400) for m in made]


def generators():
    return [torch.Generator().manual_seed(s) for s in (1, 2)]


def test_all_three_train_on_the_same_batches():
    dp, clip, noise = rules()
    assert dp.schedule == clip.schedule == noise.schedule
    assert dp.steps == clip.steps == noise.steps
    assert noise.sigma == dp.sigma > 0


@pytest.mark.parametrize("planted", [None, "unscaled noise", "clipped twice"])
def test_an_update_of_dpsgd_is_clipping_plus_noise(planted):
    dp, clip, noise = rules()
    total = {"w": torch.randn(2, 5, 7), "b": torch.randn(2, 5)}
    zero = {n: torch.zeros_like(t) for n, t in total.items()}
    if planted == "unscaled noise":
        noise.bound = 1.0
    whole = dp.update({n: t.clone() for n, t in total.items()}, generators())
    if planted == "clipped twice":
        total = {n: t * 0.5 for n, t in total.items()}
    parts = clip.update(total, generators()), noise.update(zero, generators())
    same = all(torch.allclose(whole[n], parts[0][n] + parts[1][n], atol=1e-7) for n in whole)
    assert same == (planted is None)


def test_one_clips_as_dpsgd_and_the_other_not_at_all():
    dp, clip, noise = rules()
    torch.testing.assert_close(
        clip.coefficients(NORMS, slice(None)), dp.coefficients(NORMS, slice(None)), rtol=0, atol=0
    )
    assert (noise.coefficients(NORMS, slice(None)) == 1).all()


def test_clipping_draws_no_number():
    (g,) = given = [torch.Generator().manual_seed(0)]
    before = g.get_state()
    rules()[1].update({"w": torch.ones(1, 3)}, given)
    assert torch.equal(before, g.get_state())


def test_dpsgd_tends_to_either_half(problem):
    """Without noise it ends where clipping ends; with a bound out of reach, where noise ends."""
    own = {"lr": 0.5, "batch_size": 32, "epochs": 3}
    pairs = [
        (DPSGD(epsilon=None, noise_multiplier=1e-7, max_grad_norm=0.3, **own),
         ClipOnly(max_grad_norm=0.3, **own)),
        (DPSGD(epsilon=None, noise_multiplier=2e-6, max_grad_norm=1e6, **own),
         NoiseOnly(epsilon=None, noise_multiplier=2.0, max_grad_norm=1.0, **own)),
    ]  # fmt: skip
    ends = []
    for pair in pairs:
        runs = [loop.train(*trainer(problem, (method,), replicates=2), ignore) for method in pair]
        for name, p in runs[0].params.items():
            torch.testing.assert_close(p, runs[1].params[name], rtol=1e-4, atol=1e-4)
        ends.append(runs[0].params)
    assert any((ends[0][n] - ends[1][n]).abs().max() > 0.01 for n in ends[0]), "the halves differ"


def test_neither_names_an_epsilon():
    for rule in rules()[1:]:
        facts = rule.facts()
        assert not any("epsilon" in key or key == "delta" for key in facts)
        assert facts["guarantee"].startswith("none")
    assert not ClipOnly.reads_rows, "and none declares a mechanism to the ledger"
    assert not NoiseOnly.reads_rows
    assert rules()[0].read.mechanism is not None
