"""Factorial designs, several pools, and contrasts other than treated against baseline."""

import copy

import numpy as np
import pytest
import yaml

from tests.unit.summary.builder import CRESSWELL, TABLE_FILE, method, record
from tests.unit.summary.table_data import without
from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import render
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.registry import parse_table
from trustbench.summary.table.table import summarize

GAP, ECE = "fairness/acc_gap", "uncertainty/ece"
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


def test_a_column_without_a_number_in_some_arm_is_listed_with_its_reason():
    records = cube(EFFECTS)
    records[3] = without(records[3], ECE, "too few rows")
    found, result = contrasts(records)
    assert "uncertainty" not in {target for target, _, _ in found}
    [design] = [d for d in result.factorials if d.regime == "tuned"]
    assert design.absent["uncertainty"] == "not applicable (too few rows)"
    for name in ("terminal", "md", "json"):
        assert "not applicable (too few rows)" in render([result], name).replace("\\", "")


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
