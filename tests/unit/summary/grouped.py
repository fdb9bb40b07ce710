"""Records whose accuracy gap stands beside what random groups show."""

import numpy as np

from tests.unit.summary.builder import record
from trustbench.records import MeasurementRecord

GAP = "fairness/acc_gap"


def with_null(made, level, spread=0.01, metric=GAP):
    """The record, with the null of a metric at this level; `spread`: the luck of one grouping.

    The draws are those of `spread` times a fixed pattern, so that records share them up to scale.
    """
    evaluator, name = metric.split("/")
    key = f"{evaluator}-s1"
    evaluation = made.evaluations[key]
    own = evaluation.measurements[name]
    pattern = np.random.default_rng(3).normal(size=50)
    permuted = level + spread * (pattern - pattern.mean()) / pattern.std(ddof=1)
    jitter = 0.002 * np.random.default_rng(4).normal(size=len(own.values))
    null = MeasurementRecord(
        values=(level + jitter - jitter.mean()).tolist(),
        higher_is_better=own.higher_is_better,
        unit=own.unit,
        n=own.n,
        diagnostic=True,
        common_sd=float(permuted.std(ddof=1)),
        permuted=permuted.tolist(),
    )
    found = {
        **evaluation.measurements,
        name: own.model_copy(update={"null": f"{name}_permuted"}),
        f"{name}_permuted": null,
    }
    changed = evaluation.model_copy(update={"measurements": found})
    return made.model_copy(update={"evaluations": {**made.evaluations, key: changed}})


def treated(method, rise, null_rise, spread=0.01, noise=0.01, **kw):
    """A treated record: how far its gap is above the baseline's, and how far its null is."""
    shift = {GAP: rise, **kw.pop("shift", {})}
    made = record(method, shift=shift, noise={GAP: noise}, **kw)
    return with_null(made, BASE + null_rise, spread)


BASE = 0.18
"""The null of the baseline's gap, which is METRICS[GAP][0] on average."""


def baseline(**kw):
    """The baseline with its null; a treated record with the same spread shares its luck."""
    return with_null(record(**kw), BASE, kw.pop("spread", 0.0) or 0.01)
