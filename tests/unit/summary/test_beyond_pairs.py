"""Factorial designs and mitigations on records whose effects are known."""

import copy

import numpy as np
import pytest
import yaml

from tests.unit.summary.builder import CRESSWELL, TABLE_FILE, method, record
from tests.unit.summary.grouped import BASE, baseline, treated, with_null
from trustbench.aspects import Aspect
from trustbench.summary.effects import Kind
from trustbench.summary.registry import parse_table
from trustbench.summary.render import mitigation_wording, render
from trustbench.summary.table import summarize

GAP, ECE, ACC = "fairness/acc_gap", "uncertainty/ece", "utility/accuracy"
DP, AT, BW = method("dpsgd", epsilon=3.0), method("pgd_at", epsilon=0.1), method("balanced_weights")


def cube(effects, noise=0.01):
    """Records of all subsets of three methods; `effects` maps subsets to what they add to GAP."""
    out = []
    for k in range(8):
        chosen = [m for j, m in enumerate((BW, DP, AT)) if k >> j & 1]
        names = {m.name for m in chosen}
        total = sum(v for subset, v in effects.items() if set(subset) <= names)
        out.append(record(*chosen, shift={GAP: total}, noise={GAP: noise}))
    return out


def contrasts(records, table=CRESSWELL):
    (result,) = summarize(records, table)
    (design,) = [d for d in result.factorials if d.regime == "tuned"]
    assert design.factors == ("balanced_weights", "dpsgd", "pgd_at")
    return {(c.target, c.kind, c.factors): c for c in design.contrasts}, result


EFFECTS = {("dpsgd",): 0.30, ("pgd_at",): 0.05, ("dpsgd", "pgd_at"): 0.20}


def test_main_effects_and_interactions_are_those_put_in():
    found, _ = contrasts(cube(EFFECTS))
    dp = found["fairness", "main effect", ("dpsgd",)]
    assert dp.effect.effect == pytest.approx(0.30 + 0.20 / 2, abs=0.01)
    both = found["fairness", "interaction", ("dpsgd", "pgd_at")]
    assert both.effect.effect == pytest.approx(0.20, abs=0.01)
    assert both.effect.low <= 0.20 <= both.effect.high
    none = found["fairness", "interaction", ("balanced_weights", "dpsgd")]
    assert abs(none.effect.effect) < 0.01
    triple = found["fairness", "interaction", ("balanced_weights", "dpsgd", "pgd_at")]
    assert abs(triple.effect.effect) < 0.02
    sums = found["fairness", "more than the sum", ("balanced_weights", "dpsgd", "pgd_at")]
    assert sums.effect.effect == pytest.approx(0.20, abs=0.02)
    assert sums.verdict.kind is Kind.HARM


def test_main_effects_agree_with_least_squares():
    """Effect coding (-1, +1) of a saturated linear model; half-effects are its coefficients."""
    records = cube(EFFECTS)
    found, _ = contrasts(records)
    design, y = [], []
    for r in records:
        names = {i.name for i in r.arm.interventions}
        evaluation = next(e for e in r.evaluations.values() if e.evaluator.name == "fairness")
        dp, at = (1.0 if n in names else -1.0 for n in ("dpsgd", "pgd_at"))
        for value in evaluation.measurements["acc_gap"].values:
            design.append([1.0, dp, at, dp * at])
            y.append(value)
    _, dp, _, both = np.linalg.lstsq(np.array(design), np.array(y), rcond=None)[0]
    assert 2 * dp == pytest.approx(found["fairness", "main effect", ("dpsgd",)].effect.effect)
    ours = found["fairness", "interaction", ("dpsgd", "pgd_at")].effect.effect
    assert 4 * both == pytest.approx(ours)
    assert 2 * both != pytest.approx(ours), "a planted error: half of the interaction"


def test_an_incomplete_cube_is_no_design():
    (result,) = summarize(cube(EFFECTS)[:-1], CRESSWELL)
    factors = {d.factors for d in result.factorials}
    assert factors == {("balanced_weights", "dpsgd")}
    (result,) = summarize([record(), record(DP)], CRESSWELL)
    assert result.factorials == ()


def test_every_format_prints_the_design():
    _, result = contrasts(cube(EFFECTS))
    for name in ("terminal", "md", "json"):
        text = render([result], name)
        assert "more than the sum" in text
    assert "together cost +0.2" in render([result], "md")


def test_a_column_without_a_number_in_some_arm_is_told_with_its_reason():
    records = cube(EFFECTS)
    key, old = next((k, e) for k, e in records[3].evaluations.items() if k.startswith("uncert"))
    left = {n: m for n, m in old.measurements.items() if n != "ece"}
    lacking = old.model_copy(update={"measurements": left, "missing": {"ece": "too few rows"}})
    records[3] = records[3].model_copy(
        update={"evaluations": {**records[3].evaluations, key: lacking}}
    )
    found, result = contrasts(records)
    assert "uncertainty" not in {target for target, _, _ in found}
    [design] = [d for d in result.factorials if d.regime == "tuned"]
    assert design.absent["uncertainty"] == "not applicable (too few rows)"
    for name in ("terminal", "md", "json"):
        assert "not applicable (too few rows)" in render([result], name).replace("\\", "")


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


def test_several_pools_rest_the_interval_on_their_means():
    """Five seeds whose effects differ: the interval is that of five means, and is wider.

    Real pools are splits of one file: Nadeau and Bengio's correction for shared rows.
    """
    rng = np.random.default_rng(0)
    effects = 0.5 + 0.1 * rng.normal(size=5)
    records = [
        r for k in range(5) for r in (record(seed=k), record(DP, seed=k, shift={GAP: effects[k]}))
    ]
    (result,) = summarize(records, CRESSWELL)
    effect = result.cell(Aspect.PRIVACY, "fairness").estimate.effect
    assert (effect.n, effect.pools, effect.units) == (80, 5, 5)
    assert effect.effect == pytest.approx(effects.mean())
    half = 2.7764451 * effects.std(ddof=1) * (1 / 5 + 500 / 900) ** 0.5
    assert effect.high - effect.effect == pytest.approx(half)
    made = [r.problem.model_copy(update={"card": {"synthetic": True}}) for r in records]
    anew = [r.model_copy(update={"problem": p}) for r, p in zip(records, made, strict=True)]
    (drawn,) = summarize(anew, CRESSWELL)
    effect = drawn.cell(Aspect.PRIVACY, "fairness").estimate.effect
    half = 2.7764451 * effects.std(ddof=1) / 5**0.5
    assert effect.high - effect.effect == pytest.approx(half), "every seed makes its own rows"
    text = render([result], "md")
    assert "n=80 in 5 pools" in text


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
    e = made.evaluations[f"{evaluator}-s1"]
    m = e.measurements[name].model_copy(update={"common_sd": sd})
    e = e.model_copy(update={"measurements": {**e.measurements, name: m}})
    return made.model_copy(update={"evaluations": {**made.evaluations, f"{evaluator}-s1": e}})


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


def test_a_cell_may_compare_with_another_method():
    data = copy.deepcopy(yaml.safe_load(TABLE_FILE.read_text()))
    data["cells"]["fairness"]["uncertainty"] = {
        "expected": "harm",
        "references": ["x"],
        "intervention": "pgd_at",
        "reference": "dpsgd",
        "contrast": "treated - reference",
        "measure": {"metric": ECE, "delta": 0.01, "unacceptable": 0.05},
    }
    table = parse_table(data, "test")
    at = method("pgd_at", steps=7)
    records = [record(), record(DP, shift={ECE: 0.03}), record(at, shift={ECE: 0.05})]
    (result,) = summarize(records, table)
    cell = result.cell(Aspect.FAIRNESS, "uncertainty")
    assert cell.estimate.effect.effect == pytest.approx(0.02)
    assert cell.estimate.reference == "dpsgd"
    (result,) = summarize(records[::2], table)
    assert "intervention=dpsgd" in result.cell(Aspect.FAIRNESS, "uncertainty").verdict.text
    data["cells"]["fairness"]["uncertainty"]["contrast"] = "treated - baseline"
    with pytest.raises(Exception, match="`reference` goes with 'treated - reference'"):
        parse_table(data, "test")


def test_a_number_may_be_the_null():
    data = copy.deepcopy(yaml.safe_load(TABLE_FILE.read_text()))
    data["cells"]["explainability"]["uncertainty"] = {
        "expected": "harm",
        "references": ["x"],
        "contrast": "observed - null",
        "measure": {"metric": "fidelity_gap/gap", "against": 0.1, "delta": 0.01, "unacceptable": 1},
    }
    lime = method("lime", samples=1000)
    (result,) = summarize([record(), record(lime)], parse_table(data, "test"))
    estimate = result.cell(Aspect.EXPLAINABILITY, "uncertainty").estimate
    assert estimate.effect.effect == pytest.approx(0.06, abs=0.02)
    assert estimate.against == 0.1
    assert "gap - 0.1" in render([result], "md")
