"""Wall time and peak memory of the main commands, each in a fresh outputs folder.

run: python scripts/bench_main_job.py [--data-dir ../shared/data] [--only NAME ...]
Prints machine, n, seconds against the limit that the project promises on two cores, and where
the time of each arm went (from the records).
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

JOBS = {
    "smoke": (["+experiment=smoke"], 60),
    "dp_vs_fairness, digits": (["+experiment=dp_vs_fairness"], 90),
    "full_table, digits": (["+experiment=full_table"], 360),
    "full_table, adult": (["+experiment=full_table", "dataset=adult"], 720),
}


def shares(outputs):
    """Seconds by stage over all records of a run."""
    total = Counter()
    for path in outputs.glob("arms/*/record.json"):
        record = json.loads(path.read_text())
        for evaluation in record["evaluations"].values():
            total[evaluation["evaluator"]["name"]] += evaluation["seconds"]
    for path in outputs.glob("fits/*/fit.json"):
        total["training"] += json.loads(path.read_text())["facts"].get("train_seconds", 0.0)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=None)
    parser.add_argument("--only", nargs="*", default=list(JOBS), choices=list(JOBS))
    a = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, python {platform.python_version()}")
    for name in a.only:
        overrides, limit = JOBS[name]
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "trustbench", "run", *overrides]
            command.append(f"output_dir={folder}")
            if a.data_dir:
                command.append(f"data_dir={Path(a.data_dir).absolute()}")
            start = time.perf_counter()
            done = subprocess.run(
                command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            wall = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            arms = len(list(Path(folder).glob("arms/*/record.json")))
            print(f"\n{name}: exit {done.returncode}, {arms} arms, n = 1 run")
            print(
                f"  {wall:6.1f} s of {limit} s allowed ({wall / limit:.2f}); "
                f"largest process so far {peak:.2f} GiB"
            )
            for stage, seconds in shares(Path(folder)).most_common():
                print(f"  {seconds:8.1f} s  {stage}")


if __name__ == "__main__":
    main()
