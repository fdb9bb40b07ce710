"""The risks of a report by a policy: the rows of `select`, in the policy's bands."""

import re

import pytest

from tests.unit.summary.report.report_data import by_id, page, parse, whole
from trustbench.api.lookup import find_policy
from trustbench.summary.decide import select_text as people
from trustbench.summary.decide.policy_risk import policy_risks
from trustbench.summary.report.risk_chart import ChartPlace, matrix
from trustbench.summary.table.risk import Interval


@pytest.fixture(scope="module")
def bank():
    return find_policy("bank", None)


@pytest.fixture(scope="module")
def by_policy(bank):
    return page(policy=bank)


def test_rows_and_bands_are_those_of_select(bank, by_policy):
    text, results = by_policy
    section = by_id(parse(text))["risk"]
    rows = [[c.text() for c in row.children] for row in section.all("tr")[1:]]
    assert rows == [
        list(map(str, row)) for row in people.risk_rows(policy_risks(results, bank)).rows
    ]
    assert len(rows) > 10
    said = section.all("figcaption")[0].text()
    assert "Bands of policy bank 2" in said
    assert "amber from 0.02, red above 0.15" in said


def test_a_cell_says_its_weighted_risk(bank, by_policy):
    text, results = by_policy
    tree = by_id(parse(text))
    for r in policy_risks(results, bank):
        cell = tree[f"t0-{r.risk.source}-{r.risk.target}"].text()
        assert f"x weight {r.weight:.2f} = {r.weighted.value:.2f} [" in cell
        assert f"{people.band(r)} by policy bank" in cell


def test_without_a_policy_the_bands_are_named_as_nobodys(built):
    section = by_id(parse(built[0]))["risk"]
    assert (
        "They belong to no policy; for the bands of yours: trustbench report --policy NAME."
        in section.text()
    )


def test_points_are_drawn_at_the_weighted_likelihood(bank, by_policy):
    text, results = by_policy
    drawing = by_id(parse(text))["risk"].all("svg")[0]
    heights = sorted(float(n.attributes["cy"]) for n in drawing.all("circle"))
    bottom, top = 430.0 - 50, 12.0
    wanted = sorted(
        bottom - r.weight * r.risk.likelihood.value * (bottom - top)
        for r in policy_risks(results, bank)
    )
    assert heights == pytest.approx(wanted, abs=0.06)
    assert "likelihood x weight" in [n.children[0] for n in drawing.all("text")]


@pytest.mark.parametrize(
    ("amber", "red", "named"), [(0.05, 0.25, 3), (0.0, 0.0, 1), (0.5, 0.52, 2), (1.0, 1.0, 1)]
)
def test_only_bands_with_room_are_named(amber, red, named):
    place = ChartPlace("P→F", Interval(0.5, 0.4, 0.6), Interval(0.5, 0.4, 0.6))
    drawing = str(matrix([place], amber, red, "likelihood"))
    assert len(re.findall('class="band-name"', drawing)) == named


def test_the_rest_of_the_page_does_not_depend_on_the_policy(built, by_policy):
    plain, weighted = (by_id(parse(t))["t0-table"].text() for t in (built[0], by_policy[0]))
    assert plain == weighted
    assert len(whole()) > 10
