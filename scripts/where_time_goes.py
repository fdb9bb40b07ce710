"""Where the time of a sweep went: per arm, per evaluator, and the slowest pairs; from records only.

run: python scripts/where_time_goes.py [--from outputs] [--experiment full_table]
     [--limit-minutes 20]

Seconds add up over arms, whether or not they ran concurrently: divide by the jobs of a parallel
launcher. Time between arms (imports, loading data, tracking, tables) is in no record.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trustbench.api.records import existing_store
from trustbench.errors import UserError, did_you_mean
from trustbench.store.labels import labels
from trustbench.store.records import Record, Store, Sweep

SLOWEST = 10


@dataclass(frozen=True)
class Spent:
    """The seconds of one arm."""

    arm: str
    fit: float  # 0 for an arm whose replicates an earlier arm trained
    evaluations: dict[str, float]  # by evaluator, including training that it requested
    rest: float  # deploying, logits, reading and writing; 0 for an arm that was resumed

    @property
    def measuring(self) -> float:
        return sum(self.evaluations.values())

    @property
    def total(self) -> float:
        return self.fit + self.measuring + self.rest


def spent(records: Sequence[Record], wanted: Sequence[str]) -> list[Spent]:
    """The seconds of each record, in the order given, for the evaluations `wanted`.

    Arms that share a fit all state its seconds; only the first is charged. A record states the
    seconds of its last run only, so `rest` is the remainder beyond its parts.
    """
    found, fits = [], set[str]()
    called = labels([r.arm for r in records])
    for record, name in zip(records, called, strict=True):
        fit = float(record.facts.get("train_seconds") or 0.0) if record.fit not in fits else 0.0
        fits.add(record.fit)
        evaluations = Counter[str]()
        for key in wanted:
            if key in record.evaluations:
                each = record.evaluations[key]
                evaluations[each.evaluator.name] += each.seconds
        parts = fit + sum(e.seconds for e in record.evaluations.values())
        rest = max(0.0, record.seconds - parts)
        found.append(Spent(name, fit, dict(evaluations), rest))
    return found


def report(arms: Sequence[Spent], limit_s: float) -> Iterator[str]:
    """The lines printed; `limit_s` > 0 is compared with the sum over all arms."""
    total = sum(a.total for a in arms)
    fits, measuring = sum(a.fit for a in arms), sum(a.measuring for a in arms)
    yield f"{'seconds by arm':<60} {'fit':>8} {'evals':>8} {'rest':>8} {'total':>8}"
    for a in sorted(arms, key=lambda a: -a.total):
        yield f"  {a.arm:<58} {a.fit:8.1f} {a.measuring:8.1f} {a.rest:8.1f} {a.total:8.1f}"
    rest = total - fits - measuring
    yield f"  {f'all {len(arms)} arms':<58} {fits:8.1f} {measuring:8.1f} {rest:8.1f} {total:8.1f}"
    yield ""
    yield f"{'seconds by evaluator':<60} {'total':>8} {'max':>8} {'share':>8}"
    by_evaluator: dict[str, list[float]] = {}
    for a in arms:
        for evaluator, seconds in a.evaluations.items():
            by_evaluator.setdefault(evaluator, []).append(seconds)
    for evaluator, each in sorted(by_evaluator.items(), key=lambda item: -sum(item[1])):
        share = sum(each) / total if total else 0.0
        yield f"  {evaluator:<58} {sum(each):8.1f} {max(each):8.1f} {share:8.1%}"
    yield ""
    pairs = [(s, evaluator, a.arm) for a in arms for evaluator, s in a.evaluations.items()]
    yield f"the slowest {min(SLOWEST, len(pairs))} of {len(pairs)} evaluations"
    for seconds, evaluator, arm in sorted(pairs, key=lambda p: -p[0])[:SLOWEST]:
        yield f"  {seconds:8.1f}  {evaluator} on {arm}"
    yield ""
    judged = "within" if total <= limit_s else "ABOVE"
    yield (
        f"{total / 60:.1f} min of {limit_s / 60:g} min allowed ({total / limit_s:.2f}): "
        f"{judged} the limit, n = 1 run"
    )


def sweep_of(store: Store, experiment: str) -> Sweep:
    found = store.sweep(experiment)
    if found is None:
        known = did_you_mean(experiment, store.experiments())
        raise UserError(f"{store.root} holds no sweep of {experiment!r}; {known}")
    return found


def main(args: Sequence[str] | None = None) -> int:
    """0 once it is printed; 2, with one sentence, if there is nothing to print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="folder", default="outputs", metavar="DIR")
    parser.add_argument("--experiment", default="full_table")
    parser.add_argument("--limit-minutes", type=float, default=20.0)
    a = parser.parse_args(args)
    if not a.limit_minutes > 0:
        parser.error(f"--limit-minutes is {a.limit_minutes:g}; give more than 0")
    try:
        store = existing_store(a.folder)
        sweep = sweep_of(store, a.experiment)
        records = [r for r in map(store.read, sweep.arms) if r is not None]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(report(spent(records, sweep.evaluations), a.limit_minutes * 60)))
    called = labels([r.arm for r in records])
    unfinished = [n for r, n in zip(records, called, strict=True) if r.status != "ok"]
    if unfinished:
        print(f"not finished, so that their time is not all here: {', '.join(unfinished)}")
    if len(records) < len(sweep.arms):
        print(f"{len(sweep.arms) - len(records)} of {len(sweep.arms)} arms left no record")
    return 0


if __name__ == "__main__":
    sys.exit(main())
