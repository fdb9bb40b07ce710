"""Names from configurations and data stay text in every output: one hostile set of records, all
renderers. A new module of `summary/render`, `decide` or `cards` fails until hostile.py lists it.
"""

import csv
import io
import json
import pkgutil
import re
import xml.etree.ElementTree as ET

import pytest
import yaml

from tests.security.hostile import EVERY, EVIL, HIDDEN, OUTPUTS, PARTS, WRITERS, table
from tests.unit.summary.builder import CRESSWELL, method
from tests.unit.summary.report.report_data import parse
from trustbench.summary import cards, decide
from trustbench.summary import render as package
from trustbench.summary.render import csv_, known_interactions, png


def test_every_module_that_renders_is_tried_here():
    rooms = (package, cards, decide)
    found = {m.name for room in rooms for m in pkgutil.iter_modules(room.__path__)}
    assert found == WRITERS | PARTS, "list a new renderer in hostile.py"
    assert {"md", "csv", "json", "tex", "png", "terminal"} == set(package.FORMATS)


@pytest.mark.parametrize("name", OUTPUTS["html"])
def test_html_gets_no_element_attribute_or_address_from_a_name(name):
    def shape(evil):
        root = parse(OUTPUTS["html"][name](evil))
        return [(n.name, sorted(n.attributes)) for n in root.all()], root

    harmless, _ = shape("plain text")
    found, root = shape(EVIL)
    scripts = root.all("script")
    assert len(scripts) == sum(n == "script" for n, _ in harmless)
    assert not [k for n in root.all() for k in n.attributes if k.startswith("on")]
    assert {n for n, _ in found} <= {n for n, _ in harmless}
    addresses = [n.attributes[k] for n in root.all() for k in ("href", "src") if k in n.attributes]
    assert not [a for a in addresses if not a.startswith(("#", "data:"))]


@pytest.mark.parametrize(("kind", "name"), [e for e in EVERY if e[0] not in ("json", "csv")])
def test_no_control_character_is_written(kind, name):
    text = OUTPUTS[kind][name](EVIL)
    assert "alert(1)" in text or name == "columns", "the hostile text is shown, so this tests it"
    found = HIDDEN.search(text)
    assert found is None, repr(text[max(0, found.start() - 60) : found.end() + 30])


def front_and_body(text):
    """Markdown without YAML front matter, whose values are checked as YAML."""
    if not text.startswith("---\n"):
        return text
    _, data, body = text.split("---\n", 2)
    assert isinstance(yaml.safe_load(data), dict)
    return body


@pytest.mark.parametrize("name", OUTPUTS["markdown"])
def test_markdown_shows_names_as_text(name):
    body = front_and_body(OUTPUTS["markdown"][name](EVIL))
    prose = re.sub(r"(?ms)^\s*(`{3,})\w*\n.*?^\s*\1\s*$", "", body)  # commands stand in fences
    assert "<script" not in prose
    assert "<img" not in prose
    assert not re.search(r"(?<!\\)\]\(http", prose)
    assert not [x for x in prose.splitlines() if x.strip().lstrip("#").strip() == "x"]
    headings = [x for x in front_and_body(OUTPUTS["markdown"][name]("plain")).splitlines()
                if x.startswith("#")]  # fmt: skip
    assert len([x for x in prose.splitlines() if x.startswith("#")]) == len(headings)


def test_latex_runs_no_command_of_a_name():
    text = OUTPUTS["latex"]["table"](EVIL)
    assert r"\input" not in text
    assert r"\write" not in text
    assert r"\textbackslash{}input" in text
    for line in text.splitlines():
        bare = re.sub(r"\\[%&$#_{}]", "", line)
        assert "%" not in bare or line.startswith("% needs"), "a name comments out the rest"
        assert bare.count("$") % 2 == 0
        assert bare.count("{") == bare.count("}") or line.startswith((r"\begin", r"\end"))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", " =", "\n="])
def test_a_spreadsheet_runs_no_name_as_a_formula(start):
    evil = f"{start}cmd|' /C calc'!A0"
    rows = list(csv.reader(io.StringIO(csv_.text(table(evil)))))
    assert any("calc" in field for row in rows for field in row)
    assert len({len(row) for row in rows}) == 1
    for field in (f for row in rows for f in row):
        assert not field.lstrip().startswith(("=", "@")), field
        if field.lstrip()[:1] in ("+", "-"):
            float(field)  # a number of ours


def test_csv_keeps_one_line_per_row_and_no_control_character():
    rows = list(csv.reader(io.StringIO(csv_.text(table(EVIL)))))
    harmless = list(csv.reader(io.StringIO(csv_.text(table("plain")))))
    assert len(rows) == len(harmless)
    assert not [f for row in rows for f in row if HIDDEN.search(f)]


@pytest.mark.parametrize("name", OUTPUTS["json"])
def test_json_is_json(name):
    text = OUTPUTS["json"][name](EVIL)
    json.loads(text, parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    assert not HIDDEN.search(text), "escaped, so that showing the file moves no cursor"


def test_junit_is_xml_with_the_elements_of_a_harmless_one():
    def tags(evil):
        return [e.tag for e in ET.fromstring(OUTPUTS["xml"]["junit"](evil)).iter()]

    assert tags(EVIL) == tags("plain")


@pytest.mark.parametrize("name", [n for n in OUTPUTS["terminal"] if n != "columns"])
def test_a_name_begins_no_line_on_a_terminal(name):
    """A line of its own could pass for one of ours: a verdict, say."""
    render = OUTPUTS["terminal"][name]
    forged, harmless = render("x\nFORGED"), render("x FORGED")
    assert "FORGED" in forged
    assert len(forged.splitlines()) == len(harmless.splitlines())


def test_a_picture_is_drawn_whatever_names_hold():
    assert png.image(table(EVIL)).startswith(b"\x89PNG")
    assert png.image(table("$x^$ \\frac")).startswith(b"\x89PNG")


def test_registered_interactions_stay_on_their_lines():
    aspects = method("dpsgd", epsilon=3.0)
    assert all("\n" not in line for line in known_interactions.lines(CRESSWELL, [aspects]))
    assert known_interactions.safe(EVIL).isprintable()
