"""How often the intervals of `trustbench audit` hold the number they speak of, simulated.

Draws many tables of rows from one population, with the same model, and counts how often the
interval of a table holds the mean of the metric over all tables: the number as it is measured on
this many rows. Writes docs/results/audit-coverage.md.

Usage: python scripts/studies/audit_coverage.py [--tables 100] [--rows 300 1000] [--draws 1000]
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trustbench.contracts import Array, Evaluator, Streams
from trustbench.evaluators.fairness.fairness import Fairness
from trustbench.evaluators.uncertainty.uncertainty import Uncertainty
from trustbench.evaluators.utility import Utility
from trustbench.execution.audit.answers import Answers, AuditRows
from trustbench.execution.audit.measure import measure
from trustbench.methods.group_nulls import OfShares
from trustbench.methods.groups import gap

PAGE = Path(__file__).resolve().parents[2] / "docs/results/audit-coverage.md"
METRICS = (
    "utility/accuracy", "utility/balanced_accuracy", "utility/auc", "uncertainty/ece",
    "uncertainty/nll", "fairness/acc_gap", "fairness/dp_gap", "fairness/eo_gap",
)  # fmt: skip
EVALUATORS: Mapping[str, Evaluator] = {
    "utility": Utility(),
    "fairness": Fairness(),
    "uncertainty": Uncertainty(),
}
NARROW = "fairness/dp_gap"
"""The gap that the spread of random groups is tried on."""
PERMUTATIONS = 400


class Population(NamedTuple):
    """Rows of several groups; scores of the last group are lower by `harm`."""

    name: str
    harm: float
    shares: tuple[float, ...] = (0.7, 0.3)


POPULATIONS = (
    Population("two groups, no gap", 0.0),
    Population("two groups, small gap", 0.3),
    Population("two groups, large gap", 1.0),
    Population("nine groups, no gap", 0.0, (1 / 9,) * 9),
)


class Found(NamedTuple):
    """What the intervals of many tables do. All but `mean` and `wide` are shares of the tables."""

    mean: float  # of the number over the tables
    wide: float  # the standard error that intervals state, per standard deviation over the tables
    held: float
    below: float
    above: float
    above_0: float


def table(n: int, population: Population, seed: int) -> AuditRows:
    """Rows of a population."""
    rng = np.random.default_rng(seed)
    groups = len(population.shares)
    group = rng.choice(groups, size=n, p=population.shares).astype(np.int64)
    score = rng.normal(size=n)
    y = (1.5 * score + rng.logistic(size=n) > 0).astype(np.int64)
    p = 1 / (1 + np.exp(-2.0 * score + population.harm * (group == groups - 1)))
    answers = Answers(y, group, np.stack([1 - p, p], axis=1))
    none = Answers.none(2)
    names = tuple(f"g{i}" for i in range(groups))
    return AuditRows(("no", "yes"), names, "g", answers, none, none, frozenset({"logits"}))


def narrow(rows: AuditRows, value: float, seed: int) -> tuple[float, float, float, float]:
    """(value, low, high, standard error) of the favourable decisions' gap by random groups' spread.

    What an interval would be if gaps that chance explains took the spread that chance gives them.
    """
    groups = len(rows.groups)
    decided = rows.test.p.argmax(axis=1)[None] == 1
    shares = OfShares(decided, groups, lambda found: {"gap": gap(found[..., 0, :])})
    rng = np.random.default_rng([seed, 1])
    draws = shares.by_chance(rows.test.group, rng, PERMUTATIONS)["gap"].draws
    low, high = np.quantile(draws, [0.025, 0.975])
    mean = draws.mean()
    return value, max(0.0, value - (high - mean)), value + (mean - low), float(draws.std(ddof=1))


def study(
    n: int,
    population: Population,
    tables: int,
    draws: int,
    evaluators: Mapping[str, Evaluator] = EVALUATORS,
    names: Sequence[str] = METRICS,
) -> dict[str, Found]:
    """Metric -> what its intervals do; `<gap> - random groups` is the gap less its null."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for seed in range(tables):
        rows = table(n, population, seed)
        metrics = measure(rows, evaluators, Streams(seed), draws).found
        for name in names:
            own = metrics[name]
            for label, i in ((name, own.interval), (f"{name} - random groups", own.excess)):
                if i is not None:
                    found.setdefault(label, []).append((i.value, i.low, i.high, i.se))
        if NARROW in names:
            tried = narrow(rows, metrics[NARROW].value, seed)
            found.setdefault(f"{NARROW}, spread of random groups", []).append(tried)
    return {name: _found(np.array(each)) for name, each in found.items()}


def _found(rows: Array) -> Found:
    value, low, high, se = rows.T
    below, above = (high < value.mean()).mean(), (low > value.mean()).mean()
    wide = se.mean() / value.std(ddof=1)
    return Found(value.mean(), wide, 1 - below - above, below, above, (low > 0).mean())


def lines(n: int, population: Population, found: Mapping[str, Found]) -> Iterator[str]:
    """Rows of the page's table."""
    for name, f in found.items():
        gaps = f"{f.above_0:.2f}" if "gap" in name else ""
        yield (
            f"| {n:,} | {population.name} | {name} | {f.mean:.3f} | {f.wide:.2f} "
            f"| {f.held:.2f} | {f.below:.2f} | {f.above:.2f} | {gaps} |"
        )


def page(tables: int, draws: int, all_rows: Sequence[int], body: Sequence[str], cpu: float) -> str:
    """The page, with every number that it states."""
    sizes = " ".join(map(str, all_rows))
    tried = {k: _held(body, k) for k in (f"{NARROW} ", f"{NARROW}, spread of random groups ")}
    own, narrow_held = ("; ".join(each) for each in tried.values())
    error = (0.95 * 0.05 / tables) ** 0.5
    return f"""# How far the intervals of an audit hold

Made by `python scripts/studies/audit_coverage.py --tables {tables} --rows {sizes} --draws {draws}`
(seeds 0 to {tables - 1}, {cpu / 60:.0f} minutes of processor time).

Each line takes {tables} tables of rows from one population, audits the same model on each, and
counts how often the 95 % interval over rows *holds* the mean of the number over all tables: the
number as it is measured on this many rows. *Too low* and *too high* are the shares of intervals
that lie wholly below and wholly above it. The error of a share near .95 is {error:.3f}. *Width* is
the standard error that the intervals state, divided by the standard deviation of the number over
the tables: above 1 they are too wide. *Above 0* is how often the interval of a gap lies above zero.

## Why intervals of a gap near zero are too wide

A gap is a largest minus a smallest number, so it cannot be negative, and noise alone makes it
positive. Take two groups that the model treats alike. Over many tables, the signed difference
between them varies around 0 and its absolute value, the gap, varies less, because both sides fold
onto one. The rows of one table, however, show some difference, and redrawn rows vary around that
difference, away from the fold. The bootstrap therefore states the larger spread that a true gap of
the observed size would have.

This errs on the safe side, and only there. A gap is at least what random groups show, so an
interval cannot rightly lie below that; the interval of a gap without a true gap errs by lying too
high, and 97.5 % of them should not. The lines with *spread of random groups* try the obvious
correction, which gives every gap the spread that it has if groups mean nothing. As soon as there is
a gap it is too narrow, and mostly too low: the direction in which a policy must not err. So the
intervals stay as they are. Shares of intervals of `{NARROW}` that hold:

- as they are: {own};
- with the spread of random groups: {narrow_held}.

## What the interval of a gap near zero means

- It speaks of the gap *as it is measured on this many rows*, noise included. It does not say
  whether the groups differ: compare it with what random groups of the same sizes show, which is
  printed beside it (*by chance*).
- Whether they differ is what the gap *less that of random groups* says. In a line without a gap,
  the share of intervals above 0 on `- random groups` is the rate of false alarms, and should be
  .025 or less. With a gap it is how often the gap is found. A limit with `beyond_chance: true`
  reads this interval, and the
  [table of trained arms](../statistics.md#groups-that-differ-by-chance) judges by the same rule.

## Numbers

| rows | population | number | mean | width | holds | too low | too high | above 0 |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(body)}

All populations have the same seeds, and so the same luck: where the width of accuracy is far from
1, whose standard error is known exactly, these tables vary more or less than tables do, and the
other numbers with them.

A row belongs to the smaller of two groups with probability .3. The labels are logistic in a normal
score, and the model's probabilities are too confident by a third. In the populations with a gap,
it scores the smaller group lower, by .3 or by 1 on the scale of log-odds. With nine groups of a
ninth of the rows each, 300 rows leave some groups fewer than 25 rows of a class. These keep their
number of rows of each class in every draw ([what an interval means](../audit.md)).
"""


def _held(body: Sequence[str], name: str) -> list[str]:
    """The share of intervals of a number that hold, for every size and population."""
    cells = [
        [c.strip() for c in line.strip("|").split("|")] for line in body if f"| {name}|" in line
    ]
    return [f"{held} ({rows} rows, {who})" for rows, who, _, _, _, held, *_ in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--rows", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    body: list[str] = []
    for n in given.rows:
        for population in POPULATIONS:
            found = study(n, population, given.tables, given.draws)
            body += lines(n, population, found)
            print(*body[-len(found) :], sep="\n", flush=True)
    text = page(given.tables, given.draws, given.rows, body, time.process_time())
    given.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
