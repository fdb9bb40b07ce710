"""What a run would do with every arm, and why; trains and writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from trustbench.api.past_durations import Past
from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.config.identity import evaluation_id
from trustbench.errors import Unsupported, UserError
from trustbench.execution.pilot import assumed, settled
from trustbench.execution.plan import Plan, plan, refuse_impossible
from trustbench.store.records import Record, Store


@dataclass(frozen=True)
class PlannedArm:
    """One arm of the plan."""

    name: str
    what: str
    verdict: str
    """done | to do | to do in part | unsupported | refused | same"""
    why: str = ""
    arm_id: str | None = None
    missing: tuple[str, ...] = ()
    """The evaluators that have yet to run."""
    seconds: float | None = None
    """How long it may take; None if no past record tells."""
    key: str | None = None
    """Common to arms that are the same; None if the arm cannot be planned."""
    rate: str | None = None
    """How its learning rate is chosen, if a pilot chooses it."""

    @property
    def open(self) -> bool:
        """Whether a run would train or measure something."""
        return self.verdict in ("to do", "to do in part")


def planned(arms: Mapping[str, Arm], store: Store) -> list[PlannedArm]:
    """The verdict on every arm, in order; writes nothing."""
    records = {r.id: r for r in store.records()}
    past, rows = Past(list(records.values())), list[PlannedArm]()
    first: dict[str, str] = {}
    for name, arm in arms.items():
        row = _row(name, arm, store, records, past)
        same = first.setdefault(row.key, name) if row.key else name
        if same != name:
            row = replace(row, verdict="same", why=f"the same arm as {same}", seconds=0.0)
        rows.append(row)
    return rows


def _row(
    name: str, arm: Arm, store: Store, records: Mapping[str, Record], past: Past
) -> PlannedArm:
    blank = PlannedArm(name, label_of(arm), "refused")
    try:
        drawn = plan(arm)
        known = settled(drawn, store)
    except UserError as error:
        return replace(blank, why=str(error))
    except Unsupported as error:
        return replace(blank, verdict="unsupported", why=str(error), seconds=0.0)
    made = known or assumed(drawn)
    blank = replace(blank, arm_id=known.arm_id if known else None, key=made.arm_id)
    blank = replace(blank, rate=_rate(made, known is not None))
    try:
        refuse_impossible(made)
    except UserError as error:
        return replace(blank, why=str(error))
    except Unsupported as error:
        return replace(blank, verdict="unsupported", why=str(error), seconds=0.0)
    row = _with_record(blank, made, records.get(blank.arm_id or ""), past)
    void = [claim.line() for claim in made.guarantees if claim.void is not None]
    return replace(row, why="; ".join(filter(None, [row.why, *void])))


def _rate(made: Plan, known: bool) -> str | None:
    """The learning rate that a pilot has chosen, or its candidates."""
    arm, pilot = made.arm, made.arm.pilot
    if pilot is None:
        return None
    where = f"{arm.dataset.name}/{arm.model.name}, {arm.training.regime}, seed {arm.seed}"
    if known:
        return f"learning rate ({where}): {pilot.line()}"
    grid = ", ".join(f"{rate:zg}" for rate in sorted(arm.training.lr_grid))
    return f"learning rate ({where}): a pilot will choose from {grid} ({pilot.effort} at each)"


def _with_record(blank: PlannedArm, made: Plan, record: Record | None, past: Past) -> PlannedArm:
    """The verdict on a runnable arm, given the content of its record."""
    arm = made.arm
    have = set(record.evaluations) if record else set()
    lacking = [e.name for e in arm.evaluators if evaluation_id(e) not in have]
    row = replace(blank, verdict="to do", missing=tuple(lacking))
    if record is None:
        return replace(row, seconds=past.whole(arm))
    if record.status == "ok" and not lacking:
        return replace(row, verdict="done", seconds=0.0)
    if record.status == "unsupported":
        why = f"{record.reason} (found when it was run)"
        return replace(row, verdict="unsupported", why=why, seconds=0.0)
    whys = [] if record.status == "ok" else [_earlier(record)]
    if not have:
        return replace(row, why="; ".join(whys), seconds=past.whole(arm))
    if lacking:
        whys.append(f"misses {', '.join(lacking)}")
    why, seconds = "; ".join(whys), past.of_evaluators(arm, lacking)
    return replace(row, verdict="to do in part", why=why, seconds=seconds)


def _earlier(record: Record) -> str:
    """The result of an arm that has a record and is not finished."""
    if record.status == "started":
        return "an earlier run did not finish it, or still runs"
    reason = (record.reason or "no reason recorded").strip().split("\n")[0]
    return f"{record.status} when it was run: {reason}"
