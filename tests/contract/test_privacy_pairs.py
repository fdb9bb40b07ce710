"""Each DP method beside every other method: the composed claim holds or is void.

What should happen is read from what the hooks are seen to do; what is claimed is held against
Opacus' accountants, called here with the history of all that answers.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
import pytest
import torch
from opacus.accountants import PRVAccountant, RDPAccountant

from tests.conftest import make_problem, make_system
from tests.contract.conftest import OPTIONS
from tests.contract.watched import batch_of, read_in_training, read_when_deployed
from tests.tables import make_table
from tests.unit.arm_toys import Net, toy_arm
from tests.unit.training.test_loop import trainer
from trustbench.api.checks.findings import SCHEDULE
from trustbench.config.arms import Chosen, Protocol
from trustbench.contracts import Dataset, PoissonGaussian
from trustbench.errors import Unsupported
from trustbench.execution.plan import plan, refuse_impossible
from trustbench.interventions.privacy.clip_only import ClipOnly
from trustbench.training import hooks
from trustbench.training.loop import batch_gradient

METHODS = {o.name: o.plugin for o in OPTIONS if o.kind == "intervention" and o.canonical}
PROBLEMS = {"table": make_table(), "classes": make_problem(n=900, classes=5, groups=5, seed=1)}


@dataclass(frozen=True)
class Given(Dataset):
    name: str = "table"
    reads_rows: ClassVar = ()

    def load(self, data_dir, streams):
        return PROBLEMS[self.name]


@dataclass(frozen=True)
class Wide(Net):
    def build(self, problem):
        n, k = problem.n_features, len(problem.classes)
        flat = torch.nn.Flatten(), torch.nn.Linear(n, 8)
        return torch.nn.Sequential(*flat, torch.nn.Tanh(), torch.nn.Linear(8, k))


def protects(plugin):
    """Whether a method declares noisy sums of the members' gradients."""
    reads = plugin.declares(PROBLEMS["table"], SCHEDULE, 100)
    return any(isinstance(r.mechanism, PoissonGaussian) for r in reads)


DP = {
    name: replace(plugin, epochs=2, epsilon=None, noise_multiplier=1.5, batch_size=32)
    for name, plugin in METHODS.items()
    if protects(plugin)
}
PAIRS = [(dp, other) for dp in DP for other in METHODS if other != dp]


def test_all_dp_methods_are_found():
    assert {"dpsgd", "dpsgd_global", "dpsgd_global_adapt"} <= set(DP)
    assert len(PAIRS) > 90


@cache
def system_on(name):
    return make_system(PROBLEMS[name])


@cache
def behaviour(name):
    """(data set, rows read in training, rows read by what is deployed) of a method."""
    plugin = METHODS[name]
    on = next(k for k, p in PROBLEMS.items() if plugin.supports(p, SCHEDULE) is None)
    own = read_in_training(plugin, PROBLEMS[on])
    return on, own, read_when_deployed(plugin, system_on(on))


@cache
def accounted(accountant, sigma, rate, steps, delta):
    made = accountant()
    made.history = [(sigma, rate, steps)]
    return float(made.get_epsilon(delta=delta))


def planned(tmp_path, monkeypatch, names, inclusion, on):
    arm = toy_arm(tmp_path, monkeypatch)
    chosen = tuple(Chosen(n, DP.get(n, METHODS[n])) for n in names)
    return plan(
        replace(
            arm,
            dataset=Chosen("given", Given(on)),
            model=Chosen("wide", Wide()),
            interventions=chosen,
            protocol=Protocol(replicates=2, inclusion=inclusion),
        )
    )


@cache
def weighed_by_others(name):
    """Whether a member's weight depends on which other members there are."""
    plugin, problem = METHODS[name], PROBLEMS[behaviour(name)[0]]
    members = np.arange(0, len(problem.splits["train"]), 2)
    all_of_them = plugin.weights(problem, members)
    if all_of_them is None:
        return plugin.fills("reweigh")
    return not np.allclose(all_of_them[1:], plugin.weights(problem, members[1:]))


def rescheduled(name):
    """The fields of a schedule that a method changes."""
    after = vars(METHODS[name].schedule(SCHEDULE))
    return {k for k, v in vars(SCHEDULE).items() if after[k] != v}


def expected(dp, other, inclusion):
    """claim | void | refused, by what the other method is seen to do."""
    plugin = METHODS[other]
    _, training, deployed = behaviour(other)
    if any(map(plugin.fills, ("gradient", "resample", "layer_loss"))) or not plugin.per_example:
        return "refused"
    if rescheduled(other) & {k for k, v in vars(DP[dp]).items() if v is not None}:
        return "refused"
    if inclusion == "all" and training & {"pool", "members"}:
        return "refused"
    if weighed_by_others(other):
        return "void"
    if other == "scaffold":  # the model that answers is its own, fitted to rows of the pool
        return "void"
    return "void" if inclusion == "all" and "pool" in deployed else "claim"


@pytest.mark.parametrize("inclusion", ["half", "all"])
@pytest.mark.parametrize(("dp", "other"), PAIRS)
def test_a_pair_claims_what_an_independent_accountant_finds(
    dp, other, inclusion, tmp_path, monkeypatch
):
    on, _, deployed = behaviour(other)
    made = planned(tmp_path, monkeypatch, (dp, other), inclusion, on)
    want = expected(dp, other, inclusion)
    if want == "refused":
        with pytest.raises(Unsupported) as refused:
            refuse_impossible(made)
        assert dp in str(refused.value)
        assert other in str(refused.value)
        return
    refuse_impossible(made)
    claim = next(g for g in made.guarantees if (g.rows, g.covers) == ("members", "all"))
    if want == "void":
        assert claim.void.startswith(other)
        assert claim.epsilon is None
        return
    assert claim.void is None
    rule = made.rule()
    copies = getattr(METHODS[other], "members", 1) * (1 + METHODS[other].first_fit)
    history = rule.released_sigma, rule.run.rate, rule.run.steps * copies, claim.delta
    least, most = (accounted(a, *history) for a in (PRVAccountant, RDPAccountant))
    assert least * 0.98 <= claim.epsilon <= most * (1 + 1e-9)
    assert claim.neighbours == "add or remove"
    said = claim.line()
    assert ("of the training pool" in said) == ("pool" in deployed | behaviour(other)[1])
    for rows in (deployed | behaviour(other)[1]) & {"validation", "calibration"}:
        assert f"{rows} rows ({other}: " in said


@pytest.mark.parametrize("dp", DP)
def test_five_members_spend_what_five_trainings_spend(dp, tmp_path, monkeypatch):
    """epsilon 2.985 of one model is not that of five: PRV over members x steps."""
    alone, five = (
        planned(tmp_path, monkeypatch, names, "half", "table").guarantees[0]
        for names in ((dp,), (dp, "deep_ensemble"))
    )
    assert five.epsilon > 1.8 * alone.epsilon
    assert "5 x" in five.line()


def test_three_methods_compose_as_two_do(tmp_path, monkeypatch):
    names = "dpsgd", "deep_ensemble", "balanced_weights", "private_conformal", "lime"
    claims = {g.rows: g for g in planned(tmp_path, monkeypatch, names, "half", "table").guarantees}
    two = planned(tmp_path, monkeypatch, names[:2], "half", "table").guarantees[0]
    assert claims["members"].epsilon == two.epsilon
    assert claims["calibration"].epsilon == 16.0
    public = " ".join(claims["members"].assumed_public)
    assert "balanced_weights" in public
    assert "lime" in public
    names = "dpsgd", "private_conformal", "threshold_postprocessing"
    both = planned(tmp_path, monkeypatch, names, "half", "table")
    assert [bool(g.void) for g in both.guarantees] == [False, True]


# --- sensitivity, measured on neighbours -----------------------------------------------------

C = 1.0


def clipped_sum(problem, plugin, members):
    """The clipped sum over `members` of the pool, at fixed parameters."""
    methods = ClipOnly(max_grad_norm=C, batch_size=None), plugin
    made, params = trainer(problem, methods, replicates=2)
    inside = np.isin(np.arange(made.membership.shape[1]), members)
    made = hooks.replaced(replace(made, membership=np.tile(inside, (2, 1))))
    pool = made.data("train", torch.float32)
    weights = hooks.example_weights(made, pool)
    batch = batch_of(problem, rows=1)
    index = torch.as_tensor(members).expand(2, -1)
    batch.X, batch.y = pool.X[index].unsqueeze(2), pool.y[index]
    batch.group, batch.rows, batch.weight = pool.group[index], index, weights.gather(1, index)
    memory = [{} for _ in made.interventions]
    hooks.adapt(made, params, memory, batch_of(problem, rows=40))  # in place of validation rows
    count = torch.full((2,), float(len(members)))
    total = batch_gradient(made, params, batch, [], count, memory)
    flat = torch.cat([t[0].flatten() for _, t in sorted(total.items())])
    return flat * made.rule.expected_batch


def lonely():
    """A pool with a single row of one group and label, and that row's place in it."""
    problem = make_problem(n=600, seed=3)
    pool = problem.splits["train"]
    y, group = problem.y.copy(), problem.group.copy()
    inside = (y == 1) & (group == 1)
    y[np.flatnonzero(inside & np.isin(np.arange(len(y)), pool))[1:]] = 0
    problem = replace(problem, y=y)
    (row,) = np.flatnonzero((y[pool] == 1) & (group[pool] == 1))
    return problem, int(row)


POOL_READERS = [
    n for n, p in METHODS.items() if p.fills("weights") or p.fills("labels") or p.fills("adapt")
]


@pytest.mark.parametrize("name", POOL_READERS)
def test_one_member_moves_the_clipped_sum_by_its_own_term_alone_where_the_pool_is_public(name):
    problem, row = lonely()
    half = np.arange(0, len(problem.splits["train"]), 2)
    with_it, without = np.union1d(half, [row]), np.setdiff1d(half, [row])
    sums = [clipped_sum(problem, METHODS[name], m) for m in (with_it, without)]
    assert float((sums[0] - sums[1]).norm()) <= C * (1 + 1e-4)


def test_one_row_of_the_pool_moves_the_sum_by_more_than_the_noise_hides():
    """Why `inclusion=all` is refused: the row's removal changes the weights of all others."""
    problem, row = lonely()
    pool = problem.splits["train"]
    less = replace(problem, splits={**problem.splits, "train": np.delete(pool, row)})
    for name in ("balanced_weights", "kamiran_calders"):
        moved = clipped_sum(problem, METHODS[name], np.arange(len(pool)))
        moved = moved - clipped_sum(less, METHODS[name], np.arange(len(pool) - 1))
        assert float(moved.norm()) > 3 * C, name


def test_one_row_of_the_pool_changes_which_labels_of_others_are_flipped():
    problem = PROBLEMS["table"]
    pool, poison = problem.splits["train"], METHODS["label_poisoning"]
    row = int(poison.flipped(problem)[0])
    less = replace(problem, splits={**problem.splits, "train": np.delete(pool, row)})
    others = np.delete(poison.labels(problem), row)
    assert (others != poison.labels(less)).sum() > 1
