"""Likelihood and severity over conditions whose exceedances are known."""

import numpy as np
import pytest
from scipy.stats import beta

from tests.unit.summary.builder import CRESSWELL, method, record
from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import render
from trustbench.summary.table.risk import RiskBand, jeffreys, risks
from trustbench.summary.table.table import summarize

GAP = "fairness/acc_gap"


def risk_of(*records):
    found = risks(summarize(list(records), CRESSWELL))
    return next(r for r in found if (r.source, r.target) == (Aspect.PRIVACY, Aspect.FAIRNESS))


def dp(epsilon, gap, dataset="digits"):
    chosen = method("dpsgd", epsilon=epsilon)
    return record(chosen, shift={GAP: gap}, noise={GAP: 1e-3}, dataset=dataset)


def test_a_sure_harm_of_half_the_unacceptable_change():
    risk = risk_of(record(), dp(3.0, 0.05))
    assert risk.likelihood.value == pytest.approx(16.5 / 17)
    assert risk.likelihood.high == 1.0
    assert risk.severity.value == pytest.approx(0.5, abs=0.02)
    assert risk.risk.value == pytest.approx(risk.likelihood.value * risk.severity.value)
    assert risk.band is RiskBand.RED


def test_severity_ends_at_the_unacceptable():
    assert risk_of(record(), dp(3.0, 0.7)).severity.value == 1.0


def test_no_exceedance_is_green_and_still_uncertain():
    risk = risk_of(record(), dp(3.0, -0.1))
    assert risk.severity.value == 0
    assert risk.band is RiskBand.GREEN
    assert risk.likelihood.low == 0
    assert risk.likelihood.high == pytest.approx(beta.ppf(0.975, 0.5, 16.5))


def test_conditions_are_doses_and_datasets_and_widen_the_interval():
    one = risk_of(record(), dp(3.0, 0.1))
    two = risk_of(record(), dp(3.0, 0.1), record(dataset="adult"), dp(3.0, -0.1, "adult"))
    assert len(one.conditions) == 1
    assert len(two.conditions) == 2
    assert two.likelihood.value == pytest.approx(0.5, abs=0.01)
    width = two.likelihood.high - two.likelihood.low
    assert width > 3 * (one.likelihood.high - one.likelihood.low)


@pytest.mark.parametrize(("k", "n"), [(0, 3), (1, 3), (2, 16), (16, 16)])
def test_jeffreys_interval_is_the_beta_quantile(k, n):
    found = jeffreys(np.arange(n) < k)
    low = beta.ppf(0.025, k + 0.5, n - k + 0.5) if k else 0.0
    high = beta.ppf(0.975, k + 0.5, n - k + 0.5) if k < n else 1.0
    assert (found.low, found.high) == pytest.approx((low, high))
    if not 0 < k < n:
        return
    wald = k / n + 1.96 * np.sqrt(k / n * (1 - k / n) / n)
    assert found.high != pytest.approx(wald), "a planted error: Wald's interval"


def test_every_text_format_prints_both_factors():
    results = summarize([record(), dp(3.0, 0.05)], CRESSWELL)
    assert "| P→F | 0.97 [0.86, 1.00] | 0.5" in render(results, "md")
    assert '"severity"' in render(results, "json")
