"""How the gate says what it decided: JUnit, Markdown, terminal and JSON."""

import json
import xml.etree.ElementTree as ET

import pytest

from tests.unit.summary.builder import method, record
from tests.unit.summary.decide.gating import (
    DP,
    GAP,
    pair,
    policy,
)
from trustbench.summary.decide import gate_json, gate_junit, gate_markdown, gate_terminal
from trustbench.summary.decide.decisions import Outcome

HOSTILE = "<b>\"'&]]>|`x` @you #1 \x1b[31m\x00\u202e\n## [l](u)"


def everything():
    """One gate with a decision of every outcome, and hostile names."""
    asked = policy(
        {"metric": GAP, "at_most": 0.1, "reason": HOSTILE},
        {"metric": GAP, "at_most": 0.9},
        {"metric": GAP, "worse_by_at_most": 0.02},
        {"metric": "fairness/class_sd", "at_most": 0.1},
        name=HOSTILE,
        description=HOSTILE,
    )
    sides = [
        record(*i, dataset=HOSTILE, shift=s, noise={GAP: 0.08})
        for i, s in (((), {}), ((method(HOSTILE, epsilon=1.0),), {GAP: 0.02}))
    ]
    return pair(asked, sides[1], sides[0])


def test_junit_has_the_shape_of_the_schema_and_escapes_names():
    text = gate_junit.text(everything())
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    (suite,) = root
    assert (suite.tag, set(suite.attrib)) == (
        "testsuite",
        {"name", "tests", "failures", "errors", "skipped", "time"},
    )
    kinds = []
    for case in suite:
        assert (case.tag, set(case.attrib)) == ("testcase", {"classname", "name", "time"})
        assert len(case) <= 1
        kinds += [child.tag for child in case]
        for child in case:
            assert child.attrib["message"]
            assert set(child.attrib) <= {"message", "type"}
    assert kinds == ["failure", "skipped", "error"]
    counted = {k: suite.attrib[k] for k in ("tests", "failures", "errors", "skipped")}
    assert counted == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert {k: root.attrib[k] for k in counted} == counted
    assert len({case.attrib["name"] for case in suite}) == len(suite)
    assert "<b>" in suite.attrib["name"]
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("inconclusive", "unmeasured", "kinds"),
    [
        ("pass", "pass", ["skipped", "skipped"]),
        ("fail", "fail", ["failure", "failure"]),
        ("inconclusive", "inconclusive", ["skipped", "error"]),
    ],
)
def test_junit_marks_open_questions_as_the_policy_counts_them(inconclusive, unmeasured, kinds):
    asked = policy(
        {"metric": GAP, "worse_by_at_most": 0.02},
        {"metric": "fairness/class_sd", "at_most": 0.1},
        inconclusive=inconclusive,
        unmeasured=unmeasured,
    )
    gate = pair(asked, record(DP, shift={GAP: 0.01}, noise={GAP: 0.06}))
    root = ET.fromstring(gate_junit.text(gate))
    assert [child.tag for case in root[0] for child in case] == kinds
    said = gate_terminal.text(gate)
    assert ("which the policy lets pass" in said) is (inconclusive == "pass")
    assert ("which the policy does not let pass" in said) is (inconclusive == "fail")


def test_markdown_escapes_names_and_keeps_its_tables_whole():
    text = gate_markdown.text(everything())
    for raw in ("<b>", "`x`", " @you", " #1", "\x1b", "\x00", "\u202e", "[l](u)"):
        assert raw not in text
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        line for line in text.splitlines() if line.startswith(("## policy ", "### &lt;b>"))
    ]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert {line.replace("\\|", "").count("|") for line in rows} == {7}


def test_the_terminal_prints_no_control_characters_and_no_line_of_a_names_making():
    gate = everything()
    text = gate_terminal.text(gate)
    assert all(c.isprintable() or c == "\n" for c in text)
    assert not any(line.startswith("##") for line in text.splitlines())
    marks = [line.strip()[0] for line in text.splitlines() if line.startswith("  ")]
    assert marks == ["▲", "·", "?", "="]


def test_json_holds_every_number_and_the_others_print_them_to_the_last_digit():
    gate = everything()
    data = json.loads(gate_json.text(gate))
    assert data["schema"] == 1
    assert data["outcome"] == "violated"
    assert data["policy"]["name"] == HOSTILE
    (candidate,) = data["candidates"]
    shown = [gate_terminal.text(gate), gate_markdown.text(gate), gate_junit.text(gate)]
    for d in candidate["decisions"]:
        if d["outcome"] == "unmeasured":
            assert d["effect"] is None
            assert d["reason"]
            continue
        signed = "+" if d["against"] else ""
        numbers = [f"{d[k]:{signed}.3f}" for k in ("effect", "low", "high")]
        text = f"{numbers[0]} [{numbers[1]}, {numbers[2]}] n={d['n']}"
        assert text in shown[0]
        assert text in shown[1]
        if d["outcome"] != "pass":
            assert text in shown[2]
    limits = [d["bound"] for d in candidate["decisions"]]
    assert limits[0] == {"kind": "at_most", "value": 0.1}


def test_a_policy_that_asks_nothing_passes_and_says_so():
    gate = pair(policy(), record(DP))
    assert gate.outcome is Outcome.PASS
    assert "asks nothing of it" in gate_terminal.text(gate)
    assert "asks nothing of it" in gate_markdown.text(gate)
    assert ET.fromstring(gate_junit.text(gate)).attrib["tests"] == "0"


def test_the_first_sentence_says_what_to_do():
    asked = policy(
        {"metric": GAP, "worse_by_at_most": 0.02}, {"metric": "utility/accuracy", "at_least": 0.1}
    )
    kept = pair(asked, record(DP, shift={GAP: 0.01}))
    broken = pair(asked, record(DP, shift={GAP: 0.3}))
    still_open = pair(asked, record(DP, shift={GAP: 0.01}, noise={GAP: 0.06}))
    firsts = [gate_terminal.text(g).splitlines()[1] for g in (kept, broken, still_open)]
    arm = broken.candidates[0].arm
    assert firsts == [
        "Every demand of the policy is kept: this may go ahead.",
        f"The policy is broken, so this may not go ahead: {arm} (fairness).",
        f"The measurements do not decide yet whether the policy is kept: {arm} (fairness).",
    ]
    assert gate_markdown.text(kept).splitlines()[2] == f"**{firsts[0]}**"
