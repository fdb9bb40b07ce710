"""The power of a membership audit: the smallest detectable AUC above one half, from its spread."""

from collections.abc import Iterator, Sequence

from scipy.special import nctdtrinc, stdtrit

from trustbench.contracts.aspects import Aspect
from trustbench.store.records import Evaluation, MeasurementRecord, Record
from trustbench.summary.stats.effects import ALPHA, POWER, Effect
from trustbench.summary.stats.series import mean_of
from trustbench.summary.table.contrasts import Contrast, within
from trustbench.summary.table.grouping import Group
from trustbench.summary.table.results import CellResult

CHANCE = 0.5
UNIT = "AUC"
SHADOWS = "shadows"
"""The fact of an evaluation with the number of shadow models per target."""


def detectable(effect: Effect) -> float | None:
    """The smallest mean above one half whose 95 % interval excludes one half with power .8.

    `effect` is the mean of an audit with its standard error. If the true mean is z standard errors
    above one half, the t statistic is noncentral with z; z solves that its quantile of 1 - power is
    the critical value. 1 or more if no AUC is detectable; None if nothing varies.

    Reference: noncentral t, as in Cohen 1988, Statistical Power Analysis, section 2.
    """
    if effect.error == 0:
        return None
    df = effect.units - 1
    away = float(nctdtrinc(df, 1 - POWER, stdtrit(df, 1 - ALPHA / 2)))
    return CHANCE + away * effect.error


def power_text(audits: Sequence[tuple[Effect, int | None]]) -> str | None:
    """One sentence on audits (mean, shadow models): what the weakest of them can detect.

    >>> from trustbench.summary.stats.effects import paired_effect
    >>> import numpy as np
    >>> power_text([(paired_effect(np.array([0.5, 0.54, 0.5, 0.54])), 14)])
    'this audit would detect an AUC of 0.549 at 14 shadows (n = 4, power 0.8, level 0.05)'
    """
    if not audits:
        return None
    levels = [detectable(effect) for effect, _ in audits]
    n = min(effect.n for effect, _ in audits)
    models = [count for _, count in audits if count is not None]
    where = f" at {min(models)} shadows" if models else ""
    design = f"{where} (n = {n}, power {POWER:zg}, level {ALPHA:zg})"
    known = [level for level in levels if level is not None]
    if len(known) < len(levels):
        return f"what this audit would detect is unknown, as its values do not vary{design}"
    if max(known) >= 1:
        return f"this audit is too small to detect any AUC{design}"
    return f"this audit would detect an AUC of {max(known):z.3f}{design}"


def audits(record: Record) -> Iterator[tuple[str, str]]:
    """(metric, sentence) for each evaluator of a record that attacks with shadow models."""
    for evaluation in record.evaluations.values():
        found = _first(evaluation) if SHADOWS in evaluation.facts else None
        if found is None or len(found[1].values) < 2:
            continue
        said = power_text([(mean_of([found[1]]), shadows_of(evaluation))])
        if said is not None:
            yield f"{evaluation.evaluator.name}/{found[0]}", said


def audit_notes(group: Group, cells: Sequence[CellResult]) -> Iterator[str]:
    """A sentence for each AUC of shadow models in the privacy column, over all its arms."""
    measures = [c.measure for c in cells if c.target == Aspect.PRIVACY and c.measure]
    read = [(m.metric, m.regime) for m in measures if m.against is None]
    for metric, regime in dict.fromkeys(read):
        arms = [a for a in group.arms if a.regime == regime]
        key = group.evaluations.get(metric.split("/", 1)[0], "")
        found = []
        for arm in arms:
            contrast = within(arm, metric, CHANCE, group.evaluations)
            evaluation = arm.first.evaluations.get(key)
            if evaluation is None or SHADOWS not in evaluation.facts:
                continue
            if isinstance(contrast, Contrast) and contrast.unit == UNIT:
                found.append((contrast.effect, shadows_of(evaluation)))
        said = power_text(found)
        if said is not None:
            yield f"{metric} ({regime}), in the weakest arm: {said}."


def shadows_of(evaluation: Evaluation) -> int | None:
    """The number of shadow models per target; None without any, or if it is not declared."""
    count = evaluation.facts.get(SHADOWS)
    return count if isinstance(count, int) else None


def _first(evaluation: Evaluation) -> tuple[str, MeasurementRecord] | None:
    """An evaluator's first AUC, its primary one."""
    return next(((k, m) for k, m in evaluation.measurements.items() if m.unit == UNIT), None)
