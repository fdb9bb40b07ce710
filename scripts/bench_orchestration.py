"""The overhead of running many arms: starts, resume, plan, and parallel writers.

    python scripts/bench_orchestration.py [--only start resume plan writers] [--repeats 3]

Each figure is printed with n, the machine and its load. Along with the wall time it prints the
processor time of all processes, which is the duration of a command on an idle machine. Everything
is written to a temporary folder. `--folder DIR` keeps it, and finds the finished sweep of an
earlier call there.
"""

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median

from bench_pool import server_seconds, start_seconds

from trustbench import tracking
from trustbench.launching.server import ForkServer
from trustbench.store.records import Store

ARMS, PLANNED, WRITERS, EACH = 100, 1000, 8, 5
SMALL = ("dataset=digits", "model=logistic", "training.epochs=1", "protocol.replicates=2",
         "evaluator=utility")  # fmt: skip
EXPERIMENT = """# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    arms:
      baseline: []
{arms}"""


def sweep(folder, arms):
    """The arguments of a sweep of that many arms, which differ in the dose of one method."""
    path = folder / "conf" / "experiment" / f"bench{arms}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    method = "gaussian_augmentation"
    listed = "".join(
        f"      s{k}: [intervention={method}, intervention.{method}.sigma={k / arms:.4f}]\n"
        for k in range(1, arms)
    )
    path.write_text(EXPERIMENT.format(arms=listed))
    return ["--config-dir", folder / "conf", f"+experiment=bench{arms}", *SMALL,
            f"output_dir={folder / 'outputs'}"]  # fmt: skip


def timed(*args):
    """(wall seconds, processor seconds, output) of `trustbench ARGS`; exits when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    command = [sys.executable, "-m", "trustbench", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    spent = sum(getattr(after, k) - getattr(before, k) for k in ("ru_utime", "ru_stime"))
    return wall, spent, done.stdout + done.stderr


def report(what, limit, found):
    """One line: medians and the worst, n, and the limit."""
    walls, spent = [w for w, *_ in found], [s for _, s, *_ in found]
    print(
        f"{what}: wall median {median(walls):.1f} s, longest {max(walls):.1f} s; processor median "
        f"{median(spent):.1f} s, longest {max(spent):.1f} s; n={len(found)}, limit {limit} s"
    )


def bench_start(_folder, _repeats):
    """An arm's process, once the fork server has imported what arms import."""
    server = ForkServer()
    ready = server_seconds(server)
    seconds = [to_code for to_code, _ in start_seconds(server, 50)]
    print(
        f"start of an arm's process: median {median(seconds):.3f} s, longest {max(seconds):.3f} s; "
        f"n={len(seconds)}, limit 0.5 s (the server was ready after {ready:.1f} s)"
    )


def bench_resume(folder, repeats):
    """The whole command again when all of its arms are finished."""
    args = ["run", *sweep(folder, ARMS)]
    if len(list(folder.glob("outputs/arms/*/record.json"))) < ARMS:
        wall, _, _ = timed(*args)
        print(f"first run of {ARMS} arms: {wall:.0f} s")
        timed(*args)  # the first run that finds all arms finished uploads what a server misses
    found = [timed(*args) for _ in range(repeats)]
    kept = found[-1][2].count("kept ")
    if kept < ARMS:
        sys.exit(f"only {kept} of {ARMS} arms were kept")
    report(f"resume of {ARMS} finished arms", 5, found)


def bench_plan(folder, repeats):
    """`trustbench plan` of a thousand arms."""
    found = [timed("plan", *sweep(folder, PLANNED)) for _ in range(max(1, repeats // 2))]
    if f"{PLANNED} arms:" not in found[-1][2]:
        sys.exit(f"the plan does not speak of {PLANNED} arms")
    report(f"plan of {PLANNED} arms", 60, found)


def write(root, k):
    """Uploads one finished record `EACH` times as separate experiments; returns seconds of each."""
    store = Store(Path(root))
    record = next(iter(store.records()))
    seconds = []
    for i in range(EACH):
        started = time.monotonic()
        tracking.log_record(store, None, f"writer{k}-{i}", record)
        seconds.append(time.monotonic() - started)
    return seconds


def bench_writers(_folder, _repeats):
    """Eight processes write to one SQLite database at once, after the parent created it."""
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "outputs"
        timed("run", *SMALL, f"output_dir={root}")
        with ProcessPoolExecutor(WRITERS) as pool:
            found = [s for each in pool.map(write, [root] * WRITERS, range(WRITERS)) for s in each]
        print(
            f"{WRITERS} writers to one SQLite file: {len(found)} runs without an error; median "
            f"{median(found):.2f} s, longest {max(found):.2f} s a run; n={len(found)}"
        )


BENCHES = {
    "start": bench_start,
    "resume": bench_resume,
    "plan": bench_plan,
    "writers": bench_writers,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(BENCHES), choices=list(BENCHES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).absolute()
        for name in given.only:
            BENCHES[name](folder, given.repeats)


if __name__ == "__main__":
    main()
