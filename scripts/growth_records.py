"""Synthetic records for timing: one table with as many treated arms as wanted, of five methods."""

import numpy as np

from trustbench.store.records import (
    ArmSpec,
    Evaluation,
    MeasurementRecord,
    PluginSpec,
    ProblemSpec,
    Record,
)

ASPECTS = {
    "balanced_weights": "fairness",
    "dpsgd": "privacy",
    "pgd_at": "robustness",
    "lime": "explainability",
    "conformal": "uncertainty",
}
# metric -> mean, standard deviation over replicates, whether higher is better, unit
METRICS = {
    "utility/accuracy": (0.95, 0.01, True, "fraction"),
    "utility/balanced_accuracy": (0.93, 0.01, True, "fraction"),
    "utility/member_accuracy": (0.99, 0.004, True, "fraction"),
    "fairness/acc_gap": (0.22, 0.04, False, "fraction"),
    "fairness/eo_gap": (0.12, 0.03, False, "fraction"),
    "fairness/worst_group_acc": (0.70, 0.04, True, "fraction"),
    "privacy/lira_auc": (0.66, 0.01, False, "AUC"),
    "privacy/loss_auc": (0.55, 0.01, False, "AUC"),
    "robustness/racc": (0.53, 0.03, True, "fraction"),
    "explainability/lime_r2": (0.75, 0.02, True, "r2"),
    "uncertainty/ece": (0.025, 0.004, False, "fraction"),
}
CLASSES = tuple(map(str, range(10)))
REPLICATES = 16


def records(count):
    """`count` finished records: a baseline, and arms that differ in the dose of one method."""
    methods = list(ASPECTS.items())
    rng = np.random.default_rng(0)
    return [
        _record(k, [_method(*methods[k % len(methods)], k)] if k else [], rng) for k in range(count)
    ]


def _method(name, aspect, k):
    dose = {"strength": 1.0 + k}
    return PluginSpec(name=name, params=dose, aspect=aspect, dose=dose)


def _record(k, interventions, rng):
    return Record(
        id=f"{k:016x}",
        fit=f"fit-{k}",
        arm=ArmSpec(
            dataset=PluginSpec(name="digits", params={}),
            model=PluginSpec(name="mlp", params={"hidden": 64}),
            training={"regime": "tuned", "epochs": 40, "lr": 0.1},
            interventions=interventions,
            control="none",
            protocol={"replicates": REPLICATES, "inclusion": "half"},
            seed=0,
            engine="stacked",
        ),
        status="ok",
        replicates=REPLICATES,
        facts={"engine": "stacked"},
        problem=ProblemSpec(
            fingerprint="digits",
            sizes={"train": 900, "test": 500},
            classes=list(CLASSES),
            groups=list(CLASSES),
            group_name="class",
            group_sizes=dict.fromkeys(CLASSES, 50),
            card={},
        ),
        evaluations=_evaluations(rng),
    )


def _evaluations(rng):
    found = {}
    for metric, (mean, sd, better, unit) in METRICS.items():
        evaluator, name = metric.split("/")
        found.setdefault(evaluator, {})[name] = MeasurementRecord(
            values=(mean + sd * rng.normal(size=REPLICATES)).tolist(),
            higher_is_better=better,
            unit=unit,
            n=500,
            lower=0.0,
            upper=1.0,
        )
    return {
        f"{evaluator}-s1": Evaluation(
            evaluator=PluginSpec(name=evaluator, params={"setting": "s1"}),
            status="ok",
            measurements=measurements,
        )
        for evaluator, measurements in found.items()
    }
