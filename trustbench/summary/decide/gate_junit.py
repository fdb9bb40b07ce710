"""A gate as JUnit XML: a suite for each candidate, a test case for each decision.

Violated is a failure, and so is anything that the policy does not let pass; not measured is an
error; inconclusive is skipped, as is anything that the policy lets pass. JUnit has no fourth
outcome: the exit code distinguishes inconclusive from passed.
"""

import re
from xml.etree import ElementTree as ET

from trustbench.summary.decide import gate_wording as w
from trustbench.summary.decide.decisions import Decision, Outcome
from trustbench.summary.decide.gate import Candidate, Gate

_FORBIDDEN = re.compile(
    "[^\t\n\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
    "|[\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)
"""Characters that XML 1.0 cannot hold, that control a terminal, or that reverse text."""


def text(gate: Gate) -> str:
    """The gate as an XML document."""
    suites = [_suite(gate, c) for c in gate.candidates]
    root = ET.Element("testsuites", {"name": _legal(w.title(gate)), **_sums(suites)})
    root.extend(suites)
    ET.indent(root)
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _suite(gate: Gate, c: Candidate) -> ET.Element:
    cases = [_case(gate, c, d) for d in c.decisions]
    kinds = [child.tag for case in cases for child in case]
    suite = ET.Element(
        "testsuite",
        {
            "name": _legal(c.title),
            "tests": str(len(cases)),
            "failures": str(kinds.count("failure")),
            "errors": str(kinds.count("error")),
            "skipped": str(kinds.count("skipped")),
            "time": "0",
        },
    )
    suite.extend(cases)
    return suite


def _case(gate: Gate, c: Candidate, d: Decision) -> ET.Element:
    name = _legal(f"{w.what(d)} {w.requirement(d)}")
    attributes = {"classname": _legal(f"{gate.policy.name}.{c.title}"), "name": name, "time": "0"}
    case = ET.Element("testcase", attributes)
    kind = _kind(d)
    if kind is not None:
        told = {"message": _legal(w.sentence(d))}
        if kind != "skipped":
            told["type"] = str(d.outcome)
        ET.SubElement(case, kind, told).text = _legal(w.sentence(d))
    return case


def _kind(d: Decision) -> str | None:
    """The element for the outcome of a test case; None if it passed."""
    if d.outcome is Outcome.PASS:
        return None
    if d.counts_as is Outcome.VIOLATED:
        return "failure"
    open_question = d.counts_as is Outcome.INCONCLUSIVE
    return "error" if open_question and d.outcome is Outcome.UNMEASURED else "skipped"


def _sums(suites: list[ET.Element]) -> dict[str, str]:
    keys = ("tests", "failures", "errors", "skipped")
    return {k: str(sum(int(s.attrib[k]) for s in suites)) for k in keys}


def _legal(text: str) -> str:
    """The text with a mark in place of every illegal character."""
    return _FORBIDDEN.sub("�", text)
