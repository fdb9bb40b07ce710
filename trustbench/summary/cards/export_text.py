"""The card of an exported model: what it is, its numbers, its guarantees, what its files hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trustbench.contracts.guarantees import Guarantee
from trustbench.store.records import MeasurementRecord, Record
from trustbench.summary.cards.markdown_parts import grid, interval, level
from trustbench.summary.render.known_interactions import safe
from trustbench.summary.stats.series import mean_of

SHOWN = 40
"""Maximum number of metrics in the table."""


@dataclass(frozen=True)
class Remeasured:
    """What was measured on the exported model itself, and why the rest was not."""

    record: Record
    missing: Mapping[str, str]


class ExportFacts(Protocol):
    """What the card reads of an export."""

    label: str
    record: str
    trained_on: str
    needs_group: bool
    group_name: str
    privacy: list[Guarantee]
    rows_held: dict[str, int]


def export_card(
    record: Record,
    spec: ExportFacts,
    replicate: int | None,
    again: Remeasured | None,
    verdict: tuple[str, str] | None,
    model_card: str,
) -> str:
    """The card as Markdown: the exported model first, then the model card of its arm.

    `replicate` is the measured model that was exported; `again` holds the numbers of one that was
    trained again. `verdict` names a policy and its outcome for the arm.
    """
    matter, body = _front_matter(model_card)
    what = f"One model of the arm {safe(spec.label)} (record {safe(spec.record)})"
    lines = [
        f"# {safe(spec.label)}, exported",
        "",
        f"{what}, {safe(spec.trained_on)}.",
        "It was written by `trustbench export`; load it with `trustbench.load_model(FOLDER)`.",
        "",
        *_verdict(verdict),
        *_numbers(record, replicate, again),
        *_privacy(spec.privacy),
        *_held(spec),
    ]
    return matter + "\n".join(lines) + "\n## The arm it comes from\n\n" + body


def _front_matter(text: str) -> tuple[str, str]:
    """(front matter, the rest) of a card; the headings of the rest go one level down."""
    matter = ""
    if text.startswith("---\n"):
        end = text.index("\n---\n", 4) + len("\n---\n")
        matter, text = text[:end] + "\n", text[end:]
    body = [f"#{line}" if line.startswith("#") else line for line in text.strip().splitlines()]
    return matter, "\n".join(body) + "\n"


def _verdict(verdict: tuple[str, str] | None) -> Iterator[str]:
    if verdict is not None:
        policy, outcome = verdict
        yield f"Policy {safe(policy)}: **{safe(outcome)}**, by the measurements of the arm."
        yield ""


def _numbers(record: Record, replicate: int | None, again: Remeasured | None) -> Iterator[str]:
    yield "## Numbers"
    yield ""
    measured = dict(_measurements(record))
    own = dict(_measurements(again.record)) if again else {}
    if replicate is not None:
        yield (
            f"The second column is this model's own number (replicate {replicate}); the third is "
            f"the mean over all {record.replicates} replicates of the arm, with its 95 % interval."
        )
    else:
        yield (
            f"The arm's numbers are those of models trained on {trained_share(record)}, and this "
            "one has seen all of it. The second column was measured again on this model; it is one "
            "model, so it has no interval over replicates. The third column is the arm's mean with "
            "its 95 % interval."
        )
    yield ""
    rows = [
        [safe(name), _own(name, m, replicate, own), _mean(m)]
        for name, m in list(measured.items())[:SHOWN]
    ]
    yield from grid(["metric", "this model", "the arm"], rows)
    yield ""
    if again is not None:
        yield from _not_again(again, measured, own)


def _own(
    name: str, m: MeasurementRecord, replicate: int | None, own: Mapping[str, MeasurementRecord]
) -> str:
    if replicate is not None:
        return level(m.values[replicate])
    return level(float(np.mean(own[name].values))) if name in own else "not measured again"


def _mean(m: MeasurementRecord) -> str:
    return interval(mean_of([m])) if len(m.values) > 1 else level(m.values[0])


def _not_again(
    again: Remeasured,
    measured: Mapping[str, MeasurementRecord],
    own: Mapping[str, MeasurementRecord],
) -> Iterator[str]:
    reasons = dict(again.missing)
    for evaluation in again.record.evaluations.values():
        if evaluation.reason:
            reasons[evaluation.evaluator.name] = evaluation.reason
        reasons.update(evaluation.missing)
    if reasons and any(name not in own for name in measured):
        yield "Not measured again:"
        yield ""
        yield from (f"- {safe(what)}: {safe(why)}" for what, why in reasons.items())
        yield ""


def _privacy(claims: Sequence[Guarantee]) -> Iterator[str]:
    yield "## Privacy"
    yield ""
    if not claims:
        yield "No differential privacy is claimed for this model."
    yield from (f"- {safe(claim.line())}" for claim in claims)
    yield ""


def _held(spec: ExportFacts) -> Iterator[str]:
    yield "## What the files hold"
    yield ""
    yield (
        "- The weights, what the deployed methods learnt (`thresholds.json` has the small numbers "
        "in plain text), and the raw columns with their scaling (`schema.json`)."
    )
    if spec.needs_group:
        columns = f"the columns that give {safe(spec.group_name)}"
        yield f"- Answers depend on the group: rows need {columns}."
    for method, rows in spec.rows_held.items():
        yield (
            f"- **{rows} rows of the training pool**, which {safe(method)} explains against. "
            "Whoever gets the files gets these rows."
        )
    if not spec.rows_held:
        yield "- No row of the data."
    yield ""


def _measurements(record: Record) -> Iterator[tuple[str, MeasurementRecord]]:
    for evaluation in record.evaluations.values():
        for name, m in evaluation.measurements.items():
            if not m.diagnostic:
                yield f"{evaluation.evaluator.name}/{name}", m


def trained_share(record: Record) -> str:
    """The share of the training pool that each measured model saw, in words."""
    half = record.arm.protocol.get("inclusion", "half") == "half"
    return "half of the training pool" if half else "the whole training pool"
