import copy

import pytest
import yaml

from tests.unit.summary.builder import CRESSWELL, TABLE_FILE
from trustbench.contracts.aspects import Aspect
from trustbench.errors import ConfigError
from trustbench.summary.table.registry import load_table, parse_table

F, P, R, E, U = Aspect


@pytest.fixture
def data():
    return copy.deepcopy(yaml.safe_load(TABLE_FILE.read_text()))


def test_all_25_cells_are_registered_in_order():
    pairs = [(c.source, c.target) for c in CRESSWELL.cells]
    assert pairs == [(s, t) for s in Aspect for t in Aspect]
    assert CRESSWELL.name == TABLE_FILE.stem


def test_rows_f_p_r_fill_all_columns_and_e_u_the_four_that_are_reached():
    measured = {(c.source, c.target) for c in CRESSWELL.cells if c.column}
    assert measured == {(s, t) for s in (F, P, R) for t in Aspect} | {
        (E, F),
        (E, R),
        (U, F),
        (U, R),
    }
    assert all(c.needs for c in CRESSWELL.cells if not c.column)


def test_every_off_diagonal_cell_has_references_and_a_sign():
    for cell in CRESSWELL.cells:
        assert cell.diagonal or cell.references
        assert cell.expected in ("harm", "benefit", "mixed", "none")


def test_privacy_is_measured_where_models_memorise():
    regimes = {t: CRESSWELL.cell(F, t).measure(False).regime for t in Aspect}
    assert regimes == {F: "tuned", P: "memorising", R: "tuned", E: "tuned", U: "tuned"}


def test_binary_tasks_register_the_error_rate_gap():
    cell = CRESSWELL.cell(P, F)
    assert cell.measure(False).metric == "fairness/acc_gap"
    assert cell.measure(True).metric == "fairness/eo_gap"
    assert "fairness/acc_gap" in [s.metric for s in cell.measure(True).secondary]
    # a cell that names its own metric keeps it on every task
    assert CRESSWELL.cell(U, F).measure(True).metric == "set_size_gap/gap_aps"


def test_contrasts_within_an_arm_have_a_null():
    for cell in CRESSWELL.cells:
        measure = cell.measure(False)
        if measure:
            assert (cell.contrast == "treated - baseline") == (measure.against is None)


@pytest.mark.parametrize(
    ("where", "key", "value", "sentence"),
    [
        ((), "colums", {}, "unknown key colums; did you mean 'columns'?"),
        (("rows", "privacy"), "intervenion", "x", "did you mean 'intervention'?"),
        (("columns", "fairness"), "detla", 1, "did you mean 'delta'?"),
        (("columns", "fairness", "binary"), "metrc", "x", "did you mean 'metric'?"),
        (("cells", "privacy", "fairness"), "expcted", "x", "did you mean 'expected'?"),
        (("cells", "explainability", "fairness", "measure"), "agains", 1, "mean 'against'?"),
        (("columns", "fairness"), "delta", -1, "columns.fairness.delta is -1; "),
        (("columns", "fairness"), "delta", 0.5, "unacceptable 0.1 is below delta 0.5"),
        (("columns", "fairness"), "metric", "acc_gap", "columns.fairness.metric is 'acc_gap'"),
        (("columns", "fairness"), "regime", "tune", "columns.fairness.regime is 'tune'"),
        (("cells", "privacy", "fairness"), "expected", "bad", "'harm', 'benefit', 'mixed'"),
        (("cells",), "privcy", {}, "unknown aspect cells.privcy; did you mean 'privacy'?"),
        (("cells", "privacy", "fairness"), "contrast", "observed - null", "`against` goes with"),
        (("cells", "explainability", "fairness"), "needs", "x", "both `measure` and `needs`"),
        (("floor",), "abovechance", 1, "did you mean 'above_chance'?"),
        (("columns", "fairness"), "secondary", "fairness/eo_gap", "columns.fairness.secondary"),
    ],
)
def test_bad_entries_get_a_sentence(data, where, key, value, sentence):
    part = data
    for step in where:
        part = part[step]
    part[key] = value
    with pytest.raises(ConfigError) as error:
        parse_table(data, "t.yaml")
    assert sentence in str(error.value)
    assert str(error.value).startswith("table t.yaml: ")


def test_all_problems_are_reported_at_once(data):
    data["columns"]["fairness"]["delta"] = -1
    data["rows"]["privacy"]["dose"] = 3
    del data["cells"]["privacy"]["fairness"]["expected"]
    with pytest.raises(ConfigError) as error:
        parse_table(data, "t.yaml")
    assert len(error.value.problems) == 3


def test_missing_rows_columns_and_cells_are_named(data):
    del data["rows"]["privacy"], data["columns"]["fairness"]
    del data["cells"]["privacy"]["fairness"]
    with pytest.raises(ConfigError) as error:
        parse_table(data, "t.yaml")
    assert [p.split(" is missing")[0] for p in error.value.problems] == [
        "table t.yaml: rows.privacy",
        "table t.yaml: columns.fairness",
        "table t.yaml: cells.privacy.fairness",
    ]


def test_files_that_are_no_table(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_table(tmp_path / "absent.yaml")
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [1")
    with pytest.raises(
        ConfigError, match=r"cannot be read: line \d: .*expected .*; correct the file\."
    ):
        load_table(bad)
    bad.write_text("- 1\n")
    with pytest.raises(ConfigError, match="expected keys and values"):
        load_table(bad)
