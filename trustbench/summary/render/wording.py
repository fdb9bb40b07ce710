"""The wording of numbers, verdicts and captions in every rendering."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from trustbench.contracts.aspects import Aspect
from trustbench.contracts.guarantees import without_claims
from trustbench.store.labels import show, shown
from trustbench.store.records import Scalar
from trustbench.summary.stats.effects import ALPHA, FDR, Effect, Kind, Verdict
from trustbench.summary.table.results import (
    UTILITY,
    CellResult,
    Estimate,
    TableResult,
)
from trustbench.summary.table.risk import Interval, Risk

TARGETS = (*(a.value for a in Aspect), UTILITY)


class Sign(NamedTuple):
    """A verdict in short; the symbol works without colour."""

    symbol: str
    short: str
    style: str


SIGNS = {
    Kind.HARM: Sign("▲", "harm", "bold red"),
    Kind.BENEFIT: Sign("▼", "benefit", "bold green"),
    Kind.NO_MATERIAL: Sign("=", "no effect", "default"),
    Kind.IMMATERIAL: Sign("≈", "immaterial", "default"),
    Kind.INCONCLUSIVE: Sign("?", "unclear", "yellow"),
    Kind.NOT_APPLICABLE: Sign("-", "n/a", "dim"),
    Kind.FAILED: Sign("!", "failed", "bold magenta"),
    Kind.NOT_MEASURED: Sign("·", "not measured", "dim"),
}


LEGEND_MORE = (
    "exp.: the sign registered beforehand (± mixed), which decides nothing; "
    "beyond: the effect beyond a baseline of equal accuracy"
)
EXPECTED = {"harm": "▲", "benefit": "▼", "mixed": "±", "none": "="}


def number(value: float) -> str:
    """A signed number; three decimals, fewer for large ones, never minus zero.

    >>> number(0.5462), number(-0.0001), number(123.4)
    ('+0.546', '+0.000', '+123.4')
    """
    digits = 3 if abs(value) < 10 else 1
    return f"{value:+z.{digits}f}"


def level(value: float) -> str:
    """A level of a metric, whose sign is shown only if negative.

    >>> level(0.5462), level(-0.0001)
    ('0.546', '0.000')
    """
    return f"{value:z.3f}"


def interval(effect: Effect) -> str:
    """The 95 % interval.

    >>> from trustbench.summary.stats.effects import Effect
    >>> interval(Effect(0.5, 0.25, 0.75, 16, 0.1, 1.0, 0.0, 0.3, 0.7))
    '[+0.250, +0.750]'
    """
    return f"[{number(effect.low)}, {number(effect.high)}]"


def estimate_text(estimate: Estimate) -> str:
    """An effect with interval and n in one line, or its verdict."""
    if estimate.effect is None:
        return estimate.verdict.text if estimate.verdict else "not measured"
    return f"{number(estimate.effect.effect)} {interval(estimate.effect)} {sample(estimate.effect)}"


def beside_chance(mean: float | None) -> str:
    """What random groups show, to follow a metric over groups; empty for all others.

    >>> beside_chance(0.5912), beside_chance(None)
    (' (random groups of these sizes: 0.591)', '')
    """
    return "" if mean is None else f" (random groups of these sizes: {level(mean)})"


def less_chance(estimate: Estimate) -> str | None:
    """The effect on a metric over groups minus that of random groups; None for all others."""
    beyond = estimate.beyond_chance
    if beyond is None:
        return None
    return f"less random groups {number(beyond.effect)} {interval(beyond)}"


def sample(effect: Effect) -> str:
    """The number of replicates behind an effect, and of pools if there are several.

    >>> from trustbench.summary.stats.effects import Effect
    >>> sample(Effect(0.5, 0.25, 0.75, 80, 0.1, 1.0, 0.0, 0.3, 0.7, pools=5))
    'n=80 in 5 pools'
    """
    return f"n={effect.n}" + (f" in {effect.pools} pools" if effect.pools > 1 else "")


def short(verdict: Verdict) -> str:
    """Symbol and short word, with a count or a needed n if there is one."""
    sign = SIGNS[verdict.kind]
    if verdict.kind is Kind.INCONCLUSIVE:
        return f"{sign.symbol} {open_question(verdict)}"
    if verdict.kind is Kind.FAILED:
        return f"{sign.symbol} {sign.short} {(verdict.detail or '').replace(' of ', '/')}"
    return f"{sign.symbol} {sign.short}"


def open_question(verdict: Verdict) -> str:
    """Why a verdict is inconclusive, in a few words.

    >>> open_question(Verdict(Kind.INCONCLUSIVE, "needs n = 34", needs="n = 34"))
    'needs n=34'
    """
    if verdict.needs is not None:
        return f"needs {verdict.needs.replace(' = ', '=')}"
    return "within chance" if verdict.by_chance else SIGNS[verdict.kind].short


def legend() -> str:
    """The meaning of the symbols, in the words of the verdicts."""
    kinds = [k for k, s in SIGNS.items() if s.short != k.value]
    return "; ".join(f"{SIGNS[k].symbol} {SIGNS[k].short}: {k}" for k in kinds)


def caption(result: TableResult) -> str:
    """How the numbers were made."""
    seeds = f"{len(result.seeds)} seed{'s' if len(result.seeds) > 1 else ''}"
    return (
        f"table {result.table}; {result.replicates} replicates x {seeds}; effects in units of "
        f"harm (positive is worse); {100 * (1 - ALPHA):zg} % paired t intervals; Holm over "
        f"{result.family} registered cells"
    )


def column_heads(result: TableResult) -> list[tuple[str, str, str]]:
    """(letter and aspect, metric, regime) of each column, utility last."""
    heads: list[tuple[str, str, str]] = []
    for target, control in zip(TARGETS, result.reseed, strict=True):
        letter = "" if target == UTILITY else f"{Aspect(target).letter} "
        measure = control.measure
        assert measure is not None
        metrics = [measure.metric]
        if target == UTILITY:
            metrics += [s.metric for s in measure.secondary]
        heads.append((f"{letter}{target}", " / ".join(map(bare, metrics)), measure.regime))
    return heads


def bare(metric: str) -> str:
    """A metric without its evaluator.

    >>> bare("fairness/acc_gap")
    'acc_gap'
    """
    return metric.split("/", 1)[1]


def own_metric(result: TableResult, cell: CellResult) -> str | None:
    """What a cell measures if it is not its column's metric."""
    column = result.reseed[TARGETS.index(cell.target)].measure
    if cell.measure is None or (column and cell.measure.metric == column.metric):
        return None
    return contrast_name(cell.measure.metric, cell.measure.against, cell.estimate.reference)


def contrast_name(
    metric: str, against: str | float | None = None, reference: str | None = None
) -> str:
    """A metric, and its reference.

    >>> contrast_name("set_size_gap/gap_aps", "set_size_gap/gap_aps_permuted")
    'set_size_gap/gap_aps - gap_aps_permuted'
    >>> contrast_name("released_sets/size_aps", reference="conformal")
    'released_sets/size_aps - conformal'
    """
    if isinstance(against, str):
        return f"{metric} - {bare(against)}"
    null = show(against) if against is not None else reference
    return metric if null is None else f"{metric} - {null}"


def measured_as(e: Estimate) -> str:
    """How an estimate was measured: its metric, its null, settings that are not registered.

    >>> e = Estimate("conformal", {}, "tuned", "set_attack/size_aps", settings={"epsilon": 0.2})
    >>> measured_as(e)
    'set_attack/size_aps (epsilon=0.2)'
    """
    return contrast_name(str(e.metric), e.against, e.reference) + at_settings(e)


def at_settings(e: Estimate) -> str:
    """The evaluator's settings that are not registered, in parentheses; usually empty."""
    return f" ({shown(e.settings)})" if e.settings else ""


def row_cells(result: TableResult, source: Aspect) -> list[CellResult]:
    """A row's five cells and its utility, in the order of the columns."""
    return [result.cell(source, target) for target in TARGETS]


def row_arm(result: TableResult, source: Aspect) -> str:
    """The arm of a row: its label, or the registered intervention."""
    cells = row_cells(result, source)
    own = [c for c in cells if not c.borrowed]
    measured = (c.estimate.arm for c in own if c.estimate.records)
    return next(measured, own[0].intervention)  # utility is always the row's own


def footnotes(result: TableResult) -> list[tuple[str, list[str]]]:
    """(reason, the cells without a number or a claim for it), in the table's order."""
    found: dict[str, list[str]] = {}
    for cell in (*result.cells, *result.utility, *result.reseed):
        said = cell.verdict.sentence
        if cell.verdict.by_chance:
            said = f"{said}: {less_chance(cell.estimate)}"
        if cell.estimate.reason or cell.verdict.by_chance:
            found.setdefault(said, []).append(cell.name)
    return list(found.items())


def registered_notes(result: TableResult) -> list[str]:
    """The registered notes of the table, for every cell with a number."""
    return [
        f"{c.name}: {c.registered.note}."
        for c in result.cells
        if c.registered and c.registered.note and c.estimate.effect
    ]


def facts_text(facts: Mapping[str, Scalar]) -> str:
    """Declared facts in one line."""
    return ", ".join(f"{k}={show(v)}" for k, v in facts.items())


def declared(result: TableResult) -> Iterator[str]:
    """What the arms declare, and their privacy claims, each with its scope."""
    for arm in result.arms:
        facts = without_claims(arm.facts)
        if facts:
            yield f"Declared by {arm.label}: {facts_text(facts)}"
        yield from (f"Privacy of {arm.label}: {line}" for line in arm.claims)


RISK_NOTE = (
    "Likelihood: how probable a difference above the smallest effect of interest is, averaged "
    "over conditions (dataset, model, regime, dose). Severity: the mean of such differences as a "
    "share of the unacceptable change. Of a metric over groups, a difference counts as far as "
    "random groups do not show it. 95 % intervals by bootstrap over conditions and replicates."
)
RISK_HEAD = ("cell", "likelihood", "severity", "risk", "band", "conditions")


def share(interval: Interval) -> str:
    """A number in [0, 1] with its interval.

    >>> share(Interval(0.25, 0.125, 0.5))
    '0.25 [0.12, 0.50]'
    """
    return f"{interval.value:z.2f} [{interval.low:z.2f}, {interval.high:z.2f}]"


def risk_row(risk: Risk) -> tuple[str, ...]:
    """The values under RISK_HEAD."""
    factors = (share(i) for i in (risk.likelihood, risk.severity, risk.risk))
    name = f"{risk.source.letter}→{risk.target.letter}"
    return name, *factors, str(risk.band), str(len(risk.conditions))


def exploratory_note() -> str:
    """How the exploratory parts are judged."""
    return f"exploratory: Benjamini-Hochberg over every effect in the records, q = {FDR:zg}"
