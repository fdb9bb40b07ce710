"""The report: its numbers are JSON's, its strings are inert, and it is whole on its own."""

import json
import re
import shlex

import numpy as np
import pytest

from tests.unit.summary.builder import WITHIN, full_table, method, record
from tests.unit.summary.report_data import arrays, by_id, page, parse, whole
from tests.unit.summary.test_beyond_pairs import EFFECTS, cube
from trustbench import cli
from trustbench.commands import report as command
from trustbench.commands.registered import find_table
from trustbench.compose import compose
from trustbench.errors import UserError
from trustbench.records import Store, Sweep
from trustbench.summary.effects import Kind
from trustbench.summary.render import render
from trustbench.summary.render import wording as w
from trustbench.summary.report import document
from trustbench.summary.report.commands import experiment_command
from trustbench.summary.report.grid import NAMES
from trustbench.summary.report.page import _source
from trustbench.summary.report.scales import linear, log
from trustbench.summary.table import summarize

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
INERT = {
    "a", "b", "body", "button", "circle", "code", "data", "dd", "details", "div", "dl", "dt",
    "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "head", "header", "html", "li", "main",
    "meta", "p", "path", "rect", "root", "script", "section", "span", "style", "summary", "svg",
    "table", "tbody", "td", "text", "th", "thead", "title", "tr", "ul", "wbr",
}  # fmt: skip


@pytest.fixture(scope="module")
def built():
    return page()


@pytest.fixture(scope="module")
def tree(built):
    return parse(built[0])


@pytest.fixture(scope="module")
def contract(built):
    return json.loads(render(built[1], "json"))


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


def test_nothing_is_loaded_from_anywhere(built, tree):
    text, _ = built
    assert re.findall(r"https?:|//[a-z]", text.replace("http-equiv", "")) == []
    assert "url(" not in text
    assert "@import" not in text
    names = {n.name for n in tree.all()}
    assert not names & {"link", "img", "iframe", "object", "embed", "base", "form", "input"}
    policy = next(n for n in tree.all("meta") if "http-equiv" in n.attributes)
    assert policy.attributes["content"].startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy.attributes["content"]


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


def test_pictures_are_drawn_from_what_is_stored(tree):
    titles = [n.all("title")[0].children[0] for n in tree.all("svg")]
    # eight treated arms and the baseline where tuned, three where memorising; one arm failed
    assert sum(t.startswith("Attack on") for t in titles) == 9 + 4
    assert not any("pgd_at epsilon=0.1 (memorising)" in t for t in titles)
    assert "Reliability of dpsgd epsilon=3 (tuned)" in titles
    assert "Set sizes of conformal alpha=0.1 (tuned), score aps" in titles
    assert "Accuracy by group of baseline (tuned)" in titles
    assert any(t.startswith("Accuracy under attack of dpsgd epsilon=3 (tuned)") for t in titles)
    assert "Effect over epsilon: 3 doses with 95 % intervals" in titles
    assert sum(t.startswith("Each of 16 replicates") for t in titles) >= 18
    assert all(n.attributes["role"] == "img" for n in tree.all("svg"))


def test_what_is_not_stored_is_said():
    text, _ = page(full_table(), load=lambda _: {})
    assert text.count("Not stored: no arm has") == 5
    assert "Records hold no explanations of single rows" in text


def test_a_paired_picture_has_a_dot_for_each_difference(tree, contract):
    ident, cell = next((i, c) for i, c in cells_of(contract) if i == "t0-privacy-fairness")
    picture = by_id(tree)[ident].all("svg")[0]
    dots = [n for n in picture.all("circle") if n.attributes["class"] == "dot arm"]
    right = dots[-cell["n"] :]
    order = np.argsort([float(d.attributes["cy"]) for d in right])
    assert order.tolist() == np.argsort(-np.array(cell["differences"])).tolist()
    assert len(dots) == 2 * cell["n"]


def test_arms_equal_to_the_baseline_are_named_once():
    def load(ident):
        return arrays("same" if "lime" in ident else ident)

    base = record(ident="same")
    text, _ = page([base, record(method("lime"))], load=load)
    assert "baseline (tuned); the same for lime" in text
    assert "Reliability of lime" not in text


def test_factorials_and_mitigations_are_shown():
    text, results = page(cube(EFFECTS))
    root = parse(text)
    assert results[0].factorials
    shown = " ".join(root.text().split())
    for row in w.factorial_rows(results[0].factorials[0]):
        assert row[4] in shown
    for line in w.worse_than_the_sum(results[0].factorials[0]):
        assert line in shown


def test_risks_are_those_of_json(tree, contract):
    rows = next(n for n in tree.all("section") if n.attributes.get("id") == "risk").all("tr")[1:]
    assert len(rows) == len(contract["risks"]) > 10
    for row, risk in zip(rows, contract["risks"], strict=True):
        texts = [c.text() for c in row.children]
        for text, key in zip(texts[1:4], ("likelihood", "severity", "risk"), strict=True):
            of = risk[key]
            assert text == f"{of['value']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"
        assert texts[4] == risk["band"]


def test_provenance_names_data_noise_and_every_record(built, tree):
    seeded = [
        r.model_copy(update={"facts": {**r.facts, "dp_noise": "seeded"}})
        if r.label().startswith("dpsgd")
        else r
        for r in whole()
    ]
    text, _ = page(seeded)
    assert "drawn from a seeded stream (dp_noise: seeded)" in text
    assert "for research only" in text
    assert "no arm declares any" in built[0]
    shown = tree.text()
    for each in whole():
        assert each.id in shown
    assert "digits0tuned" in shown
    assert "digits0memorising" in shown


def test_commands_are_read_by_the_composer():
    text = experiment_command("privacy_vs_fairness", [record(dataset_params={"rare": 8})])
    words = shlex.split(text)
    assert words[:3] == ["trustbench", "run", "+experiment=privacy_vs_fairness"]
    config = compose([x for x in words[2:] if "hidden" not in x])
    assert config.dataset.rare == 8
    assert config.protocol.replicates == 16
    assert experiment_command("default", [record()]) is None


def test_scales_hold_their_values_and_have_round_ticks():
    scale = linear([-0.013, 0.74])
    assert scale.low <= -0.013 < 0.74 <= scale.high
    assert scale.at(scale.low, 10, 20) == 10
    assert scale.at(99, 10, 20) == 20
    assert [t for _, t in linear([0.3, 0.3]).ticks]
    far = log([0.002, 1.0])
    assert [t for _, t in far.ticks] == ["0.001", "0.01", "0.1", "1"]
    assert far.at(0.1, 0, 3) == pytest.approx(2)
    assert [t for _, t in log([1.0, 8.0]).ticks] == ["1", "2", "5", "10"]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "out")
    records = whole()
    for each in records:
        store.write(each, arrays(each.id))
    evaluations = sorted({k for r in records for k in r.evaluations})
    sweep = Sweep(
        experiment="smoke",
        table="cresswell",
        arms=[r.id for r in records],
        evaluations=evaluations,
    )
    store.write_sweep(sweep)
    return store, records, sweep


def test_the_command_writes_one_file(store, tmp_path, capsys):
    out = tmp_path / "deep" / "r.html"
    code = cli.main(["report", "--from", str(store[0].root), "--output", str(out)])
    assert code == 0, capsys.readouterr().err
    text = out.read_text()
    root = parse(text)
    assert "trustbench run +experiment=smoke" in root.text()
    assert "Reliability of dpsgd" in text
    assert list(out.parent.iterdir()) == [out]


def test_the_command_says_what_is_wrong(store, tmp_path, capsys):
    root = str(store[0].root)
    blocked = tmp_path / "file"
    blocked.write_text("")
    (tmp_path / "empty").mkdir()
    wrong = {
        "no sweep of experiment 'smok' is stored": ["--from", root, "--experiment", "smok"],
        "is not a folder of records": ["--from", f"{root}x"],
        "unknown table": ["--from", root, "--table", "creswell"],
        "cannot be written": ["--from", root, "--output", str(blocked / "r.html")],
        "there is no record to make a report of": ["--from", str(tmp_path / "empty")],
    }
    for sentence, args in wrong.items():
        assert cli.main(["report", *args]) == 2
        assert sentence in capsys.readouterr().err


def test_a_sweep_keeps_its_report_and_shares_it_unless_it_is_large(store, monkeypatch):
    where, records, sweep = store
    results = summarize(records, find_table("cresswell", None), sweep.evaluations)
    path = command.write_report(results, records, where, sweep)
    assert path == where.table_file("smoke", "html")
    assert path.read_text().startswith("<!doctype html>")
    monkeypatch.setattr(command, "LARGEST", 1000)
    path.unlink()
    assert command.write_report(results, records, where, sweep) is None
    assert path.exists()


def test_no_table_is_an_error_and_no_empty_page():
    with pytest.raises(UserError, match="no record to make a report of"):
        document([], [], None, arrays)
