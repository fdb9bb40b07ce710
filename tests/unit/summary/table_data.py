"""Tables of fake records, and records with something taken out or put in."""

import numpy as np

from tests.unit.summary.builder import CRESSWELL, method
from trustbench.contracts.aspects import Aspect
from trustbench.summary.table.table import summarize

F, P, R, E, U = Aspect
DP3, DP8 = method("dpsgd", epsilon=3.0), method("dpsgd", epsilon=8.0)
PGD = method("pgd_at", epsilon=0.1)


def one(records, **kwargs):
    [result] = summarize(records, CRESSWELL, **kwargs)
    return result


def values(rec, metric):
    evaluator, name = metric.split("/")
    return np.array(rec.evaluations[f"{evaluator}-s1"].measurements[name].values)


def without(rec, metric, reason=None):
    """The record without a metric; `missing` gives the reason, if any."""
    evaluator, name = metric.split("/")
    key = f"{evaluator}-s1"
    old = rec.evaluations[key]
    kept = {k: m for k, m in old.measurements.items() if k != name}
    missing = {name: reason} if reason else {}
    new = old.model_copy(update={"measurements": kept, "missing": missing})
    return rec.model_copy(update={"evaluations": {**rec.evaluations, key: new}})


def with_evaluation(rec, evaluator, **update):
    key = f"{evaluator}-s1"
    new = rec.evaluations[key].model_copy(update=update)
    return rec.model_copy(update={"evaluations": {**rec.evaluations, key: new}})


def with_measurements(rec, evaluator, **measurements):
    """The record with these measurements of an evaluator, beside or in place of its own."""
    own = rec.evaluations[f"{evaluator}-s1"].measurements
    return with_evaluation(rec, evaluator, measurements={**own, **measurements})


def with_strongest(rec):
    """The record with the attack that the shipped table reads; its values are those of LiRA."""
    lira = rec.evaluations["privacy-s1"].measurements["lira_auc"]
    return with_measurements(rec, "privacy", strongest_auc=lira)
