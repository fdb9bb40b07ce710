"""The pages of the cells are those that their script writes; pictures show the same numbers."""

import importlib
import sys
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from trustbench.contracts.aspects import Aspect

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "pages"))

cell_pages, cell_picture, reading = map(
    importlib.import_module, ("cell_pages", "cell_picture", "published")
)

LIMIT = 20_000
TABLE = """<!-- table:it -->
| method | F | P | R | E | U | utility |
|---|---|---|---|---|---|---|
| **P privacy**<br>dpsgd epsilon=3 | {} | {} | {} | {} | {} | +0.017 [+0.013, +0.020] n=16 |
<!-- /table -->"""
PLAIN = "+0.131 [+0.094, +0.169] n=16<br>▲ **harm**<br>beyond matched accuracy +0.1 [+0.0, +0.2]"
OTHER = (
    "**by mondrian alpha=0.1**<br>released\\_sets/size\\_aps - conformal<br>"
    "-0.001 [-0.002, +0.002] n=9<br>? **inconclusive (needs n = 62)**<br>expected: harm"
)


@pytest.fixture(scope="module")
def sources():
    return cell_pages.sources()


def test_the_pages_are_those_that_the_script_writes(sources):
    written = {p.name: p.read_text() for p in cell_pages.FOLDER.glob("*.md")}
    made = cell_pages.pages(sources)
    assert set(written) == set(made)
    assert len(made) == 26
    stale = [name for name, text in made.items() if written[name] != text]
    assert not stale, "run python scripts/pages/cell_pages.py"


def test_every_picture_shows_the_published_numbers_and_is_small(sources):
    for cell in sources.table.cells:
        path = cell_pages.FOLDER / f"{cell_pages.name_of(cell)}.svg"
        assert cell_picture.described(path.read_text()) == cell_picture.caption(
            *sources.result(cell)
        )
        assert path.stat().st_size < LIMIT


def test_a_picture_has_the_bar_the_interval_and_the_band(sources):
    result, measure = sources.result(sources.table.cell(Aspect.PRIVACY, Aspect.FAIRNESS))
    ax = Figure().add_subplot()
    cell_picture.draw(ax, result, measure)
    band, bar = ax.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-measure.delta, 2 * measure.delta))
    assert bar.get_width() == pytest.approx(result.effect)
    (segment,) = ax.collections[0].get_segments()
    assert segment[:, 0] == pytest.approx([result.low, result.high])


def test_a_published_cell_is_read_with_what_qualifies_it():
    cells = reading.published("it", TABLE.format(PLAIN, OTHER, PLAIN, PLAIN, PLAIN))
    assert len(cells) == 5
    plain = cells[Aspect.PRIVACY, Aspect.FAIRNESS]
    assert (plain.arm, plain.metric, plain.n, plain.kind) == ("dpsgd epsilon=3", None, 16, "harm")
    assert (plain.effect, plain.low, plain.high) == (0.131, 0.094, 0.169)
    assert plain.beside == ("beyond matched accuracy +0.1 [+0.0, +0.2]",)
    other = cells[Aspect.PRIVACY, Aspect.PRIVACY]
    assert (other.arm, other.metric) == ("mondrian alpha=0.1", "released_sets/size_aps - conformal")
    assert (other.effect, other.kind, other.beside) == (-0.001, "inconclusive", ())


def test_a_table_that_is_not_published_is_refused():
    with pytest.raises(SystemExit, match="no table adult"):
        reading.published("adult", TABLE)


def test_a_cell_that_was_published_with_another_metric_is_refused(sources):
    cell = sources.table.cell(Aspect.FAIRNESS, Aspect.UNCERTAINTY)
    column = cell.column.model_copy(update={"metric": "released_sets/size_lac"})
    with pytest.raises(SystemExit, match=r"fill_tables\.py"):
        sources.result(cell.model_copy(update={"column": column}))
