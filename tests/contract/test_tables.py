"""What every registered table keeps: it names only what exists, and leaves no cell open."""

from pathlib import Path

import pytest

from tests.contract.conftest import options
from trustbench.contracts.aspects import Aspect
from trustbench.summary.table.registry import load_table

CONF = Path(__file__).resolve().parents[2] / "conf"
TABLES = sorted((CONF / "table").glob("*.yaml"))
NAMES = {
    kind: {o.name for o in options() if o.kind == kind} for kind in ("intervention", "evaluator")
}


@pytest.fixture(params=TABLES, ids=[p.stem for p in TABLES])
def table(request):
    return load_table(request.param)


def readings(cell):
    """(metric, regime) and the methods of everything that a cell prints."""
    for binary in (False, True):
        measure = cell.measure(binary)
        yield measure.metric, measure.against, cell.intervention, cell.reference
        for s in measure.secondary:
            yield s.metric, s.against, s.intervention or cell.intervention, s.reference


def test_every_cell_is_measured_by_what_exists(table):
    for cell in table.cells:
        assert cell.needs is None
        for metric, against, *methods in readings(cell):
            for name in (metric, against):
                if isinstance(name, str):
                    assert name.split("/")[0] in NAMES["evaluator"], name
            assert {m for m in methods if m} <= NAMES["intervention"]
        assert set(cell.dosed) <= NAMES["intervention"]


def test_every_off_diagonal_cell_has_references_a_sign_and_a_dose(table):
    for cell in table.cells:
        assert cell.references
        assert cell.expected in ("harm", "benefit", "mixed", "none")
        if not cell.diagonal:
            assert cell.dose, f"{cell.source} -> {cell.target}"


def test_membership_is_measured_where_models_memorise(table):
    for cell in table.cells:
        expected = "memorising" if cell.target is Aspect.PRIVACY else "tuned"
        assert cell.measure(False).regime == expected


def test_every_cell_has_an_experiment(table):
    present = {p.stem for p in (CONF / "experiment").glob("*.yaml")}
    for cell in table.cells:
        name = f"{cell.source}_vs_{cell.target}"
        assert cell.diagonal or name in present, name


def test_every_contrast_within_an_arm_says_what_its_sides_share(table):
    pairs = {
        (metric, against)
        for cell in table.cells
        for metric, against, *_ in readings(cell)
        if against is not None
    }
    said = {(s.metric, s.against) for s in table.sides}
    assert said == pairs, "`sides` speaks of each contrast once, and of no other"
    assert len(table.sides) == len(said)
