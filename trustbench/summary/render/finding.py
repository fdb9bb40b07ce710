"""What a table found, in sentences made from its cells; they repeat numbers and judge nothing."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from trustbench.contracts.aspects import Aspect
from trustbench.summary.render import marks
from trustbench.summary.render import wording as w
from trustbench.summary.stats.effects import Effect, Kind
from trustbench.summary.table.results import UTILITY, CellResult, TableResult

CLAIMS = {Kind.BENEFIT: "benefits", Kind.HARM: "harms"}
SMALL = (Kind.NO_MATERIAL, Kind.IMMATERIAL)
MANY = 2
"""With more methods than this a count of verdicts comes first."""


def findings(result: TableResult) -> list[str]:
    """One entry per method that was measured, in the order of the rows.

    Every number stands with its interval and n, as in the cell that it comes from.
    """
    methods = _methods(result)
    said = [" ".join(_about(arm, cells)) for arm, cells in methods.items()]
    return [*([_counts(methods.values())] if len(methods) > MANY else []), *said]


def _methods(result: TableResult) -> dict[str, list[CellResult]]:
    """Arm -> its cells with a number; a cell that another method measures is that method's."""
    found: dict[str, list[CellResult]] = {}
    for source in Aspect:
        for cell in w.row_cells(result, source):
            if cell.estimate.effect is not None:
                found.setdefault(cell.estimate.arm, []).append(cell)
    return found


def _counts(methods: Iterable[Sequence[CellResult]]) -> str:
    cells = [c for of_one in methods for c in of_one if c.target not in (c.source, UTILITY)]
    kinds = Counter(c.verdict.kind for c in cells)
    parts = [f"{kinds[kind]} {kind.value}" for kind in Kind if kinds[kind]]
    return f"Of {len(cells)} measured effects on another aspect: {', '.join(parts)}."


def _about(arm: str, cells: Sequence[CellResult]) -> Iterator[str]:
    judged: dict[Kind, list[CellResult]] = {}
    for cell in cells:
        judged.setdefault(cell.verdict.kind, []).append(cell)
    claims = [
        f"{verb} {_and([_claim(c) for c in judged[kind]])}"
        for kind, verb in CLAIMS.items()
        if kind in judged
    ]
    small = [c.target for kind in SMALL for c in judged.get(kind, [])]
    unclear = [c.target for c in judged.get(Kind.INCONCLUSIVE, [])]
    unjudged = [c for c in cells if c.verdict.kind not in (*CLAIMS, *SMALL, Kind.INCONCLUSIVE)]
    rest = [f"has no material effect on {_and(small)}"] if small else []
    rest += [f"has an unclear effect on {_and(unclear)}"] if unclear else []
    rest += [f"has an effect on {c.target} that is {c.verdict.text}" for c in unjudged]
    yield f"{arm} ({', '.join(_scope(cells))}) {_and(claims or rest)}."
    if claims and rest:
        yield f"It {_and(rest)}."
    yield from _equal_accuracy(judged.get(Kind.HARM, []))


def _scope(cells: Sequence[CellResult]) -> Iterator[str]:
    """The regimes, the numbers of replicates, and the warnings with the targets they are about."""
    regimes = dict.fromkeys(c.estimate.regime for c in cells if c.estimate.regime)
    if regimes:
        yield _and([*regimes])
    yield _and([*dict.fromkeys(w.sample(c.estimate.effect) for c in cells if c.estimate.effect)])
    for mark in (marks.UNRELIABLE, marks.BELOW_FLOOR):
        warned = [c.target for c in cells if mark in marks.warnings(c)]
        if warned:
            yield mark if len(warned) == len(cells) else f"{mark} on {_and(warned)}"


def _claim(cell: CellResult) -> str:
    """A target with its metric, the two means, and the effect with its interval."""
    e = cell.estimate
    assert e.effect is not None and e.metric is not None
    means = ""
    if e.treated_mean is not None and e.reference_mean is not None:
        means = f" {w.level(e.reference_mean)} → {w.level(e.treated_mean)},"
    effect = f"{w.number(e.effect.effect)} {w.interval(e.effect)}"
    return f"{cell.target} ({w.bare(e.metric)}{means} {effect})"


def _equal_accuracy(harmed: Sequence[CellResult]) -> Iterator[str]:
    """What remains of harm beyond a baseline of equal accuracy, where that was measured.

    Utility is what the baseline is matched on, so it says nothing there.
    """
    found: dict[str, list[str]] = {}
    for cell in harmed:
        if cell.beyond_matched is not None and cell.target != UTILITY:
            e = cell.beyond_matched
            shown = f"{cell.target} ({w.number(e.effect)} {w.interval(e)})"
            found.setdefault(_remaining(cell, e), []).append(shown)
    if found:
        yield f"At equal accuracy: {'; '.join(f'{k} {_and(v)}' for k, v in found.items())}."


def _remaining(cell: CellResult, effect: Effect) -> str:
    assert cell.measure is not None
    if effect.low > cell.measure.delta:
        return "still harms"
    if max(-effect.low, effect.high) < cell.measure.delta:
        return "no material effect on"
    return "benefits" if effect.high < 0 else "unclear effect on"


def _and(parts: Sequence[str]) -> str:
    """A list as English writes it.

    >>> _and(["a"]), _and(["a", "b"]), _and(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(p for p in (", ".join(parts[:-1]), parts[-1]) if p)
