"""The vignette of Cresswell 2025 as a worked example: four silos, and DP-SGD added late.

run: trustbench run +experiment=silobank
     trustbench run +experiment=full_table dataset=adult      (the second part; needs the data)
     python scripts/studies/silobank.py [--from outputs] [--data-dir data]
     [--out docs/results/silobank.md]

Writes docs/results/silobank.md: every block is the output of the command above it on the stored
records.
"""

import argparse
import contextlib
import io
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trustbench.commands import cli
from trustbench.config.compose.running import compose, composed_arm
from trustbench.contracts.seeding import Streams
from trustbench.store.records import Record, Store
from trustbench.summary.stats.effects import paired_effect

ROOT = Path(__file__).resolve().parents[2]
SILOS = ("fairness", "robustness", "explainability", "uncertainty")
LATE = "dpsgd epsilon=3"
MARK = {0: "passes", 3: "is violated", 4: "is inconclusive"}


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--from", dest="folder", default="outputs")
    p.add_argument("--out", default="docs/results/silobank.md")
    p.add_argument("--data-dir", default="data")
    given = p.parse_args()
    store = Store(Path(given.folder))
    text = "\n".join([*_silobank(store), *_adult(store, Path(given.data_dir))])
    (ROOT / given.out).write_text(text, encoding="utf-8")


def _silobank(store: Store) -> Iterator[str]:
    yield "# A credit model passes four checks, and DP-SGD is added late\n"
    yield (
        "Made by `python scripts/studies/silobank.py` from the records of `trustbench run "
        "+experiment=silobank`; do not edit. The bank and its applicants are **synthetic** "
        "(`trustbench list datasets`); the story is the vignette of Cresswell (2025).\n"
    )
    baseline = _arm(store, "silobank", ())
    yield "## 1. Four teams check the model, each its own number\n"
    for silo in SILOS:
        policy = f"docs/silobank/{silo}.yaml"
        ids = ["--baseline", baseline.id, "--candidate", baseline.id]
        yield from _gate(store, ["--policy", policy, *ids], f"The {silo} check")
    yield "## 2. The privacy team adds DP-SGD, and checks privacy\n"
    late = ["--experiment", "silobank", "--arm", LATE]
    yield from _gate(store, ["--policy", "docs/silobank/privacy.yaml", *late], "The privacy check")
    yield "Nobody asks the other four teams again.\n"
    yield "## 3. The gate asks all of them\n"
    yield from _gate(store, ["--policy", "bank", *late], "The bank's whole policy")
    yield "Who pays:\n"
    yield from _harmed(baseline, _arm(store, "silobank", ("dpsgd",), epsilon=3.0), store, Path())
    for silo in SILOS:
        policy = ["--policy", f"docs/silobank/{silo}.yaml", *late]
        code, _ = _run(["gate", *policy, "--from", str(store.root), "--format", "md"])
        yield f"- the {silo} team's own check, asked again: {MARK[code]}"
    yield "\n## 4. A compromise\n"
    yield from _select(store, "silobank")


def _adult(store: Store, data_dir: Path) -> Iterator[str]:
    sweep = store.sweep("full_table")
    records = [r for r in map(store.read, sweep.arms if sweep else ()) if r is not None]
    if not records or records[0].arm.dataset.name != "adult":
        return
    yield "\n## The same on real data: Adult\n"
    yield (
        "From the records of `trustbench run +experiment=full_table dataset=adult`: census data of "
        "1994, groups by sex; a number here is a number about these data.\n"
    )
    late = ["--experiment", "full_table", "--arm", LATE]
    yield from _gate(store, ["--policy", "bank", *late], "The bank's whole policy")
    yield "Who pays:\n"
    treated = _arm(store, "full_table", ("dpsgd",), epsilon=3.0)
    yield from _harmed(_arm(store, "full_table", ()), treated, store, data_dir)
    yield ""
    yield from _select(store, "full_table")


def _gate(store: Store, args: Sequence[str], what: str) -> Iterator[str]:
    """The demands of a gate and its findings, as a table; returns its exit code as well."""
    code, text = _run(["gate", *args, "--from", str(store.root), "--format", "md"])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    yield f"```bash\ntrustbench gate {shlex.join(args)}\n```\n"
    yield f"{what} {MARK[code]} (exit code {code}):\n"
    yield "\n".join(rows) + "\n"


def _select(store: Store, experiment: str) -> Iterator[str]:
    args = ["select", "--policy", "bank", "--experiment", experiment]
    code, text = _run([*args, "--from", str(store.root), "--format", "md"])
    yield f"```bash\ntrustbench {shlex.join(args)}\n```\n"
    kept = text.split("### harm against")[0].split("\n\n", 2)
    yield f"Exit code {code}. {kept[0].removeprefix('## ')}\n"
    yield kept[2].replace("### ", "#### ")


def _run(args: Sequence[str]) -> tuple[int, str]:
    """The exit code of a command and its output; a crash is raised."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = cli.main(args)
    if code not in MARK:
        raise SystemExit(f"trustbench {shlex.join(args)} ended with {code}")
    return code, out.getvalue()


def _arm(store: Store, experiment: str, names: Sequence[str], **params: float) -> Record:
    """The tuned record of these methods in a sweep."""
    sweep = store.sweep(experiment)
    if sweep is None:
        raise SystemExit(f"no sweep here: trustbench run +experiment={experiment}")
    for record in map(store.read, sweep.arms):
        if record is None or record.arm.control != "none":
            continue
        own = record.arm.interventions
        same = [i.name for i in own] == list(names)
        fits = all(i.params.get(k) == v for i in own for k, v in params.items())
        if same and fits and record.arm.training["regime"] == "tuned":
            return record
    raise SystemExit(f"the sweep {experiment} has no tuned arm {names} {params}")


def _harmed(before: Record, after: Record, store: Store, data_dir: Path) -> Iterator[str]:
    """By group: good applicants refused and bad ones accepted, before and after, paired."""
    dataset = before.arm.dataset
    arm = composed_arm(compose([f"dataset={dataset.name}"]))
    _, y, group = arm.dataset.plugin.load(data_dir, Streams(before.arm.seed)).rows("test")
    old, new = (store.arrays(r.id)["logits"].argmax(-1) for r in (before, after))
    assert before.problem is not None
    yield "| group | error | before | after | paired difference |\n|---|---|---|---|---|"
    for g, name in enumerate(before.problem.groups):
        for label, error in ((1, "wrongly refused"), (0, "wrongly accepted")):
            rows = (group == g) & (y == label)
            a, b = _wrong(old, y, rows), _wrong(new, y, rows)
            e = paired_effect(b - a)
            yield (
                f"| {name} | {error} | {a.mean():z.3f} | {b.mean():z.3f} | {e.effect:+z.3f} "
                f"[{e.low:+z.3f}, {e.high:+z.3f}] n={e.n} |"
            )
    yield ""


def _wrong(
    decided: NDArray[np.int64], y: NDArray[np.int64], rows: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The share of wrong decisions [R] on some rows."""
    return np.asarray((decided[:, rows] != y[rows]).mean(1))


if __name__ == "__main__":
    main()
