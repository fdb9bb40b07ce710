"""Records whose accuracy gap stands beside what random groups show."""

import numpy as np

from tests.unit.summary.builder import record
from tests.unit.summary.table_data import with_measurements
from trustbench.store.records import MeasurementRecord

GAP = "fairness/acc_gap"


def with_null(made, level, spread=0.01, metric=GAP):
    """The record, with the null of a metric at this level; `spread`: the luck of one grouping.

    The draws are those of `spread` times a fixed pattern, so that records share them up to scale.
    """
    evaluator, name = metric.split("/")
    own = made.evaluations[f"{evaluator}-s1"].measurements[name]
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
    named = own.model_copy(update={"null": f"{name}_permuted"})
    return with_measurements(made, evaluator, **{name: named, f"{name}_permuted": null})


def treated(method, rise, null_rise, spread=0.01, noise=0.01):
    """A treated record: how far its gap is above the baseline's, and how far its null is."""
    made = record(method, shift={GAP: rise}, noise={GAP: noise})
    return with_null(made, BASE + null_rise, spread)


BASE = 0.18
"""The null of the baseline's gap, which is METRICS[GAP][0] on average."""


def baseline():
    """The baseline with its null."""
    return with_null(record(), BASE)
