"""How the time and memory of summaries grow with the number of records, by processor time.

    python scripts/bench_growth.py [--counts 100 244 1024 10000] [--repeats 3] [--write]

Every count runs in a process of its own, so that its memory is its own; its seconds are those of
the processor, which other work on the machine changes less than the clock's. The exponent is the
slope of log seconds over log records. `--write` puts the table into docs/results/performance.md.
"""

import argparse
import gc
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.summary.builder import ASPECTS, METRICS, R, method, record  # noqa: E402
from trustbench.api.tables import table  # noqa: E402

PAGE = ROOT / "docs" / "results" / "performance.md"
LIMIT_S, LIMIT_GIB = 5.0, 1.0


def records(count):
    """`count` finished records: a baseline, and arms that differ in the dose of one method."""
    methods, noise = list(ASPECTS), {metric: sd for metric, (_, sd, *_) in METRICS.items()}
    arms = [[]] + [[method(methods[k % len(methods)], strength=1.0 + k)] for k in range(1, count)]
    return [record(*arm, noise=noise, ident=f"{k:016x}") for k, arm in enumerate(arms)]


def measured(count):
    """The processor seconds of the table and its Markdown, and the peak memory in GiB."""
    gc.set_threshold(50_000)  # as every command does
    table(records(20))  # imports
    made = records(count)
    started = time.process_time()
    made_table = table(made)
    summarised = time.process_time()
    made_table.render("md")
    ended = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"summary": summarised - started, "markdown": ended - summarised, "gib": peak}


def apart(count):
    """`measured` in a process of its own."""
    command = [sys.executable, __file__, "--one", str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def exponent(counts, seconds):
    """The slope of log seconds over log counts."""
    return float(np.polyfit(np.log(counts), np.log(seconds), 1)[0])


def page(found, repeats):
    """The page, from what was measured."""
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    load = " ".join(f"{x:.1f}" for x in os.getloadavg())
    rows = [
        f"| {count:,} | {median(r['summary'] for r in runs):.2f} "
        f"| {min(r['summary'] for r in runs):.2f} to {max(r['summary'] for r in runs):.2f} "
        f"| {median(r['markdown'] for r in runs):.2f} | {max(r['gib'] for r in runs):.2f} |"
        for count, runs in found.items()
    ]
    fitted = [median(r["summary"] for r in runs) for runs in found.values()]
    growth = f"{exponent(list(found), fitted):.2f}" if len(found) > 1 else "not fitted"
    largest = max(found)
    metrics = sum(len(e.measurements) for e in record().evaluations.values())
    about = (
        f"`python scripts/bench_growth.py --repeats {repeats} --write` writes this page. {where}, "
        f"numpy {np.__version__}, load averages {load}: where they exceed the cores, other work "
        f"shared the machine. Seconds are those of the processor; n = {repeats} for each row."
    )
    target = (
        f"Exponent of the summary: {growth} (1 is linear). {largest:,} records took "
        f"{fitted[-1]:.1f} s; the target for 10,000 is {LIMIT_S:g} s and {LIMIT_GIB:g} GiB. Each "
        "effect is computed on its own; computing those of all arms at once would be the next step."
    )
    return f"""# Performance

{about}

## Growth with the number of records

One table of synthetic arms, each with {metrics} metrics of {R} replicates. Reading the files is not
part of it.

| records | summary, median (s) | range (s) | Markdown, median (s) | memory (GiB) |
|---|---|---|---|---|
{chr(10).join(rows)}

{target}
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="*", default=[100, 244, 1024, 10_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        print(json.dumps(measured(chosen.one)))
        return 0
    found = {n: [apart(n) for _ in range(chosen.repeats)] for n in chosen.counts}
    text = page(found, chosen.repeats)
    print(text)
    if chosen.write:
        PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
