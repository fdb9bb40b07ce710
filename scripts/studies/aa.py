"""The A/A experiment: two arms that differ only by chance, for every metric column.

run: python scripts/studies/aa.py --repetitions 200 --jobs 2 [--setting silobank digits]
     [--into outputs/aa]

Each repetition draws new data, halves and initialisations, trains the baseline and its `reseed`
control at small size, and measures both with every evaluator there is. The true effect of each
column is zero, so its 95 % interval should exclude zero in 5 % of the repetitions, and the
printed table should almost never name a harm or a benefit. A repetition is one line of
INTO/SETTING.jsonl; a second call does only what is missing, evaluator by evaluator.
Writes docs/results/aa.md from all the lines in INTO; docs/statistics.md says what the numbers
mean.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml
from aa_report import REGIMES, lines_file, read, registered_table, report
from aa_settings import CAPS, ENOUGH, MEMORISING, SETTINGS, SMALL, TUNED

from trustbench.config.arms import Arm, Chosen
from trustbench.config.compose.arguments import conf_dir
from trustbench.config.compose.running import compose, composed_arm
from trustbench.config.identity import evaluation_id
from trustbench.config.plugins import discover
from trustbench.contracts import Dataset, Evaluator, Measurement, Problem, System
from trustbench.contracts.aspects import Aspect
from trustbench.execution import record as recording
from trustbench.execution.deploy import deploy
from trustbench.execution.fit import fit
from trustbench.execution.job import prepare_torch
from trustbench.execution.other_systems import with_other_systems
from trustbench.execution.plan import Plan, plan
from trustbench.store.records import Evaluation, MeasurementRecord, Record, Store

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ShuffledGroups(Dataset):
    """A data set whose groups are reassigned to its rows at random, so that no gap is real."""

    inner: Dataset

    def load(self, data_dir, streams) -> Problem:
        problem = self.inner.load(data_dir, streams)
        group = problem.group.copy()
        for rows in problem.splits.values():  # within splits: each keeps enough of every group
            group[rows] = streams.numpy("data", 1).permutation(group[rows])
        return replace(problem, group=group)


@dataclass(frozen=True)
class Deployed:
    """A system, the channels that its method changed, and whether the table registers it."""

    system: System
    changed: frozenset[str]
    registered: bool


# --- one repetition ----------------------------------------------------------------------------


@cache
def small_arm(setting: str, regime: str) -> Arm:
    """The baseline arm at small size with every evaluator."""
    overrides = [*SETTINGS[setting], *SMALL, *(TUNED if regime == "tuned" else MEMORISING)]
    for name, path in discover("evaluator", [conf_dir()]).items():
        overrides += smaller("evaluator", name, path)
    arm = composed_arm(compose(overrides))
    if "shuffled" in setting:
        arm = replace(arm, dataset=Chosen(arm.dataset.name, ShuffledGroups(arm.dataset.plugin)))
    return arm


def smaller(kind: str, name: str, path: Path) -> list[str]:
    """Overrides that reduce the fields of a plugin to CAPS."""
    params = yaml.safe_load(path.read_text()).get(name) or {}
    caps = {**CAPS, **ENOUGH.get(name, {})}
    return [
        f"{kind}.{name}.{k}={caps[k]}"
        for k, v in params.items()
        if isinstance(v, list if isinstance(caps.get(k), list) else int) and v > caps.get(k, v)
    ]


@cache
def channels(setting: str) -> tuple[tuple[Chosen, bool], ...]:
    """Methods that only deploy, and whether the table registers them; registered ones first."""
    registered = {cell.intervention for cell in registered_table().cells}
    found = []
    for name, path in discover("intervention", [conf_dir()]).items():
        overrides = [*SETTINGS[setting], f"intervention=[{name}]"]
        overrides += smaller("intervention", name, path)
        for chosen in composed_arm(compose(overrides)).interventions:
            # a method that changes a release needs another one that opens the channel
            if not chosen.plugin.retrains and chosen.plugin.deploys != "release":
                found.append((chosen, name in registered))
    return tuple(sorted(found, key=lambda f: not f[1]))


class Systems(Sequence[Deployed | None]):
    """The bare system, then the same replicates with each method that only deploys; deployed
    when first asked for, None where a method cannot be applied."""

    def __init__(
        self, base: Plan, setting: str, store: Store, evaluators: Sequence[Chosen[Evaluator]]
    ) -> None:
        self.base, self.store, self.methods = base, store, channels(setting)
        self.evaluators = evaluators
        self.at = cache(self._at)

    def __len__(self) -> int:
        return 1 + len(self.methods)

    def __getitem__(self, k):
        return self.at(k)

    def _at(self, k: int) -> Deployed | None:
        if k == 0:
            return self._deployed(self.base, True)
        chosen, registered = self.methods[k - 1]
        if chosen.plugin.supports(self.base.problem, self.base.schedule) is not None:
            return None
        arm = replace(self.base.arm, interventions=(chosen,))
        return self._deployed(plan(arm), registered)

    def _deployed(self, made: Plan, registered: bool) -> Deployed:
        trained = fit(made, self.store, quiet)
        system, changed = deploy(made, trained, self.store, quiet)
        needs = {need for e in self.evaluators for need in e.plugin.needs_of(system)}
        system = with_other_systems(system, made, needs, self.store, quiet)
        if made.arm.control == "none":  # the baseline arm has no baseline to be compared with,
            system = replace(system, baseline=None)  # whatever else is released
        return Deployed(system, changed, registered)


def quiet(stage: str, done: int, total: int) -> None:
    """No progress."""


# (setting, control, regime and evaluator) -> positions of the systems measured on in the first
# repetition of this process; the others are not deployed again.
USED: dict[tuple[str, str, str], list[int]] = {}


def measured(
    key: tuple[str, str, str], evaluator: Chosen, systems: Systems
) -> tuple[Evaluation, dict[str, int]] | None:
    """What an evaluator returns on the first system that it supports, plus what only a channel
    of a registered method gives; and the position of the system that each metric comes from."""
    found: dict[str, MeasurementRecord] = {}
    origin: dict[str, int] = {}
    started, used = time.perf_counter(), []
    for k in USED.get(key, range(len(systems))):
        if found and k and not systems.methods[k - 1][1]:
            break  # registered methods come first
        each = systems[k]
        if each is None or (found and not each.changed & evaluator.plugin.reads):
            continue
        if evaluator.plugin.supports(each.system) is not None:
            continue
        used.append(k)
        for m in evaluator.plugin.measure(each.system).measurements:
            found.setdefault(m.name, compact(m))
            origin.setdefault(m.name, k)
    USED.setdefault(key, used)
    seconds = round(time.perf_counter() - started, 3)
    if not found:
        return None
    spec = evaluator.spec()
    return Evaluation(evaluator=spec, status="ok", seconds=seconds, measurements=found), origin


def compact(m: Measurement) -> MeasurementRecord:
    arrays = {k: getattr(m, k) for k in ("values", "pseudo", "shadowing")}
    rounded = {k: [float(f"{v:.7g}") for v in a] for k, a in arrays.items() if a is not None}
    fields = ("higher_is_better", "unit", "n", "lower", "upper", "diagnostic", "common_sd")
    return MeasurementRecord(**rounded, **{k: getattr(m, k) for k in fields})


def repetition(setting: str, seed: int, done: frozenset[str], only: frozenset[str]) -> str:
    """One line: the seed and the records of both arms in both regimes.

    `done` are the evaluations of an earlier line, `only` the requested evaluators (empty: all).
    Memorising replicates are measured for privacy, whose column is registered there.
    """
    records, seen = [], []
    with tempfile.TemporaryDirectory() as folder:
        for regime in REGIMES:
            arm = replace(small_arm(setting, regime), seed=seed)
            wanted = {
                f"{regime}/{evaluation_id(e)}": e
                for e in arm.evaluators
                if (regime == "tuned" or e.plugin.aspect in (None, Aspect.PRIVACY))
                and (not only or e.name in only)
            }
            wanted = {k: e for k, e in wanted.items() if k not in done}
            seen += wanted
            # The second other draw: evaluators that compare with a twin take the first themselves.
            pair = arm, replace(arm, control="reseed", reseeds=2)
            if wanted:
                arms = [measured_arm(a, setting, list(wanted.values()), Path(folder)) for a in pair]
                records += comparable(*arms)
    content = {"seed": seed, "seen": seen, "records": records}
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def measured_arm(
    arm: Arm, setting: str, wanted: list[Chosen[Evaluator]], folder: Path
) -> tuple[Record, dict[tuple[str, str], int]]:
    """The arm's record, and the system of each (evaluation, metric)."""
    prepare_torch(arm)
    base = plan(arm)
    systems = Systems(base, setting, Store(folder), wanted)
    keys = [(setting, arm.control, f"{arm.training.regime}/{evaluation_id(e)}") for e in wanted]
    found = {evaluation_id(e): measured(k, e, systems) for k, e in zip(keys, wanted, strict=True)}
    kept = {k: f for k, f in found.items() if f is not None}
    origins = {(k, name): at for k, (_, origin) in kept.items() for name, at in origin.items()}
    evaluations = {k: evaluation for k, (evaluation, _) in kept.items()}
    return recording.describe(base, "ok", evaluations=evaluations), origins


def comparable(*arms: tuple[Record, dict[tuple[str, str], int]]) -> list[dict]:
    """The records of two arms without the metrics that come from different systems: one that is
    missing on the first system of one arm alone is read from another method there."""
    for record, origins in arms:
        for key, name in origins:
            if len({other.get((key, name)) for _, other in arms}) > 1:
                del record.evaluations[key].measurements[name]
    return [record.model_dump(mode="json") for record, _ in arms]


# --- all repetitions ---------------------------------------------------------------------------


def simulate(setting: str, a: argparse.Namespace) -> None:
    """Appends the lines that are missing; a killed call loses the repetitions in progress."""
    path = lines_file(a.into, setting)
    done = {seed: seen for seed, (seen, _) in read(path).items()}
    started, count = time.perf_counter(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(a.jobs, mp_context=context) as pool, path.open("a") as out:
        jobs = [
            pool.submit(repetition, setting, seed, done.get(seed, frozenset()), frozenset(a.only))
            for seed in range(a.first, a.first + a.repetitions)
        ]
        for job in as_completed(jobs):
            line = job.result()
            if json.loads(line)["records"]:
                out.write(line + "\n")
                out.flush()
                count += 1
    seconds = time.perf_counter() - started
    print(f"{setting}: {count} repetitions computed in {seconds:.0f} s on {a.jobs} processes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first repetition")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--setting", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--only", nargs="*", default=[], help="these evaluators only")
    parser.add_argument("--into", type=Path, default=ROOT / "outputs" / "aa")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "aa.md")
    a = parser.parse_args()
    for setting in a.setting:
        simulate(setting, a)
    report(a.into, a.out, SETTINGS, a.only)


if __name__ == "__main__":
    main()
