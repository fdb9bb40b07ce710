"""Likelihood x severity of every cell, drawn and in numbers; by a policy if one is given."""

from collections.abc import Mapping, Sequence

from trustbench.contracts.aspects import Aspect
from trustbench.summary.decide import select_text as by_policy
from trustbench.summary.decide.policy import Policy
from trustbench.summary.decide.policy_risk import PolicyRisk, policy_risks
from trustbench.summary.render import wording as w
from trustbench.summary.report.markup import Child, Html, join, sentence, table, tag
from trustbench.summary.report.risk_chart import ChartPlace, matrix
from trustbench.summary.report.svg import figure
from trustbench.summary.table.results import TableResult
from trustbench.summary.table.risk import AMBER, GREEN, Interval, Risk, risks

HOW = "trustbench report --policy NAME"
Lines = Mapping[tuple[Aspect | None, str], Html]
"""(source, target) -> the sentence on the risk of that cell."""


def risk_section(results: Sequence[TableResult], policy: Policy | None) -> tuple[Html, Lines]:
    """The risks over all tables, with a line for each cell; empty if no cell has a risk."""
    body, lines = _plain(risks(results)) if policy is None else _weighted(results, policy)
    if not lines:
        return join(), {}
    head = tag("h2", "Likelihood and severity")
    return tag("section", head, tag("p", w.RISK_NOTE), body, id="risk"), lines


def _plain(measured: Sequence[Risk]) -> tuple[Html, Lines]:
    rows: list[list[Child]] = [list(w.risk_row(r)) for r in measured]
    places = [ChartPlace(_name(r), r.severity, r.likelihood) for r in measured]
    caption = join(
        f"Bands of likelihood x severity, by the point value: amber from {GREEN:zg}, red above "
        f"{AMBER:zg}. They belong to no policy; for the bands of yours: ",
        tag("code", HOW),
        ".",
    )
    drawing = figure(matrix(places, GREEN, AMBER, "likelihood"), caption)
    body = tag("div", drawing, table(list(w.RISK_HEAD), rows), class_="beside")
    return body, {_key(r): _line(r, str(r.band)) for r in measured}


def _weighted(results: Sequence[TableResult], policy: Policy) -> tuple[Html, Lines]:
    """The risks times the weight of their target, in the policy's bands, as in `select`."""
    found, bands = policy_risks(results, policy), policy.risk
    places = [ChartPlace(_name(r.risk), r.risk.severity, _times(r)) for r in found]
    caption = (
        f"Bands of policy {policy.name} {policy.version}, by the point value: amber from "
        f"{bands.amber:zg}, red above {bands.red:zg}. A likelihood is multiplied by the weight of "
        "its target over the largest weight."
    )
    drawing = figure(matrix(places, bands.amber, bands.red, "likelihood x weight"), caption)
    rows = by_policy.risk_rows(found)
    cells: list[list[Child]] = [[str(c) for c in row] for row in rows.rows]
    listed = tag("div", table(list(rows.head), cells, caption=sentence(rows.title)))
    lines = {_key(r.risk): _line(r.risk, _banded(r, policy)) for r in found}
    return tag("div", drawing, listed, class_="beside"), lines


def _times(r: PolicyRisk) -> Interval:
    likely = r.risk.likelihood
    return Interval(*(r.weight * x for x in (likely.value, likely.low, likely.high)))


def _banded(r: PolicyRisk, policy: Policy) -> str:
    weighted = w.share(r.weighted)
    return f"x weight {r.weight:z.2f} = {weighted}, {by_policy.band(r)} by policy {policy.name}"


def _line(risk: Risk, band: str) -> Html:
    name, likelihood, severity, product, _, conditions = w.risk_row(risk)
    return tag(
        "p",
        tag("b", f"Risk {name}: "),
        f"likelihood {likelihood} x severity {severity} = {product}, {band}, over {conditions} "
        f"condition{'' if conditions == '1' else 's'}.",
    )


def _key(risk: Risk) -> tuple[Aspect | None, str]:
    return risk.source, risk.target.value


def _name(risk: Risk) -> str:
    return f"{risk.source.letter}→{risk.target.letter}"
