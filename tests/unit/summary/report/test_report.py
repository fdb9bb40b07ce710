"""The report: its numbers are JSON's, its strings are inert, and it is whole on its own."""

import re

import numpy as np
import pytest

from tests.unit.summary.builder import CRESSWELL, WITHIN, method, record
from tests.unit.summary.report.report_data import by_id, page, parse, whole
from trustbench.api.metric_checks import with_declarations
from trustbench.contracts import Aspect, Metric
from trustbench.summary.render import render
from trustbench.summary.render import wording as w
from trustbench.summary.render.cell import cell_text
from trustbench.summary.report.grid import NAMES
from trustbench.summary.report.page import _source
from trustbench.summary.stats.effects import Kind

SIGNED = re.compile(r"(?<![\w.])[+-]\d+\.\d{1,3}(?![\w.])")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "]]></style></script><svg onload=alert(1)>",
    "</title><base href=http://evil.example>",
    "a\u202eb\x00c",
)
NAMED = ("acc_gap", "worst_group_acc", "class_sd", "eo_gap")
INERT = {
    "a", "b", "body", "button", "circle", "code", "data", "dd", "details", "div", "dl", "dt",
    "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "head", "header", "html",
    "image", "li", "main", "meta", "p", "path", "rect", "root", "script", "section", "span",
    "style", "summary", "svg", "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul",
    "wbr",
}  # fmt: skip


def numbers(value):
    """Every number in a JSON value."""
    if isinstance(value, dict):
        return [x for v in value.values() for x in numbers(v)]
    if isinstance(value, list):
        return [x for v in value for x in numbers(v)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def values(node):
    """{key: [(exact value, text)]} of the numbers inside an element."""
    found = {}
    for data in node.all("data"):
        exact = float(data.attributes["value"])
        found.setdefault(data.attributes["data-of"], []).append((exact, data.text()))
    return found


def table_of(tree):
    """The 5x5 table."""
    return next(n for n in tree.all("table") if n.attributes.get("class") == "grid5")


def cells_of(contract):
    """(id in the page, the JSON cell) of every printed cell."""
    for cell in (*contract["cells"], *contract["utility"], *contract["reseed"]):
        yield f"t0-{cell['source'] or 'reseed'}-{cell['target']}", cell


def test_the_table_prints_what_json_says(tree, contract):
    links = {n.attributes["href"]: n for n in table_of(tree).all("a")}
    cells = list(cells_of(contract))
    assert len(cells) == 36
    for ident, cell in cells:
        shown = values(links[f"#{ident}"])
        own = [shown.get(k, [(None, None)])[0][0] for k in ("effect", "low", "high")]
        assert own == [cell["effect"], cell["low"], cell["high"]], ident
        text = links[f"#{ident}"].text()
        if cell["effect"] is None:
            assert SIGNED.search(text) is None
        else:
            assert f"n={cell['n']}" in text
        beyond = cell["beyond_matched"] or {"effect": None, "low": None, "high": None}
        keys = [f"beyond_matched.{k}" for k in ("effect", "low", "high")]
        assert [shown.get(k, [(None, None)])[0][0] for k in keys] == [
            beyond[k] for k in ("effect", "low", "high")
        ]


def test_behind_a_cell_are_its_numbers_and_no_others(tree, contract):
    sections = by_id(tree)
    for ident, cell in cells_of(contract):
        known = {*numbers(cell)}
        for key, found in values(sections[ident]).items():
            if not key.startswith("reseed."):
                assert {v for v, _ in found} <= known, (ident, key)
        text = " ".join(sections[ident].text().split())
        assert cell["verdict"] in text
        assert not cell["reason"] or cell["reason"] in text
        for each in (*cell["secondary"], *(cell["doses"] if len(cell["doses"]) > 1 else ())):
            if each["effect"] is not None:
                ends = f"[{w.number(each['low'])}, {w.number(each['high'])}]"
                assert f"{w.number(each['effect'])} {ends} n={each['n']}" in text
        for reference in cell["references"]:
            assert reference in text
        for ident_of_record in cell["records"]:
            assert ident_of_record in text


def test_every_number_is_spelled_as_its_exact_value_is(tree, contract):
    known = {w.number(x) for x in numbers(contract)} | {w.number(-x) for x in numbers(contract)}
    spelled = [d for d in tree.all("data") if SIGNED.fullmatch(d.text())]
    assert len(spelled) > 300
    for data in spelled:
        assert data.text() == w.number(float(data.attributes["value"]))
    for data in tree.all("data"):
        exact, text = float(data.attributes["value"]), data.text()
        assert text in (w.number(exact), f"{exact:.3f}", "< 0.001")
        assert text != "< 0.001" or exact < 0.001
    assert {m[0] for m in SIGNED.finditer(tree.text())} <= known


def test_terminal_and_report_say_the_same(built, tree):
    terminal = render(built[1], "terminal")
    table = table_of(tree)
    said = set(SIGNED.findall(table.text()))
    assert said
    assert said <= set(SIGNED.findall(terminal))


@pytest.mark.parametrize("evil", HOSTILE)
def test_hostile_names_are_text_everywhere(evil):
    dp = method("dpsgd", mode=evil)
    facts = {"accountant": evil}
    strange = method(evil, epsilon=1.0)
    common = {"dataset": evil, "classes": [evil, "b", *map(str, range(8))]}
    records = [
        record(ident="b", **common),
        record(dp, ident=evil, noise=WITHIN, facts=facts, **common),
        record(strange, ident="s", noise=WITHIN, **common),
        record(dp, ident="m", regime="memorising", status="failed", reason=evil, **common),
    ]
    environment = {"platform": evil, evil: evil}
    records = [r.model_copy(update={"environment": environment}) for r in records]
    text, _ = page(records, experiment=evil)
    root = parse(text)
    assert {n.name for n in root.all()} <= INERT
    for node in root.all():
        assert not [a for a in node.attributes if a.startswith("on") or a in ("src", "style")]
        assert node.attributes.get("href", "#").startswith("#")
    assert len(root.all("script")) == len(root.all("style")) == 1
    assert root.all("script")[0].children == [_source("script.js")]
    assert "\u202e" not in text
    assert "\x00" not in text
    shown = "".join(root.text().split())
    kept = re.sub("[\u202e\x00]", "\ufffd", evil)
    assert "".join(kept.split()) in shown


@pytest.mark.parametrize("evil", ["", *HOSTILE])
def test_the_report_and_the_cell_say_what_evaluators_declare(evil):
    def declared(unit, better):
        return Metric(f"<{'|'.join(NAMED)}>", f"How unequal {evil}.", unit, better)

    metrics = {"fairness": (declared("fraction", "lower"),), "utility": None}
    table = with_declarations(CRESSWELL, metrics)
    tree = parse(page(whole(), table=table)[0])
    said = re.sub("[\u202e\x00]", "\ufffd", f"How unequal {evil}. Unit: fraction; lower is better.")
    cell = next(
        n for n in table_of(tree).all("a") if n.attributes["href"] == "#t0-privacy-fairness"
    )
    assert cell.attributes["title"] == said
    assert said in [n.attributes.get("title") for n in table_of(tree).all("th")]
    utility = next(n for n in table_of(tree).all("a") if n.attributes["href"].endswith("-utility"))
    assert "title" not in utility.attributes  # nothing is known of it
    behind = by_id(tree)["t0-privacy-fairness"].text()
    assert "fraction; lower is better" in behind
    assert behind.count(said) == 2  # of the two secondary metrics of the same evaluator
    text = cell_text(table, Aspect.PRIVACY, Aspect.FAIRNESS, [])
    assert text.count("lower is better") == 4
    higher = with_declarations(CRESSWELL, {"fairness": (declared("points", "higher"),)})
    assert "unit: points; higher is better" in cell_text(
        higher, Aspect.PRIVACY, Aspect.FAIRNESS, []
    )


def test_nothing_is_loaded_from_anywhere(built, tree):
    text = re.sub(r'"data:image/png;base64,[\w+/=]+"', "", built[0])
    assert "data:" not in text.replace("img-src data:;", "")
    assert re.findall(r"https?:|//[a-z]", text.replace("http-equiv", "")) == []
    assert "url(" not in text
    assert "@import" not in text
    names = {n.name for n in tree.all()}
    assert not names & {"link", "img", "iframe", "object", "embed", "base", "form", "input"}
    policy = next(n for n in tree.all("meta") if "http-equiv" in n.attributes)
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy.attributes["content"]
    assert "img-src data:;" in policy.attributes["content"]


def test_links_lead_somewhere_and_ids_are_unique(tree):
    targets = by_id(tree)
    links = [n.attributes["href"] for n in tree.all("a")]
    assert len(links) > 70
    assert {link.removeprefix("#") for link in links} <= set(targets)


def test_the_table_needs_no_script(tree):
    table = table_of(tree)
    assert len(table.all("a")) == 36
    cells = [n for n in tree.all("details") if n.attributes["class"] == "cell"]
    assert len(cells) == 36
    assert all("open" in n.attributes for n in cells)
    assert "display: none" not in _source("style.css").split("@media print")[0]


def test_the_same_records_give_the_same_bytes():
    records = [record(), record(method("dpsgd", epsilon=3.0), noise=WITHIN)]
    assert page(records)[0] == page(records[::-1])[0]


def test_every_verdict_has_its_own_border_and_enough_contrast():
    css, borders = _source("style.css"), set()
    for kind in Kind:
        rule = re.search(rf"\.k-{NAMES[kind]} {{ (.*?) }}", css)[1]
        colours = re.findall(r"#[0-9a-f]{3,6}", re.sub(r"border-left:[^;]*;", "", rule))
        *grounds, ink = colours
        assert all(contrast(ink, ground) >= 4.5 for ground in grounds), kind
        border = re.search(r"border-left: (\S+ \S+) #", rule)[1]
        assert border not in borders, f"{kind} has another verdict's border"
        borders.add(border)
    root = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", css))
    assert min(contrast(root[c], root["paper"]) for c in ("ink", "soft", "link", "arm")) >= 4.5


def contrast(one, other):
    """The contrast ratio of two colours (WCAG 2)."""

    def luminance(colour):
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        linear_ = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear_, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.slow
def test_a_full_table_is_small_and_grows_slowly():
    assert contrast("#000", "#ffffff") == pytest.approx(21.0)
    records = [
        r
        for name in ("digits", "adult", "compas")
        for r in (
            x.model_copy(
                update={
                    "id": f"{name}{x.id}",
                    "arm": x.arm.model_copy(
                        update={"dataset": x.arm.dataset.model_copy(update={"name": name})}
                    ),
                }
            )
            for x in whole()
        )
    ]
    text, results = page(records)
    assert len(results) == 3
    assert len(text.encode()) < 5_000_000
