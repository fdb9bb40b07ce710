"""Time and memory of reading a large table: a generated CSV of 50 columns and a million rows.

    python scripts/bench_read_table.py [--rows 1000000]

Prints the seconds that `read_frame` took, by the clock and by the processor, and the most memory
that the process held. The limits are 30 s and 4 GB for the default size.
"""

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from trustbench.datasets.loading.frames import read_frame


def table(rows):
    """30 decimals, 8 whole numbers, 7 columns of words, and a boolean, date, code, id and class."""
    rng = np.random.default_rng(0)
    words = np.array([f"level {k}" for k in range(50)], dtype=object)
    days = np.datetime64("2000-01-01") + rng.integers(0, 8000, rows)
    codes = np.array([f"{k:05d}" for k in range(100_000)], dtype=object)
    return pa.table(
        {
            **{f"x_{k}": np.round(rng.normal(size=rows) * 10 ** (k % 6), 4) for k in range(30)},
            **{f"n_{k}": rng.integers(0, 100_000, rows) for k in range(8)},
            **{f"w_{k}": words[rng.integers(0, 50, rows)] for k in range(7)},
            "member": np.array(["no", "yes"], dtype=object)[rng.integers(0, 2, rows)],
            "day": days.astype(str),
            "zip": codes[rng.integers(0, len(codes), rows)],
            "id": np.array([f"c{k}" for k in range(rows)], dtype=object),
            "y": rng.integers(0, 2, rows),
        }
    )


def measured(path):
    clock, processor = time.perf_counter(), time.process_time()
    frame = read_frame(path)
    seconds = time.perf_counter() - clock, time.process_time() - processor
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return frame.table.shape, seconds, kib / 2**20


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--write", type=Path, help="only writes the table to a file")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        arrow_csv.write_csv(table(chosen.rows), chosen.write)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        size = ["--rows", str(chosen.rows), "--write", str(path)]
        subprocess.run([sys.executable, __file__, *size], check=True)  # its memory does not count
        (rows, columns), (clock, processor), gib = measured(path)
        megabytes = path.stat().st_size / 1e6
    print(f"{platform.machine()}, Python {platform.python_version()}, pyarrow {pa.__version__}")
    print(f"{rows:,} rows x {columns} columns, {megabytes:,.0f} MB of CSV")
    print(f"{clock:.1f} s by the clock, {processor:.1f} s of processor time, {gib:.2f} GiB held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
