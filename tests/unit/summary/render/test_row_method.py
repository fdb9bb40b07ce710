"""A cell that another method than its row's measures says so, beside the row's own effect."""

import copy
import csv
import html
import io
import json

import pytest
import yaml

from tests.unit.summary.builder import TABLE_FILE, WITHIN, full_table, method, record
from tests.unit.summary.report.report_data import page as report_page
from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import png, render, terminal
from trustbench.summary.render import wording as w
from trustbench.summary.render.cell import cell_text
from trustbench.summary.table.registry import parse_table
from trustbench.summary.table.table import summarize

F, P, R, E, U = Aspect
POINT = {"epsilon": 0.1}


@pytest.fixture(scope="module")
def table():
    """P→F is measured by adversarial training, P→U by what only released sets have."""
    data = copy.deepcopy(yaml.safe_load(TABLE_FILE.read_text()))
    data["cells"]["privacy"]["fairness"] |= {"intervention": "pgd_at", "operating_point": POINT}
    data["cells"]["privacy"]["uncertainty"] |= {
        "intervention": "conformal",
        "contrast": "observed - null",
        "measure": {
            "metric": "set_size_gap/gap_aps",
            "against": "set_size_gap/gap_aps_permuted",
            "delta": 0.05,
            "unacceptable": 0.25,
        },
    }
    return parse_table(data, "other")


@pytest.fixture(scope="module")
def results(table):
    return summarize(full_table(), table)


@pytest.fixture(scope="module")
def usual():
    """The same records by a table whose cells are all their rows' own."""
    return summarize(full_table(), parse_table(yaml.safe_load(TABLE_FILE.read_text()), "usual"))


def test_the_rows_own_is_the_cells_measure_or_else_the_columns(results, usual):
    [result], [alone] = results, usual
    same, other = result.cell(P, "fairness"), result.cell(P, "uncertainty")
    assert (same.row, same.intervention, same.borrowed) == ("dpsgd", "pgd_at", True)
    for cell in (same, other):
        registered = alone.cell(P, cell.target).estimate
        assert cell.own.metric == registered.metric
        assert cell.own.effect == registered.effect, "as where the cell is the row's own"
    assert other.own.metric == "uncertainty/ece", "the replicates of dpsgd release no sets"
    assert [c.name for c in result.cells if c.own] == ["P→F", "P→U"]
    assert not any(c.borrowed or c.own for c in (*alone.cells, *alone.utility, *alone.reseed))


def test_a_row_whose_own_method_was_not_measured_shows_nothing_of_it(table):
    shift = {"fairness/acc_gap": 0.03}
    records = [
        record(ident="b"),
        record(method("pgd_at", **POINT), ident="t", noise=WITHIN, shift=shift),
    ]
    [result] = summarize(records, table)
    cell = result.cell(P, "fairness")
    assert cell.estimate.effect
    assert cell.own is None
    said = render([result], "md")
    assert "**by pgd\\_at epsilon=0.1**" in said
    assert "**P privacy**<br>dpsgd |" in said, "the row keeps the name of its own method"
    assert "row's own" not in said


def own(results, target="fairness"):
    """How the row's own effect is spelt: number and interval."""
    effect = results[0].cell(P, target).own.effect
    return w.number(effect.effect), w.interval(effect)


def test_the_grid_names_the_method_and_the_rows_own_effect(results, usual):
    number, interval = own(results)
    said = terminal.text(results, 120)
    assert "by pgd_at" in said
    assert f"row {number}" in said
    assert interval.replace(", ", ",") in said
    assert "on ece" in said
    assert "by: measured by another method than the row's; row:" in " ".join(said.split())
    assert "by: measured" not in " ".join(terminal.text(usual, 120).split())


@pytest.mark.parametrize("form", ["md", "list", "cell"])
def test_texts_name_the_method_and_the_rows_own_effect(form, results, table):
    number, interval = own(results)
    wide = own(results, "uncertainty")
    said = {
        "md": lambda: render(results, "md").replace("\\", ""),
        "list": lambda: " ".join(terminal.text(results, 80).split()),
        "cell": lambda: "\n".join(cell_text(table, P, t, results) for t in (F, U)),
    }[form]()
    assert ("pgd_at epsilon=0.1; treated" if form == "cell" else "by pgd_at epsilon=0.1") in said
    assert f"row's own dpsgd epsilon=3: {number} {interval} n=16; exploratory: harm" in said
    assert f"{' '.join(wide)} n=16 on uncertainty/ece; exploratory: harm" in said
    if form == "cell":
        assert "in place of the row's dpsgd" in said


def test_latex_and_the_picture_have_it_too(results):
    number, interval = own(results)
    tex = render(results, "tex")
    assert r"by pgd\_at epsilon=0.1" in tex
    assert f"row ${number}$" in tex
    assert f"${interval}$" in tex
    assert r"P$\to$U: row's own dpsgd epsilon=3:" in tex
    lines = [line.text for line in png._cell_lines(results[0], results[0].cell(P, "uncertainty"))]
    assert any(line.startswith("by conformal") for line in lines)
    number, interval = own(results, "uncertainty")
    assert f"row {number} ece" in lines
    assert f"{interval} ▲" in lines


def test_json_and_csv_have_it_in_keys_of_their_own(results):
    found = json.loads(render(results, "json"))
    assert found["schema"] == 1
    cells = {(c["source"], c["target"]): c for c in found["cells"]}
    cell = cells["privacy", "fairness"]
    assert (cell["intervention"], cell["row_intervention"]) == ("pgd_at", "dpsgd")
    assert cell["arm"] == "pgd_at epsilon=0.1"
    assert cell["row_own"]["arm"] == "dpsgd epsilon=3"
    assert cell["row_own"]["effect"] == results[0].cell(P, "fairness").own.effect.effect
    assert cells["robustness", "fairness"]["row_own"] is None
    rows = {
        (r["source"], r["target"]): r
        for r in csv.DictReader(io.StringIO(render(results, "csv")))
        if r["kind"] == "cells"
    }
    row = rows["privacy", "uncertainty"]
    assert row["row_intervention"] == "dpsgd"
    assert row["row_own_metric"] == "ece"
    assert float(row["row_own_effect"]) == cells["privacy", "uncertainty"]["row_own"]["effect"]
    assert row["row_own_verdict"] == "harm"


def test_the_report_has_it_in_its_table_and_behind_the_cell(table):
    page, _ = report_page(full_table(), table=table)
    assert page.count('data-of="row_own.effect"') == 4, "two cells, in the table and behind it"
    assert "by pgd_at" in page.replace("<wbr>", "")
    assert "the row's own dpsgd epsilon=3" in html.unescape(page)
    assert "by: measured by another method" in page


def test_a_crowded_cell_of_the_picture_is_set_in_smaller_letters():
    few, many = [png.Line("a", 8.0)] * 3, [png.Line("a", 8.0)] * 12
    assert png._fitted(few) == few
    assert sum(line.size for line in png._fitted(many)) == pytest.approx(png.ROOM)
