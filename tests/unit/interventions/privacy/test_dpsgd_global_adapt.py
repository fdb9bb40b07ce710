"""DPSGD-Global and -Global-Adapt: bounded contributions, the adapted threshold, its accounting."""

import math

import pytest
import torch
from opacus.accountants import RDPAccountant
from opacus.optimizers import AdaClipDPOptimizer

from tests.unit.training.test_loop import CPU, assert_same, ignore, trainer
from trustbench.config.binding import bind
from trustbench.contracts import Schedule
from trustbench.errors import ConfigError
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.privacy.dpsgd_global import DPSGDGlobal
from trustbench.interventions.privacy.dpsgd_global_adapt import DPSGDGlobalAdapt
from trustbench.methods.privacy.accounting import PoissonGaussian, rdp
from trustbench.methods.privacy.composition import spent
from trustbench.training import fits, loop

SCHEDULE = Schedule("tuned", epochs=40, batch_size=64, lr=0.1, momentum=0.9)
ALL = slice(None)
ADAPT = DPSGDGlobalAdapt(epsilon=5.0, epochs=5, batch_size=32, z0=3.0)


def adapting(**fields):
    fields = {"epsilon": None, "noise_multiplier": 1.0, "batch_size": 40, **fields}
    return DPSGDGlobalAdapt(**fields).gradient(SCHEDULE, 400)


def generators(*seeds):
    return [torch.Generator().manual_seed(s) for s in seeds]


def zeros(replicates):
    return {"w": torch.zeros(replicates, 300), "b": torch.zeros(replicates, 4)}


def largest(coefficients, bound):
    """The largest contribution of one example in units of the bound, over norms 1e-3 to 1e4."""
    norms = torch.logspace(-3, 4, 5001).unsqueeze(0)
    return float((coefficients(norms, ALL) * norms).max()) / bound


@pytest.mark.parametrize("z", [0.5, 2.0, 50.0])
def test_one_example_contributes_at_most_the_bound(z):
    fixed = DPSGDGlobal(z=z, max_grad_norm=0.7).gradient(SCHEDULE, 400)
    moving = adapting(z0=z, max_grad_norm=0.7)
    moving.state["Z"] = torch.tensor([z])
    assert 0.99 < largest(fixed.coefficients, 0.7) <= 1 + 1e-6
    assert 0.99 < largest(moving.coefficients, 0.7) <= 1
    # planted: scaling by bound/Z without clipping what is above Z
    assert largest(lambda norms, part: torch.full_like(norms, 0.7 / z), 0.7) > 1.5


def test_small_gradients_are_scaled_alike_and_large_ones_discarded_or_clipped():
    norms = torch.tensor([[0.1, 4.0, 4.1, 40.0]])
    fixed = DPSGDGlobal(z=4.0, max_grad_norm=2.0).gradient(SCHEDULE, 400)
    assert fixed.coefficients(norms, ALL).tolist() == [[0.5, 0.5, 0.0, 0.0]]
    moving = adapting(z0=4.0, max_grad_norm=2.0)
    expected = torch.tensor([[0.5, 0.5, 2 / 4.1, 2 / 40]])
    torch.testing.assert_close(moving.coefficients(norms, ALL), expected)


def published(norms, Z, tau, eta, batch):
    """One step of Z as Esipova's code writes it, without its noise; B is the expected size."""
    dt = 0
    for norm in norms:
        if norm > tau * Z:
            dt += 1
    return Z * math.exp(-eta + dt / batch)


@pytest.mark.parametrize("padding", [0, 9])
@pytest.mark.parametrize("planted", [None, "padded width", "padding counts"])
def test_the_threshold_follows_the_published_rule(padding, planted):
    rule = adapting(z0=4.0, eta_z=0.2, tau=0.7, sigma_bits=1e-9)
    if planted == "padded width":
        norms_shape = 35 + padding
        rule.run = rule.run._replace(expected_batch=norms_shape)
    Z = [4.0, 4.0]
    for step in range(6):
        norms = torch.rand(2, 35, generator=generators(step)[0]) * torch.tensor([[3.0], [30.0]])
        seen = torch.nn.functional.pad(norms, (0, padding), value=0.0)
        if planted == "padding counts":
            seen = torch.nn.functional.pad(norms, (0, padding), value=1e6)
        rule.coefficients(seen, ALL)
        rule.update(zeros(2), generators(10 * step, 10 * step + 1))
        Z = [published(n.tolist(), z, 0.7, 0.2, 40) for n, z in zip(norms, Z, strict=True)]
    Z = torch.tensor(Z).clamp(min=1.0)
    kept = torch.allclose(rule.state["Z"], Z, rtol=1e-5)
    wrong = planted == "padded width" or (planted == "padding counts" and padding > 0)
    assert kept == (not wrong)


def test_the_threshold_settles_where_a_share_eta_is_above():
    rule = adapting(z0=50.0, sigma_bits=1e-9, batch_size=400)
    norms = torch.rand(1, 400, generator=generators(0)[0]) * 10
    for _ in range(300):
        rule.coefficients(norms, ALL)
        rule.update(zeros(1), generators(0))
    assert float(rule.state["Z"]) == pytest.approx(9.0, abs=0.4)


def test_the_threshold_never_falls_below_the_bound():
    rule = adapting(z0=0.1, sigma_bits=1e-9, max_grad_norm=0.7)
    for _ in range(30):
        coefficients = rule.coefficients(torch.full((1, 5), 0.01), ALL)
        rule.update(zeros(1), generators(0))
    assert (coefficients == 1).all()
    assert float(rule.state["Z"]) == pytest.approx(0.7)


def test_the_count_is_noised_as_accounted():
    rule = adapting(z0=5.0, sigma_bits=10.0)
    rule.coefficients(torch.zeros(4000, 1), ALL)
    rule.update({"w": torch.zeros(4000, 1)}, generators(*range(4000)))
    moved = (rule.state["Z"] / 5.0).log()
    assert float(moved.mean()) == pytest.approx(-0.1, abs=4 * 0.25 / 4000**0.5)
    assert float(moved.std()) == pytest.approx(10.0 / 40, rel=0.05)


def test_the_parameters_get_the_noise_of_dpsgd_and_the_count_another():
    adapt, plain = adapting(), DPSGD(epsilon=None, noise_multiplier=1.0, batch_size=40)
    plain = plain.gradient(SCHEDULE, 400)
    mine, theirs = generators(1, 2), generators(1, 2)
    seen = []
    for _ in range(3):
        adapt.coefficients(torch.zeros(2, 5), ALL)
        a, b = adapt.update(zeros(2), mine), plain.update(zeros(2), theirs)
        assert_same(a, b)
        seen.append(adapt.state["Z"].clone())
    moves = torch.stack(seen).log().diff(dim=0)
    assert (moves[0] != moves[1]).all(), "every step draws anew"


def test_a_missing_replicate_is_noticed():
    rule = adapting()
    rule.coefficients(torch.zeros(1, 5), slice(0, 1))
    with pytest.raises(ValueError, match="norms of 1 replicates, noise for 2"):
        rule.update(zeros(2), generators(1, 2))


# --- accounting ---


def two_mechanisms(sigma, sigma_bits, rate, steps, delta):
    """Opacus' RDP accountant told of both Gaussians of every step, as the published code does."""
    accountant = RDPAccountant()
    accountant.history = [(sigma, rate, steps), (sigma_bits, rate, steps)]
    return accountant.get_epsilon(delta=delta)


@pytest.mark.parametrize("planted", [False, True])
@pytest.mark.parametrize(("batch_size", "sigma_bits"), [(40, 10.0), (400, 10.0), (40, 2.0)])
def test_epsilon_covers_both_releases_by_opacus(batch_size, sigma_bits, planted):
    rule = adapting(batch_size=batch_size, sigma_bits=sigma_bits, noise_multiplier=1.5, epochs=3)
    run = (rule.run.rate, rule.run.steps, rule.delta)
    opacus = two_mechanisms(1.5, sigma_bits, *run)
    ours = rdp(rule.read.mechanism, run[2])
    if planted:  # the count is released and not accounted
        ours = rdp(PoissonGaussian(1.5, *run[:2]), run[2])
    # One batch serves both releases: the joint mechanism costs at least what two batches would,
    # and without sampling (batch 400 of 400) exactly as much.
    covered = ours >= opacus * (1 - 1e-9) and ours <= opacus * 1.3
    assert covered == (not planted)
    if not planted and batch_size == 400:
        assert ours == pytest.approx(opacus, rel=1e-9)


def test_gradient_noise_is_that_of_opacus_adaptive_clipping():
    """Opacus' counts are of +-1/2, ours of 0 or 1: its standard deviation is half of ours."""
    rule = DPSGDGlobalAdapt(epsilon=3.0, epochs=10, sigma_bits=8.0).gradient(SCHEDULE, 800)
    parameter = torch.nn.Parameter(torch.zeros(200_000))
    optimiser = AdaClipDPOptimizer(
        torch.optim.SGD([parameter], lr=1.0),
        noise_multiplier=rule.released_sigma,
        target_unclipped_quantile=0.9,
        clipbound_learning_rate=0.2,
        max_clipbound=10.0,
        min_clipbound=0.1,
        unclipped_num_std=4.0,
        max_grad_norm=1.0,
        expected_batch_size=256,
        generator=generators(0)[0],
    )
    parameter.summed_grad = torch.zeros(200_000)
    optimiser.unclipped_num = torch.zeros(())
    optimiser.add_noise()
    spread = float(parameter.grad.std())
    assert rule.sigma == pytest.approx(spread, rel=0.008)
    assert rule.released_sigma != pytest.approx(spread, rel=0.03), "planted: counts forgotten"
    plain = DPSGD(epsilon=3.0, epochs=10).gradient(SCHEDULE, 800)
    assert rule.released_sigma == pytest.approx(plain.sigma)
    assert rule.sigma > plain.sigma
    assert 0.985 * 3 <= spent([rule.read.mechanism], rule.read.delta).epsilon <= 3


def test_a_count_that_alone_spends_the_budget_is_refused():
    with pytest.raises(ConfigError, match="raise sigma_bits, or epsilon"):
        DPSGDGlobalAdapt(epsilon=0.5, sigma_bits=1.0).gradient(SCHEDULE, 400)


@pytest.mark.parametrize("method", [DPSGDGlobal, DPSGDGlobalAdapt])
def test_one_of_epsilon_and_noise_is_asked_for(method):
    with pytest.raises(ConfigError, match="give one of them and set the other to null"):
        bind(method, {"noise_multiplier": 1.0}, "intervention.it")


# --- in the loop ---


@pytest.mark.parametrize("method", [ADAPT, DPSGDGlobal(epsilon=5.0, epochs=5, batch_size=32)])
def test_stacked_and_opacus_engines_train_the_same_replicates(problem, method):
    runs, rules = [], []
    for engine in ("stacked", "opacus"):
        made, params = trainer(problem, (method,), engine=engine)
        runs.append(loop.train(made, {n: p.double() for n, p in params.items()}, ignore))
        rules.append(made.rule)
    for name in runs[0].params:
        torch.testing.assert_close(runs[0].params[name], runs[1].params[name], rtol=0, atol=1e-11)
    assert_same(rules[0].state, rules[1].state)
    if method is ADAPT:
        assert len(rules[0].state["Z"].unique()) == 4, "every replicate adapts its own"


def test_a_killed_training_goes_on_to_the_same_bits(problem, tmp_path):
    whole = loop.train(*trainer(problem, (ADAPT,)), ignore)

    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 3:
            raise Killed

    made, params = trainer(problem, (ADAPT,))
    with pytest.raises(Killed):
        loop.train(
            made, params, kill,
            checkpoint=lambda s: fits.write_checkpoint(tmp_path, s), checkpoint_s=0.0,
        )  # fmt: skip
    made, params = trainer(problem, (ADAPT,))
    resumed = loop.train(made, params, ignore, resume=fits.read_checkpoint(tmp_path, CPU))
    assert_same(resumed.params, whole.params)
    assert_same(resumed.rule_state, whole.rule_state)
