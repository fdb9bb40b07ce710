"""`trustbench plan`: every arm of a run or sweep with its verdict, and nothing is trained."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from trustbench.commands.lookup import table_at
from trustbench.commands.past_durations import Past, seconds_text
from trustbench.config.arms import Arm
from trustbench.config.compose import Asked, hydra_run
from trustbench.config.identity import evaluation_id
from trustbench.errors import Unsupported, UserError
from trustbench.execution import job
from trustbench.execution.pilot import assumed, settled
from trustbench.execution.plan import Plan, plan, refuse_impossible
from trustbench.store.records import PluginSpec, Record, Store
from trustbench.summary.render.escaping import visible
from trustbench.summary.render.known_interactions import lines
from trustbench.summary.render.text_table import aligned
from trustbench.summary.table.registry import Table

USAGE = """usage: trustbench plan [+experiment=NAME] [key=value ...] [-m] [FLAGS]

Says what `trustbench run` with the same arguments would do, and does none of it: each arm is
done, to do, to do in part, unsupported or refused, and why; how long it may take, from past
records; and which interactions of its methods are known, with references.
"""
HEAD = ("arm", "what", "verdict", "seconds", "why")


@dataclass(frozen=True)
class Row:
    """One arm of the plan."""

    name: str
    what: str
    verdict: str
    """done | to do | to do in part | unsupported | refused | same"""
    why: str = ""
    arm_id: str | None = None
    missing: tuple[str, ...] = ()
    """The evaluators that are still to run."""
    seconds: float | None = None
    """How long it may take; None where no past record tells."""
    key: str | None = None
    """What arms that are the same share; None where the arm cannot be planned."""
    rate: str | None = None
    """How its learning rate is chosen, if a pilot chooses it."""

    @property
    def open(self) -> bool:
        """Whether a run would train or measure something."""
        return self.verdict in ("to do", "to do in part")


class _Composed(Exception):  # ends Hydra's run before its launcher starts anything
    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self.asked = asked


def main(args: Sequence[str]) -> int:
    """0 once the plan is printed; 2 when an arm is refused, as a run would refuse it."""
    if any(a in ("-h", "--help") for a in args):
        print(USAGE, end="")  # noqa: T201
        return 0
    try:
        hydra_run(args, _stop, job.label)
    except _Composed as composed:
        asked = composed.asked
    else:
        return 0  # Hydra only printed something: --cfg, --info
    table = table_at(asked.table)
    rows = planned(asked.arms, Store(asked.first.output_dir))
    for line in _lines(asked, rows, table):
        print(visible(line))  # noqa: T201
    return 2 if any(r.verdict == "refused" for r in rows) else 0


def _stop(asked: Asked) -> NoReturn:
    raise _Composed(asked)


def planned(arms: Mapping[str, Arm], store: Store) -> list[Row]:
    """The verdict on every arm, in order; nothing is written."""
    records = {r.id: r for r in store.records()}
    past, rows = Past(list(records.values())), list[Row]()
    first: dict[str, str] = {}
    for name, arm in arms.items():
        row = _row(name, arm, store, records, past)
        same = first.setdefault(row.key, name) if row.key else name
        if same != name:
            row = replace(row, verdict="same", why=f"the same arm as {same}", seconds=0.0)
        rows.append(row)
    return rows


def _row(name: str, arm: Arm, store: Store, records: Mapping[str, Record], past: Past) -> Row:
    blank = Row(name, job.label(arm), "refused")
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
    """Which learning rate a pilot has chosen, or will choose from."""
    arm, pilot = made.arm, made.arm.pilot
    if pilot is None:
        return None
    where = f"{arm.dataset.name}/{arm.model.name}, {arm.training.regime}, seed {arm.seed}"
    if known:
        return f"learning rate ({where}): {pilot.line()}"
    grid = ", ".join(f"{rate:zg}" for rate in sorted(arm.training.lr_grid))
    return f"learning rate ({where}): a pilot will choose from {grid} ({pilot.effort} at each)"


def _with_record(blank: Row, made: Plan, record: Record | None, past: Past) -> Row:
    """The verdict on an arm that can be run, by what its record has."""
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
    """What became of an arm that has a record and is not finished."""
    if record.status == "started":
        return "an earlier run did not finish it, or still runs"
    reason = (record.reason or "no reason recorded").strip().split("\n")[0]
    return f"{record.status} when it was run: {reason}"


def _lines(asked: Asked, rows: Sequence[Row], table: Table) -> list[str]:
    said = [
        f"experiment {asked.experiment}, table {table.name}, records in {asked.first.output_dir}"
    ]
    cells = [[r.name, r.what, r.verdict, seconds_text(r.seconds), _one_line(r.why)] for r in rows]
    said += dict.fromkeys(r.rate for r in rows if r.rate)
    said += ["", *aligned(HEAD, cells), "", _counts(rows), *_time(rows)]
    methods = _methods(asked.arms.values())
    known = list(lines(table, methods))
    if known:
        names = ", ".join(m.name for m in methods)
        said += ["", f"known interactions of {names}, registered before the run:"]
        said += [f"  {line}" for line in known]
    return said


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _counts(rows: Sequence[Row]) -> str:
    verdicts = [r.verdict for r in rows]
    found = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    return f"{len(rows)} arm{'s' if len(rows) > 1 else ''}: {found}"


def _time(rows: Sequence[Row]) -> list[str]:
    """How long what is open may take, and for how much of it no record tells."""
    known = [r.seconds for r in rows if r.open and r.seconds is not None]
    unknown = sum(r.open and r.seconds is None for r in rows)
    said = []
    if known:
        said.append(
            f"about {sum(known):z.0f} s for {len(known)} of them, one after another, by the median "
            "of past records of the same data, model, training and methods"
        )
    if unknown:
        said.append(f"unknown for {unknown}: no past record of the same methods tells")
    return said


def _methods(arms: Iterable[Arm]) -> list[PluginSpec]:
    """The interventions of all arms, each name once."""
    found: dict[str, PluginSpec] = {}
    for arm in arms:
        for chosen in arm.interventions:
            found.setdefault(chosen.name, chosen.spec())
    return list(found.values())
