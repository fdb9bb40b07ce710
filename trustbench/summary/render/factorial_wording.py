"""The wording of factorial effects: all subsets of some methods."""

from collections.abc import Iterator

from trustbench.summary.render.wording import bare, interval, number, sample
from trustbench.summary.stats.effects import FDR, Kind
from trustbench.summary.table.factorial import EXCESS
from trustbench.summary.table.results import FactorialResult

NOTE = (
    "Effects in units of harm, paired by replicate. An interaction above zero: together the "
    "methods harm more than apart. " + f"Judged by Benjamini-Hochberg, q = {FDR:zg}."
)


def rows(design: FactorialResult) -> Iterator[tuple[str, str, str, str, str, str]]:
    """(column, metric, contrast, methods, effect, verdict) of every contrast."""
    for c in design.contrasts:
        verdict = c.verdict.text if c.verdict else ""
        text = f"{number(c.effect.effect)} {interval(c.effect)} {sample(c.effect)}"
        yield c.target, bare(c.metric), c.kind, " x ".join(c.factors), text, verdict


def without_contrasts(design: FactorialResult) -> Iterator[str]:
    """One line for each reason why columns have no contrasts."""
    for reason in dict.fromkeys(design.absent.values()):
        columns = [t for t, why in design.absent.items() if why == reason]
        yield f"{', '.join(columns)}: {reason}"


def worse_than_the_sum(design: FactorialResult) -> Iterator[str]:
    """A sentence for each metric on which the whole combination is worse than its parts."""
    for c in design.contrasts:
        if c.kind == EXCESS and c.verdict and c.verdict.kind is Kind.HARM:
            yield (
                f"{c.target}: {' + '.join(c.factors)} together cost {number(c.effect.effect)} "
                f"{interval(c.effect)} {bare(c.metric)} more than the sum of their effects."
            )
