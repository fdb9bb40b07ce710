"""Mitigations on records whose effects are known: what is removed, at what cost, how sure."""

import copy

import numpy as np
import pytest
import yaml

from tests.unit.summary.builder import TABLE_FILE, method, record
from tests.unit.summary.grouped import BASE, GAP, baseline, treated, with_null
from tests.unit.summary.table_data import with_measurements
from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import mitigation_wording, render
from trustbench.summary.table.registry import parse_table
from trustbench.summary.table.table import summarize

ECE, ACC = "uncertainty/ece", "utility/accuracy"
DP, AT = method("dpsgd", epsilon=3.0), method("pgd_at", epsilon=0.1)


@pytest.fixture
def table():
    data = copy.deepcopy(yaml.safe_load(TABLE_FILE.read_text()))
    data["mitigations"] = [
        {"source": "privacy", "target": "fairness", "harmful": ["dpsgd"], "by": ["dpsgd", "pgd_at"]}
    ]
    return parse_table(data, "test")


@pytest.mark.parametrize(
    ("left", "answer"),
    [
        (0.0, "removed"),
        (0.2, "reduced, not removed"),
        (0.5, "not removed"),
        (0.8, "made worse"),
    ],
)
def test_the_answer_follows_from_the_intervals(table, left, answer):
    records = [
        record(),
        record(DP, shift={GAP: 0.5}),
        record(DP, AT, shift={GAP: left, ECE: 0.05, ACC: -0.1}, noise={GAP: 0.01}),
    ]
    (result,) = summarize(records, table)
    (found,) = result.mitigations
    assert (found.source, found.target) == (Aspect.PRIVACY, Aspect.FAIRNESS)
    assert found.answer == answer
    assert found.before.effect == pytest.approx(0.5)
    assert found.after.effect == pytest.approx(left, abs=0.01)
    assert found.change.effect == pytest.approx(left - 0.5, abs=0.01)
    assert found.costs["uncertainty"].effect.effect == pytest.approx(0.05)
    assert found.costs["utility"].effect.effect == pytest.approx(0.1)
    assert "fairness" not in found.costs
    assert answer in render([result], "md")


def test_costs_that_are_not_known_are_not_called_immaterial(table):
    records = [
        record(),
        record(DP, shift={GAP: 0.5}),
        record(DP, AT, shift={GAP: 0.0}, noise={GAP: 0.01}),
    ]
    (result,) = summarize(records, table)
    (found,) = result.mitigations
    assert found.unpriced["uncertainty"].startswith("not applicable (no replicate differs")
    assert "uncertainty" not in found.costs
    costs = mitigation_wording.row(found)[-1]
    assert "not known for " in costs
    assert "uncertainty" in costs


def test_a_mitigation_that_was_not_run_is_not_mentioned(table):
    (result,) = summarize([record(), record(DP, shift={GAP: 0.5})], table)
    assert result.mitigations == ()


def test_no_harm_means_nothing_to_remove(table):
    better = {GAP: -0.02}
    records = [record(), record(DP, shift=better), record(DP, AT, shift=better)]
    (result,) = summarize(records, table)
    assert result.mitigations[0].answer == "no harm to remove"


def pooled(*methods, shift):
    """A record for each of four seeds, whose effects differ."""
    return [
        record(*methods, seed=k, shift={m: v * (1 + 0.2 * k) for m, v in shift.items()})
        for k in range(4)
    ]


def test_factorials_and_mitigations_of_splits_of_one_file_count_the_rows_that_they_share(table):
    """Nadeau and Bengio's correction, as the cells have it."""
    records = [
        r
        for methods, shift in (((), 0.0), ((DP,), 0.4), ((AT,), 0.1), ((DP, AT), 0.3))
        for r in pooled(*methods, shift={GAP: shift})
    ]
    made = [r.problem.model_copy(update={"card": {"synthetic": True}}) for r in records]
    anew = [r.model_copy(update={"problem": p}) for r, p in zip(records, made, strict=True)]
    half = {}
    for name, some in (("split", records), ("anew", anew)):
        (result,) = summarize(some, table)
        (m,) = result.mitigations
        main = result.factorials[0].contrasts[0]
        half[name] = [e.high - e.effect for e in (m.before, m.after, m.change, main.effect)]
        assert m.change.pools == main.effect.pools == 4
    wider = ((1 / 4 + 500 / 900) / (1 / 4)) ** 0.5
    assert np.array(half["split"]) == pytest.approx(wider * np.array(half["anew"]))


def with_common(made, sd, metric=GAP):
    """The record, with an error of a metric that all its replicates share."""
    evaluator, name = metric.split("/")
    own = made.evaluations[f"{evaluator}-s1"].measurements[name]
    return with_measurements(made, evaluator, **{name: own.model_copy(update={"common_sd": sd})})


def test_factorials_and_mitigations_keep_an_error_that_replicates_share(table):
    shifts = (((), 0.0), ((DP,), 0.5), ((AT,), 0.1), ((DP, AT), 0.2))
    noise = {GAP: 0.01}
    records = [
        with_common(record(*methods, shift={GAP: shift}, noise=noise), 0.03)
        for methods, shift in shifts
    ]
    (result,) = summarize(records, table)
    cell = result.cell(Aspect.PRIVACY, "fairness").estimate.effect
    assert cell.common == pytest.approx(0.03 * 2**0.5)  # of two independent errors
    (m,) = result.mitigations
    assert [e.common for e in (m.before, m.after)] == pytest.approx([0.03 * 2**0.5] * 2)
    assert m.change.common == pytest.approx(0.03 * 2**0.5)  # the baseline's drops out
    (design,) = result.factorials
    commons = {c.kind: c.effect.common for c in design.contrasts if c.target == "fairness"}
    assert commons["main effect"] == pytest.approx(0.03)  # four errors, half of each
    assert commons["interaction"] == pytest.approx(0.03 * 2)
    assert commons["more than the sum"] == pytest.approx(0.03 * 2)


def test_a_mitigation_of_what_random_groups_show_as_well_has_nothing_to_remove(table):
    records = [baseline(), treated(DP, 0.3, 0.3, spread=0.06)]
    both = record(DP, AT, shift={GAP: 0.05}, noise={GAP: 0.01})
    (result,) = summarize([*records, with_null(both, BASE + 0.05)], table)
    answer = "no harm to remove: random groups of the same sizes show as much"
    assert result.mitigations[0].answer == answer
    records[1] = treated(DP, 0.3, 0.03, spread=0.06)
    (result,) = summarize([*records, with_null(both, BASE)], table)
    assert result.mitigations[0].answer == "reduced, not removed"


def test_arms_with_different_replicates_are_not_compared(table):
    noise = {GAP: 0.01}
    harmed = [record(DP, seed=k, shift={GAP: 0.5}, noise=noise) for k in (0, 1)]
    both = record(DP, AT, seed=1, shift={GAP: 0.1}, noise=noise)
    records = [record(seed=0), record(seed=1), *harmed, both]
    (result,) = summarize(records, table)
    assert result.mitigations[0].reason == "the two arms have different numbers of replicates"
