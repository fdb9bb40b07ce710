"""Likelihood and severity by what a policy holds dear."""

import pytest

from tests.unit.summary.builder import CRESSWELL
from tests.unit.summary.decide.test_select import A, arms, choose, policy
from trustbench.summary.decide import select_text as people
from trustbench.summary.decide.policy import Bands
from trustbench.summary.decide.policy_risk import band, policy_risks
from trustbench.summary.table.risk import RiskBand, risks
from trustbench.summary.table.table import summarize


def test_risk_counts_as_much_as_its_target_weighs():
    harm = {"fairness/acc_gap": 0.30, "utility/accuracy": -0.02, "explainability/lime_r2": -0.2}
    harm |= {"uncertainty/ece": 0.02}
    results = summarize(arms((A, harm)), CRESSWELL)
    asked = policy({"fairness": 4, "explainability": 1}, risk={"amber": 0.1, "red": 0.5})
    plain = {(r.source, r.target): r for r in risks(results)}
    found = {str(r.risk.target): r for r in policy_risks(results, asked)}
    assert found["fairness"].weighted == found["fairness"].risk.risk  # the largest weight
    assert found["fairness"].band is RiskBand.RED
    risk = plain[found["explainability"].risk.source, found["explainability"].risk.target]
    assert found["explainability"].weighted.value == pytest.approx(risk.risk.value / 4)
    assert found["uncertainty"].weighted.value == 0  # no weight, no risk to the policy
    values = [r.weighted.value for r in policy_risks(results, asked)]
    assert values == sorted(values, reverse=True)
    assert "fairness" in found
    page = people.markdown([choose(arms((A, harm)), asked)], policy_risks(results, asked))
    assert "R→F" in page


def test_a_band_that_the_interval_leaves_is_said():
    results = summarize(
        arms((A, {"fairness/acc_gap": 0.02}, {"fairness/acc_gap": 0.05})), CRESSWELL
    )
    (risk,) = [r for r in policy_risks(results, policy()) if str(r.risk.target) == "fairness"]
    assert risk.lowest is not risk.highest
    assert "or" in people.band(risk)
    assert band(0.05, Bands()) is RiskBand.AMBER
