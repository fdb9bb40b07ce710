"""Rows of scripts/studies/known_answers.py: how they are judged, what their intervals rest on."""

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from trustbench.store.records import MeasurementRecord
from trustbench.summary.stats.effects import paired_effect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "studies"))
answers, sources = map(importlib.import_module, ("known_answers", "known_source"))
CASES = {str(case["number"]): case for case in answers.registry()}

UP, DOWN, NOISE = np.array([0.4, 0.5, 0.6]), np.array([-0.4, -0.5, -0.6]), np.array([-1, 0.1, 1])


@pytest.mark.parametrize(
    ("row", "values", "expected"),
    [
        ({"direction": "above"}, UP, "reproduced in direction"),
        ({"direction": "above"}, DOWN, "not reproduced (opposite)"),
        ({"direction": "above"}, NOISE, "not reproduced (inconclusive)"),
        ({"direction": "below"}, DOWN, "reproduced in direction"),
        ({"direction": "above", "beyond": 0.9}, UP, "not reproduced (opposite)"),
        ({"direction": "above", "size": [0.2, 0.8]}, UP, "reproduced in size"),
        ({"direction": "above", "size": [0.4, 0.6]}, UP, "reproduced in direction"),
        ({"direction": "below", "size": [0.2, 0.8]}, UP, "not reproduced (opposite)"),
        ({"size": [0.2, 0.8]}, UP, "reproduced in size"),
        ({"size": [0.2, 0.6]}, UP, "not reproduced (outside of the band)"),
        ({"size": [0.0, 1.0]}, np.ones(3) + 1e-12, "reproduced in size"),
        ({"direction": "above", "over": {}}, UP, "not reproduced (opposite)"),
    ],
)
def test_a_row_is_judged_by_its_whole_interval(row, values, expected):
    assert answers.verdict(row, paired_effect(values)) == expected
    assert answers.verdict(row, None) == "not run"


# --- what an interval rests on -------------------------------------------------------------------


class Fake:
    """A Source of series made by hand: {(arm, metric): series}."""

    def __init__(self, found):
        self.found = found

    def series(self, arm, metric):
        return self.found.get((arm, metric))


def measured(values, pseudo=None, common_sd=None):
    return sources.Quantity.of(
        MeasurementRecord(
            values=values, pseudo=pseudo, common_sd=common_sd, higher_is_better=False, unit="x", n=9
        )
    )


FOUND = Fake(
    {
        ("a", "lira"): measured([0.6, 0.7], pseudo=[0.5, 0.8]),
        ("b", "lira"): measured([0.5, 0.5], pseudo=[0.5, 0.5]),
        ("a", "gap"): measured([0.3, 0.5]),
        ("a", "gap_permuted"): measured([0.1, 0.1], common_sd=0.2),
    }
)


def test_intervals_rest_on_pseudo_values_where_there_are_any():
    row = {"what": "x", "ours": {"arm": "a", "metric": "lira", "from": "b"}}
    found = answers.estimate(FOUND, row)
    assert (found.effect, found.sd) == pytest.approx((0.15, 0.3 / math.sqrt(2)))
    alone = answers.estimate(FOUND, {"what": "x", "ours": {"arm": "a", "metric": "lira"}})
    assert (alone.effect, alone.sd) == pytest.approx((0.65, 0.3 / math.sqrt(2)))


def test_intervals_count_an_error_that_replicates_share():
    row = {"what": "x", "ours": {"arm": "a", "metric": "gap", "less": "gap_permuted"}}
    found = answers.estimate(FOUND, row)
    assert found.effect == pytest.approx(0.3)
    assert found.error == pytest.approx(math.hypot(0.1, 0.2))
    twice = answers.estimate(FOUND, {**row, "minus": row["ours"]})
    assert twice.error == pytest.approx(0.2 * math.sqrt(2))


def test_a_ratio_of_values_that_share_an_error_is_refused():
    row = {"what": "ratio", "ours": {"arm": "a", "metric": "lira"},
           "over": {"arm": "b", "metric": "lira"}}  # fmt: skip
    with pytest.raises(ValueError, match="ratio of values that share an error"):
        answers.estimate(FOUND, row)


# --- the document --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", CASES)
def test_the_document_shows_every_row_of_a_case(number):
    text = (ROOT / "docs" / "results" / "known-answers.md").read_text(encoding="utf-8")
    case = CASES[number]
    assert case.get("command", f"trustbench run +experiment={case.get('experiment')}") in text
    whats = [row["what"] for row in case["rows"]]
    assert len(set(whats)) == len(whats), "rows of a case need names of their own"
    for what in whats:
        assert f"| {number} | {what} |" in text, (
            f"{what} is missing; run scripts/studies/known_answers.py"
        )


def test_the_document_names_no_folder_of_a_machine():
    text = (ROOT / "docs" / "results" / "known-answers.md").read_text(encoding="utf-8")
    for place in ("/var/", "/tmp", "/work", "/home", "/root"):
        assert place not in text
