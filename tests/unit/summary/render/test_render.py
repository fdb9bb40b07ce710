"""Every rendering of a table: what it shows, keeps and escapes."""

import csv
import io
import json
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox
from PIL import Image
from rich.console import Console

from tests.unit.summary.builder import CRESSWELL, WITHIN, method, record
from trustbench.contracts.aspects import Aspect
from trustbench.errors import UserError
from trustbench.summary.render import latex, markdown, png, render, terminal
from trustbench.summary.render import wording as w
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.table import summarize

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "summary"

UPDATE = "TRUSTBENCH_UPDATE_GOLDEN"

NASTY = "a|b<i>_x_</i> $5 & 50% #1 {y} \\z ~^ `q` [l](u)"

CONTRACT = {
    *("dataset", "model", "source", "target", "intervention", "metric", "unit", "effect", "low"),
    *("high", "n", "verdict", "reason", "regime", "dose", "beyond_matched", "records"),
}


@pytest.fixture(scope="module")
def nasty():
    """A table whose every free string holds what Markdown and LaTeX read as markup."""
    dp = method("dpsgd", mode=NASTY)
    return summarize(
        [
            record(dataset=NASTY, ident="b"),
            record(dp, dataset=NASTY, ident="t", noise=WITHIN, facts={"accountant": NASTY}),
            record(
                dp, dataset=NASTY, ident="m", regime="memorising", status="failed", reason=NASTY
            ),
        ],
        CRESSWELL,
    )


def check_golden(name, text):
    path = GOLDEN / name
    if os.environ.get(UPDATE):
        path.write_text(text)
    assert path.read_text() == text, f"if the change is meant, set {UPDATE}=1 and read the diff"


@pytest.mark.parametrize("width", [120, 80])
def test_golden_terminal(results, width):
    check_golden(f"terminal{width}.txt", terminal.text(results, width))


def test_golden_markdown(results):
    check_golden("table.md", render(results, "md"))


@pytest.mark.parametrize("width", [40, 80, 100, 116, 120, 200])
def test_terminal_fits_loses_nothing_and_has_no_escape_codes(results, nasty, width):
    for tables in (results, nasty):
        text = terminal.text(tables, width)
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text
        assert "…" not in text
    text = terminal.text(results, width)
    numbers = [w.number(c.estimate.effect.effect) for c in results[0].cells if c.estimate.effect]
    assert all(n in text for n in numbers)


def test_colour_only_adds_codes(results):
    coloured = terminal.text(results, 120, colour=True)
    assert "\x1b[1;31m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [x.rstrip() for x in plain.splitlines()] == terminal.text(results, 120).splitlines()


def test_show_tables_follows_a_terminal_and_gives_files_plain_text(results):
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    terminal.show_tables(results, console)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())
    assert [x.rstrip() for x in plain.splitlines()] == terminal.text(results, 80).splitlines()
    piped = Console(file=io.StringIO())
    terminal.show_tables(results, piped)
    assert piped.file.getvalue() == terminal.text(results, 120)


def test_every_verdict_has_its_own_symbol_and_word():
    assert set(w.SIGNS) == set(Kind)
    assert len({s.symbol for s in w.SIGNS.values()}) == len(Kind)


def test_full_verdict_words_stand_in_markdown(results):
    text = render(results, "md")
    for cell in results[0].cells:
        assert f"**{markdown.escape(cell.verdict.text)}**" in text


def test_markdown_tables_are_rectangular(results, nasty):
    for tables in (results, nasty):
        widths = []
        for line in render(tables, "md").splitlines():
            bars = len(re.findall(r"(?<!\\)\|", line))
            if line.startswith("|"):
                widths.append(bars)
            elif widths:
                assert len(set(widths)) == 1
                widths = []


def test_markdown_escapes_config_and_data(nasty):
    text = render(nasty, "md")
    assert NASTY not in text
    assert "<i>" not in text
    assert "`q`" not in text.replace("\\`", "")


@pytest.mark.parametrize("start", ["# x", "> x", "- x", "+ x", "1. x", "12) x"])
def test_markdown_text_starts_no_block(start):
    assert not re.match(r"(#|>|-|\+|\d+[.)])", markdown.escape(start))


def test_json_keeps_its_contract(results):
    data = json.loads(render(results, "json"))
    assert data["schema"] == 1
    assert len(data["cells"]) == 25
    for cell in data["cells"]:
        assert set(cell) >= CONTRACT
        assert (cell["effect"] is None) == (cell["reason"] is not None)
    cell = next(c for c in data["cells"] if (c["source"], c["target"]) == ("privacy", "fairness"))
    assert {k: cell[k] for k in ("dataset", "model", "intervention", "metric", "unit", "n")} == {
        "dataset": "digits",
        "model": "mlp",
        "intervention": "dpsgd",
        "metric": "acc_gap",
        "unit": "fraction",
        "n": 16,
    }
    assert cell["verdict"] == "harm"
    assert cell["regime"] == "tuned"
    assert cell["dose"] == {"epsilon": 3.0}
    assert cell["low"] < cell["effect"] < cell["high"]
    assert {"effect", "low", "high"} <= set(cell["beyond_matched"])
    assert [d["dose"]["epsilon"] for d in cell["doses"]] == [3.0, 8.0]
    assert cell["records"] == ["digits-dpsgd3.0-none-tuned-0", "digits-none-none-tuned-0"]


def test_json_has_every_effect_of_the_grid_with_its_adjusted_p(results):
    grid = json.loads(render(results, "json"))["exploratory"]
    assert len(grid) == len(results[0].exploratory) > 50
    assert all(e["p_bh"] >= e["p"] for e in grid)


def test_csv_has_a_line_per_cell(results):
    rows = list(csv.DictReader(io.StringIO(render(results, "csv"))))
    cells = [r for r in rows if r["kind"] == "cells"]
    assert len(cells) == 25
    for row, cell in zip(cells, results[0].cells, strict=True):
        effect = cell.estimate.effect
        assert row["effect"] == ("" if effect is None else repr(effect.effect))
        assert bool(row["reason"]) == (effect is None)
    assert sum(r["kind"] == "reseed" for r in rows) == 6


def test_csv_text_is_no_spreadsheet_formula():
    result = summarize([record(dataset="=HYPERLINK(1)")], CRESSWELL)
    rows = list(csv.DictReader(io.StringIO(render(result, "csv"))))
    assert {r["dataset"] for r in rows} == {"'=HYPERLINK(1)"}


def test_latex_is_balanced_and_rectangular(results, nasty):
    for tables in (results, nasty):
        text = render(tables, "tex")
        bare = re.sub(r"\\[{}\\]", "", text)
        assert bare.count("{") == bare.count("}")
        body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
        rows = [x for x in body.splitlines() if x.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {6}
        assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_latex_escapes_every_special_character():
    assert latex.escape(NASTY) == (
        r"a\textbar{}b\textless{}i\textgreater{}\_x\_\textless{}/i\textgreater{} \$5 \& 50\% "
        r"\#1 \{y\} \textbackslash{}z \textasciitilde{}\textasciicircum{} `q` [l](u)"
    )


def test_png_is_an_image_and_the_same_twice(results):
    first, second = render(results, "png"), render(results, "png")
    assert first[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", first[16:24])
    assert width > 1200
    assert height > 900
    assert first == second
    assert first[25] == 3, "a palette, which makes it a third as large"


def test_a_palette_keeps_the_hues_of_a_narrow_legend():
    pixels = np.full((400, 400, 4), 255, np.uint8)
    scale = colormaps["PuOr_r"](np.linspace(0, 1, 400))
    pixels[:4] = np.round(255 * scale)  # one row in a hundred
    pixels[4:, ::2, :3] = np.arange(396)[:, None, None] % 256  # the greys of letters
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    image = Image.open(io.BytesIO(png.with_palette(file))).convert("RGB")
    away = np.abs(np.asarray(image).astype(int) - pixels[..., :3])
    assert away.max() <= 0.06 * 255


def test_what_a_box_of_the_picture_says_stays_inside_of_it(results):
    figure = Figure(figsize=(png.WIDTH, png.HEIGHT))
    ax = figure.add_axes((0, 0, 1, 1))
    png.draw(ax, results[0])
    figure.canvas.draw()
    boxes = [a for a in ax.artists if isinstance(a, AnnotationBbox)]
    inside = [b for b in boxes if 0 < b.xy[0] < 6 and 0 < b.xy[1] < 6]
    assert len(inside) == 36
    for box in inside:
        extent = box.get_window_extent().transformed(ax.transData.inverted())
        assert extent.width < 1
        assert abs(extent.height) < 1


def test_png_takes_any_text(nasty):
    assert render(nasty, "png")[:4] == b"\x89PNG"


def test_one_result_or_several(results):
    assert render(results[0], "md") == render(results, "md")
    two = summarize([record(), record(dataset="adult", classes=("no", "yes"))], CRESSWELL)
    text = render(two, "md")
    assert text.index("adult") < text.index("digits")
    assert len(json.loads(render(two, "json"))["cells"]) == 50


def test_unknown_formats_and_empty_tables_are_user_errors(results):
    with pytest.raises(UserError, match="unknown format 'jsn'; did you mean 'json'"):
        render(results, "jsn")
    with pytest.raises(UserError, match="no record to make a table of"):
        render([], "md")


def test_letters_name_the_cells(results):
    names = [c.name for c in results[0].cells]
    assert names == [f"{s.letter}→{t.letter}" for s in Aspect for t in Aspect]
