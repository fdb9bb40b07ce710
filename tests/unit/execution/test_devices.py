"""One arm on two devices: what is equal, what is kept apart, and what a record says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.pretended import DEVICE, pretended
from tests.unit.arm_toys import DP, run
from tests.unit.training.test_loop import CPU, ignore, trainer
from trustbench.config.arms import Chosen
from trustbench.execution import job
from trustbench.execution.plan import plan
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.interventions.uncertainty.mc_dropout import MCDropout
from trustbench.training import fits, loop


@pytest.fixture
def gpu(monkeypatch):
    """Pretends that there is a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a pretended one")
    with pretended() as device:
        yield device


def accuracy(record):
    (evaluation,) = record.evaluations.values()
    return evaluation.measurements["accuracy"].values


METHODS = {
    "none": None,
    "dpsgd": DP,
    "mc_dropout": Chosen("mc_dropout", MCDropout()),
    "pgd_at": Chosen("pgd_at", PGDAdversarialTraining()),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_an_arm_is_the_same_experiment_on_both(arm, tmp_path, gpu, method):
    made = replace(arm, interventions=(method,) if method else ())
    cpu, cuda = (replace(made, device=d, output_dir=tmp_path / d) for d in ("cpu", "cuda"))
    first, second = run(cpu)[0], run(cuda)[0]
    assert gpu.operators
    assert (first.id, first.fit) == (second.id, second.fit)
    assert (first.facts["device"], second.facts["device"]) == ("cpu", "cuda")
    np.testing.assert_allclose(accuracy(first), accuracy(second))
    a, b = (fits.read_fit(tmp_path / d / "fits" / plan(made).fit_id, CPU) for d in ("cpu", "cuda"))
    assert (a.device, b.device) == ("cpu", "cuda")
    for name, p in a.params.items():  # the same random numbers, up to the rounding of tanh
        torch.testing.assert_close(b.params[name], p, rtol=1e-4, atol=1e-5)


def test_a_record_says_where_its_replicates_were_trained(arm, gpu):
    assert "trained_on" not in run(replace(arm, device="cpu"))[0].facts
    other = replace(arm, device="cuda", evaluators=(Chosen("two", arm.evaluators[0].plugin),))
    facts = run(other)[0].facts
    assert (facts["device"], facts["trained_on"]) == ("cuda", "cpu")


@pytest.mark.parametrize("began", ["cpu", "cuda"])
def test_a_checkpoint_waits_for_the_device_that_began_it(problem, tmp_path, gpu, began):
    devices = {"cpu": CPU, "cuda": DEVICE}
    (other,) = set(devices) - {began}

    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 3:
            raise Killed

    def train(progress=ignore, **how):
        return loop.train(*trainer(problem, [DP.plugin], device=devices[began]), progress, **how)

    whole = train()
    with pytest.raises(Killed):
        train(kill, checkpoint=lambda s: fits.write_checkpoint(tmp_path, s), checkpoint_s=0.0)
    said = []
    assert fits.read_checkpoint(tmp_path, devices[other], said.append) is None
    (text,) = said
    assert f"was begun on {began}, which rounds differently" in text
    assert f"device={began} continues it" in text
    kept = fits.read_checkpoint(tmp_path, devices[began], said.append)
    assert (kept.epoch, len(said)) == (2, 1)
    resumed = train(resume=kept)
    assert all(torch.equal(whole.best[n], p) for n, p in resumed.best.items())
    fit = fits.Fit(resumed.best, resumed.best_accuracy, {}, {}, began)
    fits.write_fit(tmp_path, fit, resumed)
    assert not list(tmp_path.glob("checkpoint*"))


@pytest.fixture
def settings():
    """Restores what `prepare_torch` sets in the process."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.backends.cudnn.deterministic = before[1]


@pytest.mark.parametrize(
    ("device", "wanted", "repeats"),
    [("auto", True, True), ("auto", False, False), ("cpu", True, False)],
)
def test_a_gpu_repeats_to_the_bit_unless_told_otherwise(
    arm, monkeypatch, settings, device, wanted, repeats
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    job.prepare_torch(replace(arm, device=device, deterministic=wanted))
    assert torch.are_deterministic_algorithms_enabled() is repeats
    assert torch.backends.cudnn.deterministic is repeats
    assert job.os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


class Pooled(nn.Module):
    """Its backward adds in an order that no GPU repeats."""

    def forward(self, x):
        wide = x[:, None, None].expand(-1, 1, 2, -1)
        return nn.functional.adaptive_avg_pool2d(wide, 2).flatten(1)


def test_an_operation_that_no_gpu_repeats_names_the_switch(arm, gpu, monkeypatch, settings):
    layers = nn.Linear(6, 6), Pooled(), nn.Linear(4, 2)
    monkeypatch.setattr(type(arm.model.plugin), "build", lambda *_: nn.Sequential(*layers))
    outcome = job.run(replace(arm, device="cuda"), ignore)
    assert outcome.status == "failed"
    assert "deterministic=false permits an operation" in outcome.reason
