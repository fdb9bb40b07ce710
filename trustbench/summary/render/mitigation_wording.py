"""The wording of mitigations: which method removes which harm, and at what cost."""

from trustbench.summary.render.wording import bare, interval, number
from trustbench.summary.stats.effects import Kind
from trustbench.summary.table.results import MitigationResult

NOTE = (
    "Harm before and after, both against what the cell is compared with; the change is paired by "
    "replicate. Costs: what the mitigating arm does to the other columns beyond the harmful one."
)
HEAD = ("cell", "harm of", "with", "before", "after", "change", "answer", "costs")


def row(m: MitigationResult) -> tuple[str, ...]:
    """The values under HEAD."""
    name = f"{m.source.letter}→{m.target.letter} {bare(m.metric)}"
    if m.before is None or m.after is None or m.change is None:
        return name, m.harmful, m.mitigating, "", "", "", m.reason or "", ""
    effects = (f"{number(e.effect)} {interval(e)}" for e in (m.before, m.after, m.change))
    return name, m.harmful, m.mitigating, *effects, m.answer, _costs(m)


def _costs(m: MitigationResult) -> str:
    """The material costs; columns without a number are named."""
    material = [
        f"{t} {number(e.effect.effect)} {interval(e.effect)}"
        for t, e in m.costs.items()
        if e.effect and e.verdict and e.verdict.kind in (Kind.HARM, Kind.BENEFIT)
    ]
    known = ", ".join(material) or ("none material" if m.costs else "")
    unknown = f"not known for {', '.join(m.unpriced)}" if m.unpriced else ""
    return "; ".join(filter(None, [known, unknown]))
