"""The origin of the numbers: software, hardware, seeds, data, settings, and every arm."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trustbench.contracts.guarantees import without_claims
from trustbench.store.labels import show
from trustbench.store.records import Record, Scalar
from trustbench.summary.render.wording import facts_text
from trustbench.summary.report.commands import arm_command
from trustbench.summary.report.evidence import Bench
from trustbench.summary.report.markup import Child, Html, join, listing, tag, terms
from trustbench.summary.table.dp_noise import FACT, MEANING
from trustbench.summary.table.grouping import ArmRecords


def provenance(bench: Bench) -> Html:
    """Software, data and settings of a table's records, then each record with its command."""
    records = bench.records
    return join(
        tag("h3", "Provenance"),
        terms([*_software(records), *_noise(records)]),
        tag("h4", "Data"),
        terms(list(_data(records))),
        tag("h4", "Settings"),
        terms(list(_settings(bench))),
        tag("h4", "Arms"),
        _arms(bench),
    )


def _software(records: Sequence[Record]) -> Iterator[tuple[str, Child]]:
    """The software and hardware; several values if the records differ."""
    keys = dict.fromkeys(k for r in records for k in r.environment)
    for key in keys:
        yield key, _distinct(r.environment.get(key) for r in records)
    yield "engine", _distinct(r.arm.engine for r in records)
    yield "seeds", _distinct(r.arm.seed for r in records)
    yield "replicates", _distinct(r.replicates for r in records)


def _noise(records: Sequence[Record]) -> Iterator[tuple[str, Child]]:
    """Whether private methods drew their noise from a seeded stream."""
    drawn = {str(r.facts[FACT]) for r in records if FACT in r.facts}
    for source in sorted(drawn):
        yield "dp_noise", f"{source}: {MEANING[source]}" if source in MEANING else source
    if not drawn:
        yield "dp_noise", "no arm declares any"


def _data(records: Sequence[Record]) -> Iterator[tuple[str, Child]]:
    arm = records[0].arm
    yield (
        "dataset",
        f"{arm.dataset.name} {_flat(arm.dataset.params)}, version {arm.dataset.version}",
    )
    known = [r for r in records if r.problem is not None]
    for record in known[:1]:
        problem = record.problem
        assert problem is not None
        for key, value in problem.card.items():
            yield key.replace("_", " "), show(value)
        yield "classes", ", ".join(problem.classes)
        sizes = ", ".join(f"{g} {n}" for g, n in problem.group_sizes.items())
        yield f"groups ({problem.group_name}), test rows", sizes
    prints: dict[tuple[str, str], list[str]] = {}
    for record in known:
        assert record.problem is not None
        where = f"seed {record.arm.seed}, {record.arm.training['regime']}"
        rows = ", ".join(f"{k} {n}" for k, n in record.problem.sizes.items())
        prints.setdefault((record.problem.fingerprint, rows), []).append(where)
    marks: list[Child] = [
        join(tag("code", mark), f" ({rows}): ", "; ".join(dict.fromkeys(where)))
        for (mark, rows), where in prints.items()
    ]
    yield "fingerprints", listing(marks) if marks else "no arm got as far as the data"


def _settings(bench: Bench) -> Iterator[tuple[str, Child]]:
    group = bench.group
    yield "table", bench.result.table
    yield "model", f"{group.model.name} {_flat(group.model.params)}, version {group.model.version}"
    yield "protocol", _flat(group.protocol)
    for regime, training in group.training.items():
        yield f"training {regime}", _flat({k: v for k, v in training.items() if k != "regime"})
    found: dict[str, Child] = {}
    for record in bench.records:
        for key, evaluation in record.evaluations.items():
            if group.evaluations.get(evaluation.evaluator.name) == key:
                spec = evaluation.evaluator
                found[spec.name] = f"{_flat(spec.params)}, version {spec.version}".lstrip(", ")
    yield from ((f"evaluator {name}", found[name]) for name in sorted(found))


def _arms(bench: Bench) -> Html:
    """Every record: its arm, its status, its declarations, and its command."""
    every = [(arm, arm.records[s]) for arm in bench.group.arms for s in sorted(arm.records)]
    return join(*(_arm(bench, arm, record) for arm, record in every))


def _arm(bench: Bench, arm: ArmRecords, record: Record) -> Html:
    control = "" if arm.control == "none" else f" ({arm.control})"
    what = f"{arm.label}{control}, {arm.regime}, seed {record.arm.seed}"
    command = arm_command(record, set(bench.group.evaluations.values()))
    head = tag("summary", tag("code", record.id), f" {what}: {record.status}")
    about: list[tuple[str, Child]] = [
        ("reason", record.reason),
        ("fit", tag("code", record.fit)),
        ("seconds", f"{record.seconds:z.1f}"),
        ("declared", facts_text(without_claims(record.facts))),
        ("learning rate", record.pilot.line() if record.pilot else None),
        *(("privacy", line) for line in record.claims()),
        ("measure it again", tag("code", command, class_="command")),
    ]
    return tag("details", head, terms(about), id=bench.record_anchor(record.id), class_="record")


def _flat(values: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={show(v)}" for k, v in values.items())


def _distinct(values: Iterator[Scalar] | Any) -> str:
    return ", ".join(dict.fromkeys(show(v) for v in values if v is not None))
