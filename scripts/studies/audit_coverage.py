"""How often the intervals of `trustbench audit` hold the number they speak of, simulated.

Draws many tables of rows from one population, with the same model, and counts how often the
interval of a table holds the mean of the metric over all tables: the number as it is measured on
this many rows. `small gap` has two groups that the model treats alike, where a gap is noise alone.

Usage: python scripts/studies/audit_coverage.py [--tables 400] [--rows 300 1000] [--draws 1000]
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from trustbench.contracts import Evaluator, Streams
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.evaluators.utility import Utility
from trustbench.execution.audit.answers import Answers, AuditRows
from trustbench.execution.audit.measure import measure

METRICS = (
    "utility/accuracy", "utility/balanced_accuracy", "utility/auc", "fairness/acc_gap",
    "fairness/dp_gap", "fairness/eo_gap", "uncertainty/ece", "uncertainty/nll",
)  # fmt: skip
EVALUATORS: Mapping[str, Evaluator] = {
    "utility": Utility(),
    "fairness": Fairness(),
    "uncertainty": Uncertainty(),
}
POPULATIONS = {"large gap": 1.0, "small gap": 0.0}
"""How much lower the scores of the smaller group are."""


def table(n: int, harm: float, seed: int) -> AuditRows:
    """Rows of a population in which 30 % belong to the smaller group."""
    rng = np.random.default_rng(seed)
    group = (rng.random(n) < 0.3).astype(np.int64)
    score = rng.normal(size=n)
    y = (1.5 * score + rng.logistic(size=n) > 0).astype(np.int64)
    p = 1 / (1 + np.exp(-2.0 * score + harm * group))
    answers = Answers(y, group, np.stack([1 - p, p], axis=1))
    nobody = Answers.none(2)
    return AuditRows(("no", "yes"), ("a", "b"), "g", answers, nobody, nobody, frozenset({"logits"}))


def study(
    n: int,
    harm: float,
    tables: int,
    draws: int,
    evaluators: Mapping[str, Evaluator] = EVALUATORS,
    names: Sequence[str] = METRICS,
) -> dict[str, tuple[float, float, float]]:
    """Metric -> (share of intervals that hold the mean, that lie below it, that lie above it)."""
    found: dict[str, list[tuple[float, float, float]]] = {m: [] for m in names}
    for seed in range(tables):
        metrics = measure(table(n, harm, seed), evaluators, Streams(seed), draws).found
        for name in names:
            interval = metrics[name].interval
            found[name].append((interval.value, interval.low, interval.high))
    out = {}
    for name, rows in found.items():
        value, low, high = np.array(rows).T
        below, above = high < value.mean(), low > value.mean()
        out[name] = (1 - below.mean() - above.mean(), below.mean(), above.mean())
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    print("| rows | population | metric | held | all below | all above |")
    print("|---|---|---|---|---|---|")
    for n in given.rows:
        for population, harm in POPULATIONS.items():
            for name, shares in study(n, harm, given.tables, given.draws).items():
                cells = " | ".join(f"{share:.3f}" for share in shares)
                print(f"| {n} | {population} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
