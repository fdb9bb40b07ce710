"""Whether two models' records may be paired by replicate, and why not."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from trustbench.errors import UserError
from trustbench.store.records import Evaluation, PluginSpec, Record
from trustbench.summary.stats.values import canonical
from trustbench.summary.table.evaluations import registered_only


def shared_evaluations(
    baseline: Sequence[Record], candidate: Sequence[Record], read: Collection[str]
) -> dict[str, str]:
    """Evaluator -> the evaluation id at which all records are read.

    `read` are the evaluators whose numbers matter: their settings have to agree. One that only one
    side ran is read from that side, and counts as unmeasured on the other.

    Raises:
        UserError: the records are not comparable; gives every reason, each one sentence.
    """
    problems = list(_problems(baseline, candidate))
    chosen = {}
    for name in sorted(_evaluators([*baseline, *candidate])):
        common = _common(name, [*baseline, *candidate])
        if len(common) > 1:
            common = _registered(name, common, [*baseline, *candidate]) or common
        if len(common) == 1:
            chosen[name] = common[0]
        elif name in read:
            how = "several settings on both sides" if common else "other settings on one side"
            problems.append(
                f"evaluator {name} ran with {how}: candidate {_settings(candidate, name)}; "
                f"baseline {_settings(baseline, name)}"
            )
    if problems:
        raise UserError("\n".join(f"not comparable: {p}." for p in problems))
    return chosen


def _problems(baseline: Sequence[Record], candidate: Sequence[Record]) -> Iterator[str]:
    """Why records cannot be paired, evaluators aside."""
    sides = [{(_regime(r), r.arm.seed): r for r in side} for side in (baseline, candidate)]
    for what, side, found in zip(
        ("baseline", "candidate"), (baseline, candidate), sides, strict=True
    ):
        if len(found) < len(side):
            yield f"the {what} has several records of one regime and seed; give one of each"
    paired = [key for key in sides[1] if key in sides[0]]
    if not paired:
        trained = ["; ".join(f"{r}, seed {s}" for r, s in sorted(side)) for side in sides]
        yield (
            f"the candidate was trained in another regime or with another seed ({trained[1]}) than "
            f"the baseline ({trained[0]}), so that they share no replicates"
        )
    every = [*baseline, *candidate]
    for other in every[1:]:
        yield from _data(every[0], other)
    for key in paired:
        yield from _replicates(sides[0][key], sides[1][key])


def _data(a: Record, b: Record) -> Iterator[str]:
    """How the data sets of two records differ in their settings."""
    if a.arm.dataset.name != b.arm.dataset.name:
        yield f"record {b.id} is of dataset {b.arm.dataset.name}, record {a.id} of " + (
            a.arm.dataset.name
        )
    elif _spec(a.arm.dataset) != _spec(b.arm.dataset):
        yield (
            f"dataset {a.arm.dataset.name} has other settings in record {b.id} "
            f"({_spec(b.arm.dataset)}) than in record {a.id} ({_spec(a.arm.dataset)})"
        )


def _replicates(a: Record, b: Record) -> Iterator[str]:
    """Why replicate r of one record is not a twin of replicate r of the other."""
    if a.replicates != b.replicates:
        yield f"record {b.id} has {b.replicates} replicates, record {a.id} {a.replicates}"
    differs = [
        f"{k}={b.arm.protocol.get(k)} and not {a.arm.protocol.get(k)}"
        for k in sorted({*a.arm.protocol, *b.arm.protocol})
        if k != "replicates"
        and canonical(a.arm.protocol.get(k)) != canonical(b.arm.protocol.get(k))
    ]
    if differs:
        yield f"record {b.id} has another protocol than record {a.id}: {', '.join(differs)}"
    if a.problem and b.problem and a.problem.fingerprint != b.problem.fingerprint:
        yield (
            f"records {a.id} and {b.id} were measured on different data: fingerprints "
            f"{a.problem.fingerprint} and {b.problem.fingerprint}"
        )


def _regime(record: Record) -> str:
    return str(record.arm.training["regime"])


def _spec(spec: PluginSpec) -> str:
    return canonical({**spec.settings, "version": spec.version})


def _evaluators(records: Sequence[Record]) -> set[str]:
    return {e.evaluator.name for r in records for e in r.evaluations.values()}


def _evaluations_of(record: Record, name: str) -> Mapping[str, Evaluation]:
    return {k: e for k, e in record.evaluations.items() if e.evaluator.name == name}


def _common(name: str, records: Sequence[Record]) -> list[str]:
    """The evaluations of one evaluator that all records which ran it share."""
    having = [ids for r in records if (ids := set(_evaluations_of(r, name)))]
    return sorted(set.intersection(*having))


def _registered(name: str, common: Collection[str], records: Sequence[Record]) -> list[str]:
    """The evaluations at registered settings, if there are several."""
    every = {k: e.evaluator for r in records for k, e in _evaluations_of(r, name).items()}
    return registered_only({k: every[k] for k in common})


def _settings(records: Sequence[Record], name: str) -> str:
    found: dict[str, Any] = {
        k: _spec(e.evaluator) for r in records for k, e in _evaluations_of(r, name).items()
    }
    return ", ".join(f"{k} {v}" for k, v in sorted(found.items()))
