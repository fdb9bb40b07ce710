"""Metrics over groups are read against random groups: in verdicts, limits, risks and prints."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import make_problem, make_system
from tests.unit.summary.builder import record
from tests.unit.summary.table_data import with_evaluation
from trustbench.errors import UserError
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.execution.measure import _measurement
from trustbench.store.records import MeasurementRecord
from trustbench.summary.decide.unreliable import of_record
from trustbench.summary.stats.effects import Kind
from trustbench.summary.stats.verdicts import claim_p, judge, side_of_zero
from trustbench.summary.table.contrasts import between, within

GAP, WORST = "fairness/acc_gap", "fairness/worst_group_acc"
IDS = {"fairness": "fairness-s1"}
R, GROUPINGS, DELTA = 8, 80, 0.02


def with_group(system, group):
    """The system, its test rows in these groups."""
    whole = np.arange(len(system.problem.group)) % (int(group.max()) + 1)
    whole[system.problem.splits["test"]] = group
    names = tuple(f"g{i}" for i in range(int(group.max()) + 1))
    problem = dataclasses.replace(system.problem, group=whole, groups=names)
    return dataclasses.replace(system, problem=problem)


def arm(system, group, ident, logits=None):
    """What the fairness evaluator measures of a system where the test rows are in these groups."""
    grouped = with_group(system, group)
    grouped._cache["test"] = system.split_logits("test") if logits is None else logits
    found = Fairness().measure(grouped).measurements
    return stored({m.name: _measurement(m, system) for m in found}, ident)


def stored(measurements, ident, seed=0):
    """An arm of one record with these measurements of fairness."""
    made = record(ident=ident, seed=seed, replicates=R)
    return of_record(with_evaluation(made, "fairness", measurements=measurements))


@pytest.fixture(scope="module")
def systems():
    """Eight replicates that are right on most test rows, and eight untrained ones.

    The less accurate a model is, the further apart random groups are by noise alone.
    """
    problem = make_problem(n=900)
    return SimpleNamespace(
        trained=make_system(problem, replicates=R),
        untrained=make_system(problem, replicates=R, steps=0),
        rows=len(problem.splits["test"]),
    )


def random_groups(systems, count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(6, size=systems.rows) for _ in range(count)]


def verdicts(treated, baseline, groups, metric, logits=lambda _: None):
    """The verdict kinds on treated - baseline, with and without the null, of every grouping."""
    read, plain = [], []
    for k, group in enumerate(groups):
        a, b = arm(treated, group, f"a{k}", logits(group)), arm(baseline, group, f"b{k}")
        found = between(a, b, metric, IDS)
        beyond = found.beyond_chance
        p = claim_p(found.effect, beyond)
        read.append(judge(found.effect, DELTA, p, beyond_chance=beyond).kind)
        plain.append(judge(found.effect, DELTA, found.effect.p).kind)
    return read, plain


def share(kinds):
    return np.mean([k in (Kind.HARM, Kind.BENEFIT) for k in kinds])


def test_random_groups_are_called_harmed_at_most_as_often_as_the_level_says(systems):
    groups = random_groups(systems, GROUPINGS)
    read, plain = verdicts(systems.untrained, systems.trained, groups, GAP)
    assert share(plain) > 0.5  # the untrained model's gap is wider, by noise alone
    # 5 % of groupings, and three binomial standard errors
    assert share(read) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / GROUPINGS)
    assert Kind.INCONCLUSIVE in read


@pytest.mark.parametrize("metric", [GAP, WORST])
def test_a_group_that_the_treated_model_fails_is_still_found(systems, metric):
    """Planted: the treated replicates answer half of one group's rows at random."""

    def failing(group):
        logits = systems.trained.split_logits("test").clone()
        rng = torch.Generator().manual_seed(0)
        hit = torch.as_tensor(group == 0) & (torch.rand(logits.shape[:2], generator=rng) < 0.5)
        logits[hit] = torch.randn(int(hit.sum()), logits.shape[-1], generator=rng)
        return logits

    groups = random_groups(systems, 8, seed=1)
    read, _ = verdicts(systems.trained, systems.trained, groups, metric, failing)
    assert read == [Kind.HARM] * 8


def by_groups(value, null, sd=0.0, higher=False, draws=None):
    """A metric over groups and its null, as a record holds them."""

    def made(level, **kw):
        values = level + sd * np.random.default_rng(7).normal(size=R)
        return MeasurementRecord(
            values=values.tolist(), higher_is_better=higher, unit="fraction", n=9, **kw
        )

    permuted = null + (np.linspace(-0.01, 0.01, 9) if draws is None else np.asarray(draws))
    return {
        "acc_gap": made(value, null="acc_gap_permuted"),
        "acc_gap_permuted": made(
            null, diagnostic=True, permuted=permuted.tolist(), common_sd=permuted.std(ddof=1)
        ),
    }


def test_luck_that_both_sides_share_leaves_the_difference():
    draws = np.linspace(-0.1, 0.1, 9)
    a = stored(by_groups(0.5, 0.2, 0.01, draws=draws), "a")
    b = stored(by_groups(0.3, 0.2, 0.01, draws=draws), "b")
    other = stored(by_groups(0.3, 0.2, 0.01, draws=draws[[4, 0, 8, 2, 6, 3, 5, 1, 7]]), "c")
    assert between(a, b, GAP, IDS).beyond_chance.common == pytest.approx(0, abs=1e-12)
    apart = between(a, other, GAP, IDS).beyond_chance
    permuted = draws - draws[[4, 0, 8, 2, 6, 3, 5, 1, 7]]
    assert apart.common == pytest.approx(permuted.std(ddof=1))
    assert apart.effect == pytest.approx(0.2)


def test_signs_turn_where_more_is_better():
    a, b = (stored(by_groups(v, n, 0.01, higher=True), i) for v, n, i in
            ((0.5, 0.7, "a"), (0.7, 0.8, "b")))  # fmt: skip
    found = between(a, b, GAP, IDS)
    assert found.effect.effect == pytest.approx(0.2)  # fell by .2: harm
    assert found.beyond_chance.effect == pytest.approx(0.1)  # of which random groups fell by .1


def test_a_metric_read_against_its_own_null_is_read_once():
    a = stored(by_groups(0.5, 0.2, 0.01), "a")
    for metric, against in ((GAP, f"{GAP}_permuted"), (f"{GAP}_permuted", GAP)):
        found = within(a, metric, against, IDS)
        assert found.less_chance is None
        assert found.treated.chance is None
    number = within(a, GAP, 0.1, IDS)
    assert number.effect.effect == pytest.approx(0.4, abs=0.01)
    assert number.beyond_chance.effect == pytest.approx(0.3)  # the null, not the number


def test_records_of_which_one_lacks_the_null_are_refused():
    a, b = stored(by_groups(0.5, 0.2), "a"), by_groups(0.3, 0.2)
    bare = stored({"acc_gap": b["acc_gap"].model_copy(update={"null": None})}, "b")
    with pytest.raises(UserError, match="records a, b do not all hold what random groups show"):
        between(a, bare, GAP, IDS)
    with pytest.raises(UserError, match="records c do not all hold what random groups show"):
        between(a, stored({"acc_gap": b["acc_gap"]}, "c"), GAP, IDS)


def test_what_cancels_is_no_effect_of_rounding():
    def invariant(level, ident):
        """Random groups that show what the groups show, but for the last digit."""
        found = by_groups(level, level, 0.01, draws=[0.0] * 9)
        null = found["acc_gap_permuted"]
        moved = [v * (1 + 4e-16) for v in null.values]
        return stored(
            {**found, "acc_gap_permuted": null.model_copy(update={"values": moved})}, ident
        )

    found = between(invariant(0.5, "a"), invariant(0.3, "b"), GAP, IDS)
    assert found.effect.low > 0.1
    assert (found.beyond_chance.effect, found.beyond_chance.p) == (0.0, 1.0)
    assert side_of_zero(found.effect, found.beyond_chance) == 0
