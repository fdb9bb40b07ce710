"""Likelihood x severity by a policy: harm to an aspect with a larger weight is a greater risk."""

from collections.abc import Sequence
from dataclasses import dataclass

from trustbench.summary.decide.policy import Bands, Policy
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.risk import Interval, Risk, RiskBand, risks


@dataclass(frozen=True)
class PolicyRisk:
    """The risk of one ordered pair of aspects, by a policy's priorities and bands.

    `weight` is the target's weight divided by the largest weight, in [0, 1], so that the risk to
    the most important target does not change. `weighted` is the risk times that weight.
    """

    risk: Risk
    weight: float
    weighted: Interval
    band: RiskBand
    """The band of the point value, as for the unweighted risk."""
    lowest: RiskBand
    highest: RiskBand
    """The bands of the ends of the interval: if they differ, the band is uncertain."""


def policy_risks(results: Sequence[TableResult], policy: Policy) -> list[PolicyRisk]:
    """The risk of every off-diagonal cell with a number over all tables, worst first."""
    top = max(policy.weights.values())
    found = [
        _weighted(r, policy.weights[r.target.value] / top, policy.risk) for r in risks(results)
    ]
    return sorted(found, key=lambda r: -r.weighted.value)


def _weighted(risk: Risk, weight: float, bands: Bands) -> PolicyRisk:
    value, low, high = (weight * x for x in (risk.risk.value, risk.risk.low, risk.risk.high))
    return PolicyRisk(
        risk,
        weight,
        Interval(value, low, high),
        band(value, bands),
        band(low, bands),
        band(high, bands),
    )


def band(value: float, bands: Bands) -> RiskBand:
    """Green below amber's start, red above red's.

    >>> [str(band(x, Bands(amber=0.1, red=0.2))) for x in (0.09, 0.1, 0.2, 0.21)]
    ['green', 'amber', 'amber', 'red']
    """
    if value < bands.amber:
        return RiskBand.GREEN
    return RiskBand.AMBER if value <= bands.red else RiskBand.RED
