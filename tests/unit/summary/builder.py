"""Fake records with known effects, for tests of the summary."""

from pathlib import Path

import numpy as np

from trustbench.contracts.guarantees import Guarantee
from trustbench.store.identity import arm_content, digest, evaluation_id
from trustbench.store.records import (
    ArmSpec,
    Evaluation,
    MeasurementRecord,
    PluginSpec,
    ProblemSpec,
    Record,
)
from trustbench.summary.table.registry import load_table

TABLE_FILE = Path(__file__).with_name("cresswell.yaml")
CRESSWELL = load_table(TABLE_FILE)
R = 16
DIGITS = tuple(map(str, range(10)))
TRAINING = {
    "tuned": {"regime": "tuned", "epochs": 40, "lr": 0.1},
    "memorising": {"regime": "memorising", "epochs": 200, "lr": 0.1},
}
# metric -> (baseline mean, sd over replicates, higher is better, unit, rows)
METRICS = {
    "utility/accuracy": (0.95, 0.01, True, "fraction", 500),
    "utility/balanced_accuracy": (0.93, 0.01, True, "fraction", 500),
    "fairness/acc_gap": (0.22, 0.04, False, "fraction", 500),
    "fairness/eo_gap": (0.12, 0.03, False, "fraction", 500),
    "fairness/worst_group_acc": (0.70, 0.04, True, "fraction", 500),
    "privacy/lira_auc": (0.66, 0.01, False, "AUC", 700),
    "privacy/loss_auc": (0.55, 0.01, False, "AUC", 700),
    "privacy/shuffled_auc": (0.50, 0.01, False, "AUC", 700),
    "robustness/racc": (0.53, 0.03, True, "fraction", 300),
    "explainability/lime_r2": (0.75, 0.02, True, "r2", 60),
    "uncertainty/ece": (0.025, 0.004, False, "fraction", 500),
}
# what the utility floor reads
FLOOR = {
    "utility/member_accuracy": (0.99, 0.004, True, "fraction", 450),
    "utility/logistic_accuracy": (0.93, 0.005, True, "fraction", 500),
    "utility/logistic_balanced_accuracy": (0.92, 0.005, True, "fraction", 500),
    "utility/logistic_member_accuracy": (0.98, 0.004, True, "fraction", 450),
}
DIAGNOSTIC = {"privacy/shuffled_auc", *FLOOR}
CHANNELS = {
    "lime": {
        "fidelity_gap/gap": (0.16, 0.02, False, "r2", 240),
        "fidelity_gap/gap_permuted": (0.03, 0.01, False, "r2", 240),
        "explanation_attack/overlap_attack": (0.89, 0.01, True, "fraction", 100),
        "explanation_attack/overlap_random": (0.97, 0.01, True, "fraction", 100),
    },
    "conformal": {
        "set_size_gap/gap_aps": (0.21, 0.02, False, "labels", 500),
        "set_size_gap/gap_aps_permuted": (0.05, 0.01, False, "labels", 500),
        "set_size_gap/gap_lac": (0.16, 0.02, False, "labels", 500),
        "set_size_gap/gap_lac_permuted": (0.05, 0.01, False, "labels", 500),
        "set_attack/coverage_attacked_aps": (0.66, 0.02, True, "fraction", 300),
        "set_attack/coverage_clean_aps": (0.90, 0.01, True, "fraction", 300),
    },
}
ASPECTS = {
    "balanced_weights": "fairness",
    "dpsgd": "privacy",
    "pgd_at": "robustness",
    "lime": "explainability",
    "conformal": "uncertainty",
}
NO_CHANNEL = "needs released explanations or sets"


def method(name, version=1, **params):
    """An intervention as a record stores it; every parameter is a dose."""
    return PluginSpec(
        name=name, params=params, version=version, aspect=ASPECTS.get(name), dose=params
    )


def claimed(facts):
    """The ledger's side of the facts of a private arm."""
    if "epsilon" not in facts:
        return []
    return [
        Guarantee(
            rows="members",
            neighbours="add or remove",
            mechanisms=["dpsgd (300 noisy sums)"],
            assumed_public=["the number of members"],
            not_covered=["choices made by looking at results (tuning)"],
            epsilon=facts["epsilon"],
            delta=facts.get("delta", 0.001),
            accountant=facts.get("accountant", "prv"),
        )
    ]


def record(
    *interventions,
    regime="tuned",
    control="none",
    seed=0,
    shift=None,
    noise=None,
    replicates=R,
    dataset="digits",
    dataset_params=None,
    classes=DIGITS,
    engine="stacked",
    training=None,
    facts=None,
    status="ok",
    reason=None,
    drop=(),
    settings="s1",
    fingerprint=None,
    ident=None,
):
    """A record whose metrics are the baseline's plus `shift` plus `noise` over replicates.

    Replicate r of a metric shares its draw with replicate r of every other arm of the seed;
    `noise` {metric: sd} is the arm's own.
    """
    names = "+".join(i.name + "".join(str(v) for v in i.params.values()) for i in interventions)
    ident = ident or f"{dataset}-{names or 'none'}-{control}-{regime}-{seed}"
    evaluations = {}
    if status == "ok":
        evaluations = _evaluations(
            interventions, regime, seed, shift or {}, noise or {}, replicates, settings, ident
        )
        for gone in drop:
            evaluations = {k: e for k, e in evaluations.items() if e.evaluator.name != gone}
    deploys = all(i.name in CHANNELS for i in interventions)
    return Record(
        id=ident,
        fit=f"fit-{regime}-{seed}-{control}" if deploys else f"fit-{ident}",
        arm=ArmSpec(
            dataset=PluginSpec(name=dataset, params=dataset_params or {}),
            model=PluginSpec(name="mlp", params={"hidden": 64}),
            training=training or TRAINING[regime],
            interventions=list(interventions),
            control=control,
            protocol={"replicates": replicates, "inclusion": "half"},
            seed=seed,
            engine=engine,
        ),
        status=status,
        reason=reason,
        replicates=replicates,
        facts={"engine": engine, **(facts or {})},
        privacy=claimed(facts or {}),
        problem=None
        if status != "ok"
        else ProblemSpec(
            fingerprint=fingerprint or f"{dataset}{seed}{regime}",
            sizes={"train": 900, "test": 500},
            classes=list(classes),
            groups=list(classes),
            group_name="class",
            group_sizes=dict.fromkeys(classes, 50),
            card={},
        ),
        evaluations=evaluations,
    )


def truly_named(made):
    """The record under the ids that follow from its content, as a run writes it."""
    content = arm_content(
        made.arm, made.problem.fingerprint, reseeds=1, part="replicates", rate=None
    )
    evaluations = {evaluation_id(e.evaluator): e for e in made.evaluations.values()}
    return made.model_copy(update={"id": digest(content), "evaluations": evaluations})


def _evaluations(interventions, regime, seed, shift, noise, replicates, settings, ident):
    metrics = dict(METRICS)
    for i in interventions:
        metrics |= CHANNELS.get(i.name, {})
    metrics |= FLOOR
    found = {}
    for order, (metric, (mean, sd, better, unit, n)) in enumerate(metrics.items()):
        evaluator, name = metric.split("/")
        shared = np.random.default_rng([seed, order, 7]).normal(size=replicates)
        own = np.random.default_rng([seed, order, sum(map(ord, ident))]).normal(size=replicates)
        values = mean + sd * shared + shift.get(metric, 0.0) + noise.get(metric, 0.0) * own
        found.setdefault(evaluator, {})[name] = MeasurementRecord(
            values=values.tolist(),
            higher_is_better=better,
            unit=unit,
            n=n,
            lower=None if "shift" in unit else 0.0,
            upper=None if unit == "labels" else 1.0,
            diagnostic=metric in DIAGNOSTIC,
        )
    out = {
        f"{e}-{settings}": Evaluation(
            evaluator=PluginSpec(name=e, params={"setting": settings}),
            status="ok",
            measurements=m,
            facts={"shadows": replicates - 2} if e == "privacy" else {},
        )
        for e, m in found.items()
    }
    for channel in CHANNELS.values():
        for evaluator in {m.split("/")[0] for m in channel} - set(found):
            out[f"{evaluator}-{settings}"] = Evaluation(
                evaluator=PluginSpec(name=evaluator, params={"setting": settings}),
                status="unsupported",
                reason=NO_CHANNEL,
            )
    return out


WITHIN = {"fairness/acc_gap": 0.03, "robustness/racc": 0.02, "uncertainty/ece": 0.003}
DP_FACTS = {"epsilon": 2.98, "accountant": "prv", "delta": 0.001}


def full_table():
    """Records of a whole table: five rows, two regimes, two doses, all controls, some gaps.

    P→F is harm, P→P is benefit, F→R is nothing, R→F is unclear, R→P failed, R learnt nothing
    when memorising, E and U have their registered cells.
    """
    dp3, dp8 = method("dpsgd", epsilon=3.0), method("dpsgd", epsilon=8.0)
    weights, pgd = method("balanced_weights"), method("pgd_at", epsilon=0.1)
    small = {m: 0.2 * sd for m, (_, sd, *_) in METRICS.items()}
    harm = {
        "fairness/acc_gap": 0.54,
        "fairness/worst_group_acc": -0.4,
        "robustness/racc": -0.19,
        "explainability/lime_r2": -0.28,
        "uncertainty/ece": 0.067,
        "utility/accuracy": -0.08,
        "utility/balanced_accuracy": -0.11,
        "privacy/lira_auc": -0.15,
    }
    mild = {k: v / 2 for k, v in harm.items()}
    out = [
        record(),
        record(regime="memorising"),
        record(control="reseed", noise=small),
        record(control="reseed", regime="memorising", noise=small),
    ]
    for regime in ("tuned", "memorising"):
        out += [
            record(dp3, regime=regime, shift=harm, noise=WITHIN, facts=DP_FACTS),
            record(dp8, regime=regime, shift=mild, noise=WITHIN, facts=DP_FACTS | {"epsilon": 7.9}),
            record(weights, regime=regime, shift={"fairness/acc_gap": -0.1}, noise=small),
        ]
    out += [
        record(
            dp3,
            control="matched",
            shift={**mild, "utility/accuracy": -0.08},
            noise=WITHIN,
            facts={"matched_accuracy_gap": 0.004},
        ),
        record(
            weights,
            control="matched",
            noise=small,
            facts={"matched_accuracy_gap": 0.021},
        ),
        record(
            pgd,
            shift={"robustness/racc": 0.2, "fairness/acc_gap": 0.02, "uncertainty/ece": 0.044},
            noise={"fairness/acc_gap": 0.08, "uncertainty/ece": 0.004},
        ),
        record(
            pgd,
            regime="memorising",
            status="failed",
            reason="3 of 16 replicates diverged (non-finite parameters)",
            facts={"diverged": 3},
        ),
        record(method("lime")),
        record(method("conformal", alpha=0.1)),
        record(dp3, pgd, shift=harm, noise=WITHIN),
    ]
    return out
