"""The content of a model card of one record: numbers, effects, guarantees and limits."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from trustbench.contracts.aspects import Aspect
from trustbench.contracts.guarantees import without_claims
from trustbench.contracts.shortening import listed
from trustbench.errors import UserError, did_you_mean
from trustbench.store.labels import labels
from trustbench.store.records import Record, Scalar
from trustbench.summary.cards.figures import Arrays, Figure, GroupColumn, by_group, figures, missing
from trustbench.summary.decide.policy import TARGETS
from trustbench.summary.table.arm_names import Names, completed
from trustbench.summary.table.dp_noise import FACT
from trustbench.summary.table.estimates import Estimator
from trustbench.summary.table.evaluations import preferred
from trustbench.summary.table.grouping import ArmRecords, Group, group_records
from trustbench.summary.table.registry import Measure, Table
from trustbench.summary.table.results import UTILITY, Estimate

TRAINING_FACTS = frozenset(
    {
        "engine",
        "engine_why",
        "device",
        "members",
        "features",
        "classes",
        "epochs",
        "batch_size",
        "lr",
        "epoch_selected",
        "validation_accuracy",
        "train_seconds",
    }
)
"""Facts of every training; all others are declared by the arm's methods or its control."""


@dataclass(frozen=True)
class Card:
    """A record's card; `figures` holds all measurements, `primary` those of the table's columns."""

    record: Record
    label: str
    table: str
    primary: Mapping[str, tuple[str, ...]]
    """Target -> its column's metrics, the primary one first."""
    figures: Mapping[str, Figure]
    missing: Mapping[str, str]
    """Metric or evaluator -> why it was not measured."""
    groups: tuple[GroupColumn, ...]
    effects: tuple[tuple[str, Estimate], ...]
    """(target, effect against the baseline or the null that the arm's row registers)."""
    no_effects: str | None
    declared: Mapping[str, Scalar]
    claims: tuple[str, ...]
    settings: tuple[str, ...]
    """A sentence for each evaluator that is also read at other than its registered settings."""
    unreliable: str | None
    below_floor: str | None

    @property
    def seeded(self) -> bool:
        """Whether privacy noise came from a seeded stream, which the seed can reproduce."""
        return self.declared.get(FACT) == "seeded"


def card(
    record: Record,
    arrays: Arrays,
    records: Sequence[Record],
    table: Table,
    evaluations: Collection[str] | None = None,
) -> Card:
    """Builds the card of a record.

    `arrays` are the arrays of the record; `records` are those of the store, among which its
    baseline is searched; `evaluations` as in `summarize`. Raises UserError for a record without
    measurements, and if records cannot be compared.
    """
    if record.status != "ok" or record.problem is None:
        raise UserError(
            f"record {record.id} is {record.status}, so it has no numbers to put on a card"
            + (f": {record.reason}" if record.reason else ".")
        )
    own = {k: e for k, e in record.evaluations.items() if evaluations is None or k in evaluations}
    record = record.model_copy(update={"evaluations": own})
    group, arm = _placed(record, records, evaluations)
    record = preferred(record, group.evaluations.values())
    of = Estimator(group, table)
    effects, why = _effects(of, arm)
    return Card(
        record=record,
        label=arm.label,
        table=table.name,
        primary={t: _metrics(m) for t, m in _columns(table, of.binary).items()},
        figures={f.metric: f for f in figures(record)},
        missing=dict(missing(record)),
        groups=tuple(by_group(record, arrays)),
        effects=tuple(effects),
        no_effects=why,
        declared={k: v for k, v in without_claims(record.facts).items() if k not in TRAINING_FACTS},
        claims=record.claims(),
        settings=tuple(n for some in group.settings_notes.values() for n in some),
        unreliable=of.unreliable(arm, table.columns[Aspect.ROBUSTNESS].on(of.binary)),
        below_floor=of.floor.below(arm),
    )


def find(name: str, records: Sequence[Record], names: Names) -> Record:
    """The record of an id, of one of the `names` of its arm, or of the beginning of either.

    Raises UserError when it is not exactly one record's.
    """
    found = [r for r in records if r.id == name]
    found = found or [r for r in records if r.id in names.get(name, ())]
    if not found and not any(r.id.startswith(name) for r in records):
        found = [r for r in records if r.id in names.get(completed(name, names), ())]
    if len(found) > 1:
        ids = listed(_with_labels(found), 8, "; ")
        raise UserError(f"{len(found)} records are called {name!r} ({ids}); give the id of one.")
    found = found or [r for r in records if r.id.startswith(name)]
    if len(found) == 1 and name:
        return found[0]
    if found:
        ids = listed([r.id for r in found], 8)
        raise UserError(f"{len(found)} records begin with {name!r} ({ids}); give more of the id.")
    arms = listed(_with_labels(records), 30, "; ") or "none"
    hint = did_you_mean(name, names)
    raise UserError(f"no record or arm {name!r} is stored; {hint} Records: {arms}.")


def _with_labels(records: Sequence[Record]) -> list[str]:
    texts = labels([r.arm for r in records])
    return [f"{r.id} {text}" for r, text in zip(records, texts, strict=True)]


def _columns(table: Table, binary: bool) -> dict[str, Measure]:
    return {**{a.value: table.columns[a].on(binary) for a in Aspect}, UTILITY: table.utility}


def _metrics(measure: Measure) -> tuple[str, ...]:
    beside = [b.metric for b in measure.secondary if b.against is None and b.intervention is None]
    return tuple(dict.fromkeys([measure.metric, *beside]))


def _placed(
    record: Record, records: Sequence[Record], evaluations: Collection[str] | None
) -> tuple[Group, ArmRecords]:
    """The group and the arm to which a record belongs."""
    for group in group_records(records, evaluations):
        for arm in group.arms:
            if record.id in arm.ids:
                return group, arm
    raise UserError(
        f"record {record.id} is passed over for a newer one of the same arm; give that one's id."
    )


def _effects(
    estimator: Estimator, arm: ArmRecords
) -> tuple[list[tuple[str, Estimate]], str | None]:
    """The effects of a treated arm in its own regime, and in the regime that a column registers."""
    if arm.control != "none":
        return [], f"this arm is the {arm.control} control of a study, not a model to use"
    if not arm.interventions:
        return [], "this arm is the baseline"
    if estimator.group.baseline(arm.regime) is None:
        return [], f"the store has no baseline arm (intervention=none, training={arm.regime})"
    measures: dict[str, tuple[Measure | None, str | None]]
    measures = {t.value: m for t, m in estimator.row_measures(arm).items()}
    measures[UTILITY] = estimator.table.utility, None
    found: list[tuple[str, Estimate]] = []
    for target in TARGETS:
        measure, reference = measures[target]
        if measure is None:
            continue
        for regime in dict.fromkeys([arm.regime, measure.regime]):
            same = estimator.group.find(regime, arm.key, "none")
            if same is not None:
                found.append((target, estimator.explore(same, measure, reference)))
    return found, None
