"""Writes docs/cells/: a page and a picture for each of the 25 cells, and their index.

Everything on them is read: the registered table, the declared metrics, the output of
`trustbench cell`, and the published table of Adult.

run: python scripts/pages/cell_pages.py
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cell_picture import caption, described, picture
from published import Published, published

from trustbench.api.cells import cell_of
from trustbench.api.lookup import DEFAULT_TABLE, find_table
from trustbench.config.compose import conf_dirs
from trustbench.config.declared_metrics import declared_metrics
from trustbench.config.plugins import describe, discover
from trustbench.contracts.aspects import Aspect
from trustbench.contracts.metrics import Metric, find
from trustbench.summary.render.wording import contrast_name
from trustbench.summary.table.registry import Cell, Measure, Table

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "cells"
MADE = "<!-- made by scripts/pages/cell_pages.py; do not edit -->"
ADULT = "[All five methods on Adult](../results/tables.md#all-five-methods-on-adult)"
COMPARED = {
    "treated - baseline": "models trained with the method, and the same models trained without it",
    "treated - reference": "models with the method, and the same models with `{reference}`",
    "observed - null": "what is observed, and what would be observed if there were no effect",
    "released - not released": "an attacker who sees what is released, and one who does not",
}
MEANING = {
    "harm": "The method makes {target} worse, by more than chance explains.",
    "benefit": "The method makes {target} better, by more than chance explains.",
    "no material effect": "The effect is shown to be too small to matter.",
    "significant but immaterial": "There is an effect, and it is shown to be too small to matter.",
    "inconclusive": "More replicates are needed to tell.",
}


@dataclass(frozen=True)
class Sources:
    """Everything that the pages are made from."""

    table: Table
    results: dict[tuple[Aspect, Aspect], Published]

    @cached_property
    def metrics(self) -> dict[str, tuple[Metric, ...] | None]:
        return declared_metrics(conf_dirs(None))

    @cached_property
    def methods(self) -> dict[str, Path]:
        return discover("intervention", conf_dirs(None))

    def metric(self, name: str) -> Metric:
        """The declaration of `evaluator/metric`."""
        evaluator, _, own = name.partition("/")
        found = find(self.metrics[evaluator] or (), own)
        assert found is not None, name
        return found

    def result(self, cell: Cell) -> tuple[Published, Measure]:
        """The published result of a cell, and what was measured; Adult has two classes."""
        result, measure = self.results[cell.source, cell.target], cell.measure(True)
        assert measure is not None
        if result.metric is None:
            expected = self.table.columns[cell.target].on(True).metric == measure.metric
        else:
            name = contrast_name(measure.metric, measure.against, cell.reference)
            expected = result.metric == name
        if not expected:
            raise SystemExit(
                f"the published cell {name_of(cell)} is of another metric than the table's "
                f"{measure.metric}; run the sweep and scripts/fill_tables.py"
            )
        return result, measure


def sources() -> Sources:
    return Sources(find_table(DEFAULT_TABLE), published("adult"))


def name_of(cell: Cell) -> str:
    return f"{cell.source}-{cell.target}"


def title(cell: Cell) -> str:
    if cell.diagonal:
        return f"What the {cell.source} method does to {cell.target} itself"
    return f"What {cell.source} does to {cell.target}"


def page(sources: Sources, cell: Cell) -> str:
    """The page of one cell."""
    result, measure = sources.result(cell)
    parts = [
        [f"# {title(cell)}", "", MADE, "", *_measured(sources, cell, measure)],
        ["## On Adult", "", *_shown(cell, result, measure)],
        ["## Measure it", "", *_commands(cell)],
        ["## What the literature expects", "", *_literature(cell)],
        ["## Everything that is registered", "", *_printed(sources, cell)],
    ]
    return "\n".join(line for part in parts for line in [*part, ""]).rstrip() + "\n"


def _measured(sources: Sources, cell: Cell, measure: Measure) -> Iterator[str]:
    metric = sources.metric(measure.metric)
    yield f"**{metric.sentence}**"
    yield ""
    if cell.diagonal:
        yield "This cell is on the diagonal: it checks that the method does what it is for."
        yield ""
    if cell.note:
        yield f"{cell.note[0].upper()}{cell.note[1:]}."
        yield ""
    yield f"- Method: `{cell.intervention}`, {describe(sources.methods[cell.intervention])}."
    row = sources.table.rows[cell.source].intervention
    if row != cell.intervention:
        yield f"  It stands in for the row's `{row}`."
    yield f"- Compared: {COMPARED[cell.contrast].format(reference=cell.reference)}."
    against = measure.against
    sides = None if against is None else sources.table.of_sides(measure.metric, against)
    if sides is not None:
        yield f"  Both share {sides.shared}. They differ: {sides.differ}."
    yield from _metric(metric, measure, "two classes" if _differs(cell) else "")
    if _differs(cell):
        general = cell.measure(False)
        assert general is not None
        many = sources.metric(general.metric)
        yield from _metric(many, general, "more than two classes")
        yield f"  {many.sentence}"


def _differs(cell: Cell) -> bool:
    return cell.measure(True) != cell.measure(False)


def _metric(metric: Metric, measure: Measure, where: str) -> Iterator[str]:
    named = f" ({where})" if where else ""
    beside = "" if measure.against is None else f" against `{measure.against}`"
    yield (
        f"- Metric{named}: `{measure.metric}`{beside}, {metric.unit}, {metric.better} is better; "
        f"read on {measure.regime} models."
    )
    yield (
        f"  The smallest effect of interest is {measure.delta:g}, the largest acceptable "
        f"{measure.unacceptable:g}."
    )


def _shown(cell: Cell, result: Published, measure: Measure) -> Iterator[str]:
    yield f"![{caption(result, measure)}]({name_of(cell)}.svg)"
    yield ""
    yield (
        f"`{result.arm}`: **{result.text}** over {result.n} replicates, in units of harm (positive "
        f"is worse). Verdict: **{result.verdict}**. "
        f"{MEANING[result.kind].format(target=cell.target)}"
    )
    yield ""
    yield from (f"- {line[0].upper()}{line[1:]}" for line in result.beside)
    if result.beside:
        yield ""
    yield f"The numbers are those of {ADULT}, which this command makes:"
    yield ""
    yield "```bash\ntrustbench run +experiment=full_table dataset=adult\n```"
    yield ""
    yield "[How to read a table](../reading-a-table.md) explains verdicts and what qualifies them."


def _commands(cell: Cell) -> Iterator[str]:
    experiment = "full_table" if cell.diagonal else f"{cell.source}_vs_{cell.target}"
    yield "```bash"
    yield f"trustbench run +experiment={experiment}"
    yield f"trustbench cell {cell.source.letter} {cell.target.letter}"
    yield "```"
    yield ""
    yield "For [your own table](../own-data.md), add `dataset=table dataset.schema=FILE` to `run`."


def _literature(cell: Cell) -> Iterator[str]:
    yield f"Expected: **{cell.expected}**. It is registered beforehand and decides nothing."
    if cell.references:
        yield f"Sources: {', '.join(cell.references)}; see [References](../references.md)."


def _printed(sources: Sources, cell: Cell) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as empty:
        text = cell_of(sources.table, cell.source, cell.target, empty)
    command = f"trustbench cell {cell.source.letter} {cell.target.letter}"
    yield f"`{command}`, before anything is measured:"
    yield ""
    yield "```text\n" + text + "\n```"


def index(sources: Sources) -> str:
    """The page that leads to all cells."""
    names = {a: f"**{a.letter} {a}**" for a in Aspect}
    lines = [
        "# The 25 cells",
        "",
        MADE,
        "",
        "Rows are methods of one aspect, columns are what they do to another. Each cell leads to a",
        "page that says what it measures, what it shows on Adult, and how to measure it again.",
        f"The effects are those of {ADULT}, in units of harm: positive is worse.",
        "",
        "| method of | " + " | ".join(names[a] for a in Aspect) + " |",
        "|---" * (len(Aspect) + 1) + "|",
    ]
    for source in Aspect:
        cells = [sources.table.cell(source, target) for target in Aspect]
        links = [f"[{_short(sources.result(c)[0])}]({name_of(c)}.md)" for c in cells]
        lines.append(f"| {names[source]} | " + " | ".join(links) + " |")
    marks = sorted({f"{r.verdict[0]} {r.kind}" for r in sources.results.values()})
    lines += [
        "",
        f"{'; '.join(marks)}: [how to read a table](../reading-a-table.md) explains them.",
    ]
    return "\n".join(lines) + "\n"


def _short(result: Published) -> str:
    return f"{result.text.partition(' ')[0]} {result.verdict[0]}"


def pages(sources: Sources) -> dict[str, str]:
    """Every page by its file's name."""
    return {
        "index.md": index(sources),
        **{f"{name_of(c)}.md": page(sources, c) for c in sources.table.cells},
    }


def main() -> None:
    of = sources()
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages(of).items():
        (FOLDER / name).write_text(text)
    for cell in of.table.cells:
        result, measure = of.result(cell)
        path = FOLDER / f"{name_of(cell)}.svg"
        # Another version of matplotlib draws the same numbers in other bytes.
        if not path.exists() or described(path.read_text()) != caption(result, measure):
            path.write_text(picture(result, measure))


if __name__ == "__main__":
    main()
