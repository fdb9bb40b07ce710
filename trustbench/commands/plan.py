"""`trustbench plan`: every arm of a run or sweep with its verdict; trains nothing."""

from collections.abc import Iterable, Sequence

from trustbench.api.lookup import table_at
from trustbench.api.past_durations import seconds_text
from trustbench.api.plans import PlannedArm, planned
from trustbench.config.arms import Arm
from trustbench.config.compose import RunRequest, run_request
from trustbench.store.records import PluginSpec, Store
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


def main(args: Sequence[str]) -> int:
    """Returns 0 once the plan is printed; 2 if an arm is refused, as in a run."""
    if any(a in ("-h", "--help") for a in args):
        print(USAGE, end="")  # noqa: T201
        return 0
    request = run_request(args)
    if request is None:
        return 0  # Hydra only printed something: --cfg, --info
    table = table_at(request.table, request.metrics)
    rows = planned(request.arms, Store(request.first.output_dir))
    for line in _lines(request, rows, table):
        print(visible(line))  # noqa: T201
    return 2 if any(r.verdict == "refused" for r in rows) else 0


def _lines(request: RunRequest, rows: Sequence[PlannedArm], table: Table) -> list[str]:
    folder = request.first.output_dir
    said = [f"experiment {request.experiment}, table {table.name}, records in {folder}"]
    cells = [[r.name, r.what, r.verdict, seconds_text(r.seconds), _one_line(r.why)] for r in rows]
    said += dict.fromkeys(r.rate for r in rows if r.rate)
    said += ["", *aligned(HEAD, cells), "", _counts(rows), *_time(rows)]
    methods = _methods(request.arms.values())
    known = list(lines(table, methods))
    if known:
        names = ", ".join(m.name for m in methods)
        said += ["", f"known interactions of {names}, registered before the run:"]
        said += [f"  {line}" for line in known]
    return said


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _counts(rows: Sequence[PlannedArm]) -> str:
    verdicts = [r.verdict for r in rows]
    found = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
    return f"{len(rows)} arm{'s' if len(rows) > 1 else ''}: {found}"


def _time(rows: Sequence[PlannedArm]) -> list[str]:
    """How long the open arms may take, and for how many of them no record tells."""
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
