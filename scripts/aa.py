"""The A/A experiment: two arms that differ by nothing but luck, for every metric column.

run: python scripts/aa.py --repetitions 200 --jobs 2 [--setting silobank digits] [--into outputs/aa]

Each repetition draws new data, halves and initialisations, trains the baseline and its `reseed`
control at small size, and measures both with every evaluator there is. The true effect of each
column is zero, so its 95 % interval should exclude zero in 5 % of the repetitions, and the
printed table should almost never name a harm or a benefit. A repetition is one line of
INTO/SETTING.jsonl; a second call does only what is missing, evaluator by evaluator.
Writes docs/aa.md from all the lines in INTO; see docs/statistics.md for what the numbers mean.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from scipy.stats import beta

from trustbench import runner
from trustbench.arms import Arm, Chosen
from trustbench.aspects import Aspect
from trustbench.compose.arguments import conf_dir
from trustbench.compose.running import compose, composed_arm
from trustbench.contracts import Dataset, Evaluator, Measurement, Problem, System
from trustbench.deployment import deploy
from trustbench.identity import evaluation_id
from trustbench.job import prepare_torch
from trustbench.planning import Plan, plan
from trustbench.plugins import discover
from trustbench.records import Evaluation, MeasurementRecord, Record, Store
from trustbench.summary.contrasts import Contrast, between, metrics_of, within
from trustbench.summary.effects import Kind, paired_effect
from trustbench.summary.grouping import group_records
from trustbench.summary.registry import load_table
from trustbench.summary.table import summarize

ROOT = Path(__file__).resolve().parents[1]
TABLE = "cresswell"
BAND = (0.02, 0.09)  # of the rate at which an interval excludes zero
TABLES_BAND = 0.07  # largest share of tables with a false harm or benefit
SMALL = ["model.hidden=[24]", "protocol.replicates=16", "training.snapshots=2"]
TUNED = ["training=tuned", "training.epochs=12"]
MEMORISING = ["training=memorising", "training.epochs=40", "training.max_members=120"]
SETTINGS = {
    "silobank": ["dataset=silobank", "dataset.rows=1400", "dataset.minority=0.3"],
    "digits": ["dataset=digits"],
    "silobank, groups shuffled": [
        "dataset=silobank", "dataset.rows=1400", "dataset.minority=0.3"
    ],
}  # fmt: skip
# Evaluators at smaller size: a field of this name is never above this value.
CAPS = {
    "points": 24, "samples": 120, "patch_samples": 60, "permutations": 20, "queries": 20,
    "steps": 5, "restarts": 1, "random_draws": 2, "draws": 20, "repeats": 3, "min_group": 10,
    "min_cell": 5, "max_groups": 4, "epochs": 20, "trees": 20, "pairs": 24, "rows": 200,
}  # fmt: skip


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


REGIMES = ("tuned", "memorising")


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
        params = yaml.safe_load(path.read_text())[name]
        overrides += [
            f"evaluator.{name}.{k}={CAPS[k]}"
            for k, v in params.items()
            if k in CAPS and isinstance(v, int) and v > CAPS[k]
        ]
    arm = composed_arm(compose(overrides))
    if "shuffled" in setting:
        arm = replace(arm, dataset=Chosen(arm.dataset.name, ShuffledGroups(arm.dataset.plugin)))
    return arm


@cache
def channels(setting: str) -> tuple[tuple[Chosen, bool], ...]:
    """Methods that only deploy, and whether the table registers them; those come first."""
    registered = {cell.intervention for cell in registered_table().cells}
    found = []
    for name in discover("intervention", [conf_dir()]):
        overrides = [*SETTINGS[setting], f"intervention=[{name}]"]
        for chosen in composed_arm(compose(overrides)).interventions:
            # a method that changes a release needs another one that opens the channel
            if not chosen.plugin.retrains and chosen.plugin.deploys != "release":
                found.append((chosen, name in registered))
    return tuple(sorted(found, key=lambda f: not f[1]))


@cache
def registered_table():
    return load_table(conf_dir() / "table" / f"{TABLE}.yaml")


def deployed(base: Plan, setting: str, store: Store) -> Iterator[Deployed]:
    """The bare system, then the same replicates with each method that only deploys."""
    yield Deployed(*deploy(base, store, quiet), registered=True)
    for chosen, registered in channels(setting):
        if chosen.plugin.supports(base.problem, base.schedule) is None:
            arm = replace(base.arm, interventions=(chosen,))
            yield Deployed(*deploy(plan(arm), store, quiet), registered=registered)


def quiet(stage: str, done: int, total: int) -> None:
    """No progress."""


def measured(evaluator: Chosen[Evaluator], systems: list[Deployed]) -> Evaluation | None:
    """What an evaluator returns on the first system that it supports, plus what only a channel
    of a registered method gives."""
    found: dict[str, MeasurementRecord] = {}
    started = time.perf_counter()
    for each in systems:
        more = each.registered and each.changed & evaluator.plugin.reads
        if (found and not more) or evaluator.plugin.supports(each.system) is not None:
            continue
        for m in evaluator.plugin.measure(each.system).measurements:
            found.setdefault(m.name, compact(m))
    seconds = round(time.perf_counter() - started, 3)
    if not found:
        return None
    return Evaluation(evaluator=evaluator.spec(), status="ok", seconds=seconds, measurements=found)


def compact(m: Measurement) -> MeasurementRecord:
    rounded = [float(f"{v:.7g}") for v in m.values]
    fields = ("higher_is_better", "unit", "n", "lower", "upper", "diagnostic")
    return MeasurementRecord(values=rounded, **{k: getattr(m, k) for k in fields})


def repetition(setting: str, seed: int, done: frozenset[str], only: frozenset[str]) -> str:
    """One line: the seed and the records of both arms in both regimes.

    `done` are evaluations that an earlier line has, `only` the evaluators asked for (empty: all).
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
            for control in ("none", "reseed") if wanted else ():
                pair = replace(arm, control=control)
                records.append(measured_arm(pair, setting, list(wanted.values()), Path(folder)))
    content = {"seed": seed, "seen": seen, "records": records}
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def measured_arm(arm: Arm, setting: str, wanted: list[Chosen[Evaluator]], folder: Path) -> dict:
    prepare_torch(arm)
    base = plan(arm)
    systems = list(deployed(base, setting, Store(folder)))
    found = {evaluation_id(e): measured(e, systems) for e in wanted}
    kept = {k: e for k, e in found.items() if e is not None}
    return runner.describe(base, "ok", evaluations=kept).model_dump(mode="json")


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


def lines_file(folder: Path, setting: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{setting.replace(', ', '-').replace(' ', '_')}.jsonl"


def read(path: Path) -> dict[int, tuple[frozenset[str], list[Record]]]:
    """{seed: (evaluations seen, records)}; lines of one seed are merged by arm."""
    found: dict[int, tuple[set[str], dict[str, Record]]] = defaultdict(lambda: (set(), {}))
    for line in path.read_text().splitlines() if path.exists() else ():
        content = json.loads(line)
        seen, records = found[content["seed"]]
        seen.update(content["seen"])
        for data in content["records"]:
            record = Record.model_validate(data)
            if record.id in records:
                records[record.id].evaluations.update(record.evaluations)
            else:
                records[record.id] = record
    return {s: (frozenset(seen), list(r.values())) for s, (seen, r) in sorted(found.items())}


# --- the report --------------------------------------------------------------------------------


@dataclass
class Column:
    """How often the interval of one column excluded zero, over repetitions."""

    excluded: int = 0
    n: int = 0
    ties: float = 0.0  # the share of differences that are exactly zero, summed over repetitions
    effects: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)  # standard errors of the t interval

    def add(self, differences: np.ndarray) -> None:
        e = paired_effect(differences)
        self.n += 1
        self.excluded += e.low > 0 or e.high < 0
        self.ties += float((differences == 0).mean())
        self.effects.append(e.effect)
        self.errors.append(e.sd / len(differences) ** 0.5)

    @property
    def rate(self) -> float:
        return self.excluded / self.n

    @property
    def spread(self) -> float:
        """The standard deviation of the effects over the root mean square standard error: 1 when
        replicates are independent, more where their differences move together."""
        rms = float(np.sqrt(np.mean(np.square(self.errors))))
        return float(np.sqrt(np.mean(np.square(self.effects)))) / rms if rms else float("nan")


def columns(lines: dict[int, tuple[frozenset[str], list[Record]]]) -> dict[tuple, Column]:
    """{(regime, contrast, metric): Column}: reseed - baseline, and observed - null on reseed."""
    found: dict[tuple, Column] = defaultdict(Column)
    for _, records in lines.values():
        group = group_records(records)[0]
        for regime in REGIMES:
            reseed, baseline = group.reseed(regime), group.baseline(regime)
            for metric in metrics_of(reseed, group.evaluations) if reseed else ():
                contrast = between(reseed, baseline, metric, group.evaluations)
                if isinstance(contrast, Contrast):
                    found[regime, "reseed - baseline", metric].add(contrast.differences)
            for metric, against in nulls() if reseed else ():
                contrast = within(reseed, metric, against, group.evaluations)
                if isinstance(contrast, Contrast):
                    name = f"{metric} - {against.split('/')[1]}"
                    found[regime, "observed - null", name].add(contrast.differences)
    return dict(sorted(found.items()))


@cache
def nulls() -> tuple[tuple[str, str], ...]:
    """Every (metric, against) that the table registers."""
    measures = [c.measure(binary) for c in registered_table().cells for binary in (False, True)]
    named = [m for measure in measures if measure for m in (measure, *measure.secondary)]
    return tuple(sorted({(m.metric, m.against) for m in named if m.against is not None}))


def false_verdicts(lines: dict) -> tuple[int, int, int]:
    """Tables with a false harm or benefit in the reseed row, tables, and cells in the family."""
    wrong = tables = family = 0
    for _, records in lines.values():
        row = summarize(records, registered_table())[0].reseed
        judged = [c for c in row if c.estimate.p_adjusted is not None]
        tables += bool(judged)
        family = max(family, len(judged))
        wrong += any(c.verdict.kind in (Kind.HARM, Kind.BENEFIT) for c in judged)
    return wrong, tables, family


def clopper_pearson(k: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a binomial rate."""
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    return low, float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0


def verdict_of(column: Column) -> str:
    """Whether the rate is in the band, or whether the interval is even sure that it is not."""
    if BAND[0] <= column.rate <= BAND[1]:
        return ""
    low, high = clopper_pearson(column.excluded, column.n)
    return "**outside**" if high < BAND[0] or low > BAND[1] else "outside, by chance or not"


def section(setting: str, lines: dict) -> list[str]:
    found = columns(lines)
    wrong, tables, family = false_verdicts(lines)
    text = [
        f"## {setting}",
        "",
        f"`{' '.join(SETTINGS[setting])}`; n = {len(lines)} repetitions.",
        "",
    ]
    if tables:
        low, high = clopper_pearson(wrong, tables)
        good = "within" if wrong <= TABLES_BAND * tables else "**above**"
        text += [
            (
                f"Tables with a false harm or benefit (Holm over {family} cells of the reseed "
                f"row): {wrong} of {tables} ({wrong / tables:.3f}, 95 % [{low:.3f}, {high:.3f}]), "
                f"{good} the {TABLES_BAND:.0%} allowed."
            ),
            "",
        ]
    between_columns = [c for (_, kind, _), c in found.items() if kind == "reseed - baseline"]
    outside = sum(bool(verdict_of(c)) for c in between_columns)
    pooled = sum(c.excluded for c in between_columns) / sum(c.n for c in between_columns)
    text += [
        (
            f"{len(between_columns)} columns, {outside} outside of [{BAND[0]:.0%}, {BAND[1]:.0%}]; "
            f"all together exclude zero in {pooled:.3f} of the cases."
        ),
        "",
        "| column | regime | n | rate | 95 % of the rate | ties | spread | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (regime, _, metric), c in found.items():
        low, high = clopper_pearson(c.excluded, c.n)
        text.append(
            f"| `{metric}` | {regime} | {c.n} | {c.rate:.3f} | [{low:.3f}, {high:.3f}] | "
            f"{c.ties / c.n:.2f} | {c.spread:.2f} | {verdict_of(c)} |"
        )
    return [*text, ""]


HEAD = """# A/A: how often a column raises a false alarm

Made by `python scripts/aa.py --repetitions 200 --jobs 2 --setting {settings}`; do not edit.

Two arms that differ by initialisation and batch order only (the baseline and its `reseed`
control) on the same halves of small data, trained and measured anew in every repetition. *rate*:
how often the unadjusted 95 % interval of the paired difference excludes zero, which should be
.05; *ties*: the share of differences that are exactly zero; *spread*: the standard deviation of
the effect over repetitions, over the standard error that the interval assumes. Above 1 the
replicates' differences move together. A row `metric - null` is a registered observed - null
contrast on the reseed arm alone: its true value is zero only where the setting makes it so.
"""


def report(folder: Path, out: Path) -> None:
    found = {s: read(lines_file(folder, s)) for s in SETTINGS}
    found = {s: lines for s, lines in found.items() if lines}
    named = " ".join(f"'{s}'" if " " in s else s for s in found)
    text = [HEAD.format(settings=named)]
    for setting, lines in found.items():
        text += section(setting, lines)
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    print("\n".join(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the seed of the first repetition")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--setting", nargs="*", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--only", nargs="*", default=[], help="these evaluators only")
    parser.add_argument("--into", type=Path, default=ROOT / "outputs" / "aa")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "aa.md")
    a = parser.parse_args()
    for setting in a.setting:
        simulate(setting, a)
    report(a.into, a.out)


if __name__ == "__main__":
    main()
