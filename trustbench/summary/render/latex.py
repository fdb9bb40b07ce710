r"""The table for a paper: a booktabs `tabular`; needs \usepackage{booktabs}."""

from collections.abc import Iterator, Sequence

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import marks, row_method
from trustbench.summary.render import wording as w
from trustbench.summary.render.escaping import one_line
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.results import CellResult, TableResult

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "≈": r"$\approx$",
    "→": r"$\to$",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}
SYMBOLS = {
    Kind.HARM: r"$\blacktriangle$",
    Kind.BENEFIT: r"$\blacktriangledown$",
    Kind.NO_MATERIAL: "$=$",
    Kind.IMMATERIAL: r"$\approx$",
    Kind.INCONCLUSIVE: "?",
    Kind.NOT_APPLICABLE: "--",
    Kind.FAILED: "!",
    Kind.NOT_MEASURED: r"$\cdot$",
}


def escape(text: str) -> str:
    r"""Escapes text so that LaTeX prints it literally, on one line.

    >>> print(escape("50 % of a_b"))
    50 \% of a\_b
    """
    escaped = "".join(_SPECIAL.get(c, c) for c in one_line(text))
    return escaped.replace("--", "-{}-")  # LaTeX would join them to a dash


def text(results: Sequence[TableResult]) -> str:
    """Every table as a LaTeX `table*`."""
    return "\n".join("\n".join(_float(r)) for r in results) + "\n"


def _float(result: TableResult) -> Iterator[str]:
    heads = w.column_heads(result)
    yield r"% needs \usepackage{booktabs,amssymb}"
    yield r"\begin{table*}"
    yield r"\centering\footnotesize\setlength{\tabcolsep}{3pt}"
    yield rf"\caption{{{escape(result.title)}. {escape(w.caption(result))}.{_notes(result)}}}"
    yield r"\begin{tabular}{l" + "c" * len(heads) + "}"
    yield r"\toprule"
    for i, start in enumerate(("method", "", "")):
        yield " & ".join([start, *(escape(h[i]) for h in heads)]) + r" \\"
    for source in Aspect:
        yield r"\midrule"
        arm = w.row_arm(result, source)
        yield from _row([f"{source.letter} {source}", arm], w.row_cells(result, source))
    yield r"\midrule"
    yield from _row(["reseed control"], result.reseed)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    yield r"\end{table*}"


def _row(label: Sequence[str], cells: Sequence[CellResult]) -> Iterator[str]:
    """A row of the table as the three lines of its cells."""
    lines = [_cell(c) for c in cells]
    names = [escape(x) for x in label] + ["", ""]
    for i in range(max(map(len, lines))):
        own = [line[i] if i < len(line) else "" for line in lines]
        start = names[i] if i < len(names) else ""
        yield " & ".join([start, *own]) + r" \\"


def _cell(cell: CellResult) -> list[str]:
    kind, detail = cell.verdict.kind, escape(cell.verdict.detail or "")
    verdict = f"{SYMBOLS[kind]} {kind}"
    if kind is Kind.FAILED:
        verdict += f" ({detail})"
    if kind is Kind.INCONCLUSIVE:
        verdict = f"{SYMBOLS[kind]} {escape(w.open_question(cell.verdict))}"
    method = [escape(by)] if (by := row_method.by(cell)) else []
    effect = cell.estimate.effect
    if effect is None:
        return [*method, verdict, *_row_own(cell)]
    out = [
        *method,
        f"${w.number(effect.effect)}$, $n={effect.n}$",
        f"$[{w.number(effect.low)}, {w.number(effect.high)}]$",
        verdict,
    ]
    out += [warning.removeprefix("! ") for warning in marks.warnings(cell)]
    if cell.beyond_matched is not None:
        beyond = cell.beyond_matched
        out.append(f"beyond ${w.number(beyond.effect)}$")
        out.append(f"$[{w.number(beyond.low)}, {w.number(beyond.high)}]$")
    return [*out, *_row_own(cell)]


def _row_own(cell: CellResult) -> list[str]:
    """What the row's own method does, below a cell that is measured by another one."""
    if cell.own is None or cell.own.effect is None:
        return []
    effect = cell.own.effect
    ends = f"$[{w.number(effect.low)}, {w.number(effect.high)}]$"
    return [f"row ${w.number(effect.effect)}$", ends]


def _notes(result: TableResult) -> str:
    """What cells measure instead of their column's metric, why others have no number, DP noise."""
    own = [f"{c.name}: {metric}" for c in result.cells if (metric := w.own_metric(result, c))]
    absent = [f"{', '.join(cells)}: {reason}" for reason, cells in w.footnotes(result)]
    unreliable = [f"{c.name} is unreliable: {c.unreliable}" for c in result.cells if c.unreliable]
    below = [
        f"{c.name}: {c.estimate.arm} is below the utility floor, {c.estimate.below_floor}"
        for c in (*result.cells, *result.utility)
        if c.estimate.below_floor
    ]
    rows = [f"{c.name}: {row}" for c in result.cells if (row := row_method.line(c))]
    settings = [n for some in result.settings.values() for n in some]
    noise = [n.rstrip(".") for n in (*settings, *result.noise)]
    said = [*own, *rows, *unreliable, *below, *absent, *noise]
    return "".join(f" {escape(n)}." for n in said)
