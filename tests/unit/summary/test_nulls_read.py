"""What random groups show is read by every rule and printed beside every number over groups."""

import csv
import io
import json

import pytest
from rich.console import Console

from tests.conftest import make_problem, make_system
from tests.unit.summary.builder import CRESSWELL, R, method, record
from tests.unit.summary.decide.gating import only_decision, pair, policy
from tests.unit.summary.grouped import BASE, GAP, baseline, treated, with_null
from tests.unit.summary.report.report_data import page, parse
from tests.unit.summary.table_data import with_evaluation
from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError
from trustbench.evaluators.privacy.privacy import Privacy
from trustbench.execution.measure import _measurement
from trustbench.summary.cards import card_text as card_text
from trustbench.summary.cards.card import card
from trustbench.summary.decide.decisions import Outcome
from trustbench.summary.decide.gate import gate_sweep
from trustbench.summary.decide.gate_json import document
from trustbench.summary.decide.gate_wording import sentence
from trustbench.summary.render import render
from trustbench.summary.render.cell import cell_text
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.risk import risks
from trustbench.summary.table.table import summarize

DP, AT = method("dpsgd", epsilon=3.0), method("pgd_at", epsilon=0.1)
BY_CHANCE = "random groups of the same sizes show as much"
BLOCK = [{"verdicts": ["harm"], "targets": ["fairness"]}]


@pytest.fixture(scope="module")
def noisy():
    """The treated arm's gap is wider by .3, and so is that of random groups."""
    return [baseline(), treated(DP, 0.3, 0.3, spread=0.06)]


@pytest.fixture(scope="module")
def real():
    """The gap is wider by .3, and that of random groups by a tenth of it."""
    return [baseline(), treated(DP, 0.3, 0.03, spread=0.06)]


def cell_of(records, name="P→F"):
    (result,) = summarize(records, CRESSWELL)
    return next(c for c in result.cells if c.name == name), result


def test_a_cell_within_chance_is_inconclusive_and_a_real_gap_is_harm(noisy, real):
    cell, result = cell_of(noisy)
    assert cell.verdict.text == f"inconclusive ({BY_CHANCE})"
    assert cell.estimate.effect.low > 0.25
    assert cell.estimate.beyond_chance.low < 0 < cell.estimate.beyond_chance.high
    (arm,) = result.arms
    assert arm.estimates["fairness"].verdict.by_chance  # doses and arms are judged alike
    found, _ = cell_of(real)
    assert found.verdict.kind is Kind.HARM
    assert found.estimate.p_adjusted == found.estimate.beyond_chance.p > found.estimate.effect.p
    bare = [record(), record(DP, shift={GAP: 0.3}, noise={GAP: 0.01})]
    without, _ = cell_of(bare)
    assert without.verdict.kind is Kind.HARM
    assert without.estimate.beyond_chance is None


def test_every_format_says_why_and_what_is_left(noisy):
    cell, result = cell_of(noisy)
    left = "less random groups +0.005 [-0.102, +0.112]"
    for name in ("terminal", "md"):
        text = " ".join(render([result], name).replace("\\", "").split())
        assert f"P→F: inconclusive ({BY_CHANCE}): {left}" in text
    assert "? within chance" in render([result], "terminal")
    assert "within chance" in render([result], "tex")
    found = next(c for c in json.loads(render([result], "json"))["cells"] if c["effect"])
    assert found["beyond_chance"]["low"] == cell.estimate.beyond_chance.low
    assert found["treated_chance"] == pytest.approx(BASE + 0.3)
    assert found["baseline_chance"] == pytest.approx(BASE)
    assert found["verdict"] == cell.verdict.text
    rows = csv.DictReader(io.StringIO(render([result], "csv")))
    row = next(r for r in rows if r["kind"] == "cells" and r["effect"])
    assert float(row["beyond_chance_low"]) == cell.estimate.beyond_chance.low
    said = cell_text(CRESSWELL, Aspect.PRIVACY, Aspect.FAIRNESS, [result])
    assert (
        f"{left}: 0.522 (random groups of these sizes: 0.480) against "
        "0.217 (random groups of these sizes: 0.180)"
    ) in said


def test_levels_stand_beside_their_null_in_terminal_card_and_report(noisy):
    console = Console(width=160)
    with console.capture() as captured:
        console.print(single_arm(noisy[1]))
    lines = captured.get().splitlines()
    assert any("random groups" in line for line in lines)
    (own,) = [line for line in lines if "fairness/acc_gap " in line]
    assert own.split()[1:6] == ["0.522", "[0.507,", "0.536]", "0.480", str(R)]
    text = card_text.markdown(card(noisy[1], {}, noisy, CRESSWELL), CRESSWELL)
    assert "fraction (random groups of these sizes: 0.48)" in text
    assert "; less random groups +0.005" in text
    html, _ = page(noisy)
    shown = " ".join(parse(html).text().split())
    assert "treated 0.522 (random groups of these sizes: 0.480), compared with 0.217" in shown
    assert "less random groups+0.005 [-0.102, +0.112] n=16" in shown.replace("groups +", "groups+")
    with console.capture() as captured:
        console.print(single_arm(record()))
    assert "random groups" not in captured.get()  # nothing here compares groups


def test_secondary_metrics_have_no_verdict_and_show_what_is_left():
    metric = "fairness/worst_group_acc"
    records = [with_null(record(), 0.7, metric=metric),
               with_null(record(DP, shift={metric: -0.3}), 0.4, metric=metric)]  # fmt: skip
    cell, result = cell_of([*records])
    (beside,) = [e for e in cell.secondary if e.metric == metric]
    assert beside.effect.effect == pytest.approx(0.3)
    assert beside.beyond_chance.effect == pytest.approx(0.0, abs=1e-9)
    for name in ("terminal", "md"):
        text = render([result], name)
        assert "less random groups +0.000" in text.split("econdary metrics")[1]


def test_the_gate_calls_nothing_violated_that_random_groups_show_as_well(noisy, real):
    asked = policy({"metric": GAP, "worse_by_at_most": 0.02}, block=BLOCK)
    for gate in (pair(asked, noisy[1], noisy[0]), gate_sweep(noisy, CRESSWELL, asked)):
        for d in gate.candidates[0].decisions:
            assert d.outcome is Outcome.INCONCLUSIVE
            assert (d.reason, d.needs) == (BY_CHANCE, None)
            assert sentence(d).endswith(f"inconclusive: {BY_CHANCE}.")
            assert "less random groups +0.005" in sentence(d)
        assert document(gate)["candidates"][0]["decisions"][0]["beyond_chance"]["low"] < 0
    for gate in (pair(asked, real[1], real[0]), gate_sweep(real, CRESSWELL, asked)):
        assert [d.outcome for d in gate.candidates[0].decisions] == [Outcome.VIOLATED] * 2


def test_the_gate_asks_for_replicates_that_would_show_a_harm_beyond_chance():
    found = [baseline(), treated(DP, 0.1, 0.0, noise=0.02)]
    null = found[1].evaluations["fairness-s1"].measurements["acc_gap_permuted"]
    null.values[:] = [v + 0.5 * (-1) ** k for k, v in enumerate(null.values)]
    d = only_decision(pair(policy({"metric": GAP, "worse_by_at_most": 0.02}), found[1], found[0]))
    assert d.estimate.effect.low > 0.05
    assert d.outcome is Outcome.INCONCLUSIVE
    assert f"inconclusive (needs {d.needs})" in sentence(d)
    assert int(d.needs.removeprefix("n = ")) > R


def test_a_harm_below_the_margin_passes_whatever_random_groups_show():
    small = [baseline(), treated(DP, 0.005, 0.3, noise=0.003)]
    asked = policy({"metric": GAP, "worse_by_at_most": 0.02}, block=BLOCK)
    gate = pair(asked, small[1], small[0])
    assert [d.outcome for d in gate.candidates[0].decisions] == [Outcome.PASS] * 2


def test_a_limit_on_one_arm_reads_the_null_where_the_policy_asks_for_it(noisy):
    plain = only_decision(pair(policy({"metric": GAP, "at_most": 0.3}), noisy[1], noisy[0]))
    assert plain.outcome is Outcome.VIOLATED
    assert "n=16 (random groups of these sizes: 0.480), at most 0.3: violated." in sentence(plain)
    limit = {"metric": GAP, "at_most": 0.3, "beyond_chance": True}
    d = only_decision(pair(policy(limit), noisy[1], noisy[0]))
    assert d.outcome is Outcome.PASS
    assert d.estimate.effect.effect == pytest.approx(0.522 - 0.480, abs=0.001)
    assert d.estimate.effect.common == pytest.approx(0.06)  # the luck of one grouping
    assert "fairness/acc_gap less random groups (tuned): +0.042 [" in sentence(d)
    both = {**limit, "worse_by_at_most": 0.05}
    del both["at_most"]
    relative = only_decision(pair(policy(both), noisy[1], noisy[0]))
    assert relative.outcome is Outcome.INCONCLUSIVE
    assert relative.estimate.effect.effect == pytest.approx(0.005, abs=0.001)


@pytest.mark.parametrize("bound", ["at_least", "worse_by_at_most"])
def test_a_metric_without_groups_has_no_beyond_chance(noisy, bound):
    asked = policy({"metric": "utility", bound: 0.5, "beyond_chance": True})
    changed = record(DP, shift={"utility/accuracy": -0.05}, noise={"utility/accuracy": 0.01})
    with pytest.raises(UserError, match=r"sets `beyond_chance` for utility/accuracy, which is"):
        pair(asked, changed)


def test_an_untrained_model_leaks_nothing_from_its_worst_group():
    """A maximum over ten AUCs of some thirty rows: .6 and more, as are random groups."""
    system = make_system(make_problem(n=900, groups=10), replicates=8, steps=0)
    found = {m.name: _measurement(m, system) for m in Privacy().measure(system).measurements}
    made = record(regime="memorising", replicates=8)
    made = with_evaluation(made, "privacy", measurements=found)
    limit = {"metric": "privacy/lira_auc_worst_group", "regime": "memorising"}
    plain = only_decision(pair(policy({**limit, "at_most": 0.55}), made, made))
    assert plain.outcome is Outcome.VIOLATED
    read = only_decision(
        pair(policy({**limit, "at_most": 0.05, "beyond_chance": True}), made, made)
    )
    assert read.outcome is not Outcome.VIOLATED
    assert read.estimate.effect.low < 0 < read.estimate.effect.high


def test_the_risk_counts_harm_as_far_as_random_groups_do_not_show_it(noisy, real):
    def risk(records):
        return next(r for r in risks(summarize(records, CRESSWELL)) if r.target == Aspect.FAIRNESS)

    bare = [record(), record(DP, shift={GAP: 0.3}, noise={GAP: 0.01})]
    assert risk(bare).likelihood.value > 0.9
    assert risk(real).likelihood.value > 0.9
    assert risk(noisy).likelihood.value < 0.1


def test_factorial_designs_are_read_against_random_groups():
    def design(null):
        records = [baseline(), treated(AT, 0.0, 0.0), treated(DP, 0.3, null, spread=0.06)]
        both = record(DP, AT, shift={GAP: 0.3}, noise={GAP: 0.01})
        records.append(with_null(both, BASE + null, 0.06))
        (result,) = summarize(records, CRESSWELL)
        return {
            (c.kind, c.factors): c for c in result.factorials[0].contrasts if c.target == "fairness"
        }

    noise = design(0.3)["main effect", ("dpsgd",)]
    assert noise.effect.low > 0.25
    assert noise.verdict.by_chance
    assert noise.beyond_chance.common == pytest.approx(0.05, abs=0.01)  # .06 less the shared .01
    assert design(0.03)["main effect", ("dpsgd",)].verdict.kind is Kind.HARM
