"""Many trials, two at a time, and what they showed as a table."""

import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tests.faults import sweep
from tests.faults.kinds import KINDS, SERVED
from tests.faults.processes import adopt_orphans, die_with_parent, preload
from tests.faults.server import TrackingServer
from tests.faults.trial import Bench, Result, run_trial

PROMISES = {
    "lost": "finished arms lost",
    "duplicated": "finished work done again",
    "wrong": "wrong values",
    "hangs": "hangs",
    "tables": "other tables",
    "ends": "other surprises",
}
Task = tuple[str, int]


def chosen(count: int, kinds: Sequence[str] | None = None) -> list[Task]:
    """(kind, seed) of `count` trials, by the kinds' shares, in an order that mixes them."""
    shares = {k: share for k, (_, share) in KINDS.items() if kinds is None or k in kinds}
    total = sum(shares.values())
    tasks = [
        (kind, seed, (seed + 0.5) / share)
        for kind, share in shares.items()
        for seed in range(max(1, round(share * count / total)))
    ]
    return [(kind, seed) for kind, seed, _ in sorted(tasks, key=lambda t: (t[2], t[0]))]


def run_suite(
    folder: Path,
    tasks: Sequence[Task],
    seed: int,
    jobs: int,
    deadline_s: float,
    say: Callable[[str], object],
) -> list[Result]:
    """The results of all trials, in the order in which they ended."""
    say("importing, and running the sweep without a fault ...")
    preload()
    bench = _bench(folder, deadline_s, say)
    if any(kind in SERVED for kind, _ in tasks):
        server = TrackingServer(folder / "server")
        server.start()
        bench = replace(bench, server=server)
    try:
        results = []
        shifted = [(kind, 100 * seed + k) for kind, k in tasks]
        for result in _parallel(bench, shifted, jobs):
            results.append(result)
            say(_line(len(results), len(tasks), result))
        return results
    finally:
        if bench.server is not None:
            bench.server.close()


def _bench(folder: Path, deadline_s: float, say: Callable[[str], object]) -> Bench:
    conf, finished = folder / "conf", folder / "finished"
    sweep.write_experiment(conf)
    _in_a_fork(lambda: sweep.empty_database(folder / "template"))
    database = folder / "template" / "whole.db"
    sweep.put_database(database, finished)
    reference, seconds = sweep.undisturbed(conf, finished, deadline_s)
    sweep.remember_noise(finished)
    say(f"{len(reference.digests)} arms, {reference.lines} journal lines, {seconds:.0f} s")
    return Bench(folder, conf, database, finished, reference, deadline_s)


def _parallel(bench: Bench, tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """Each trial in a fork of this process, `jobs` at a time; those with the server one by one."""
    waiting, running = list(tasks), dict[int, Task]()
    while waiting or running:
        served = any(kind in SERVED for kind, _ in running.values())
        able = [t for t in waiting if not (served and t[0] in SERVED)]
        if able and len(running) < jobs:
            task = able[0]
            waiting.remove(task)
            running[_start(bench, task)] = task
            continue
        pid, status = os.wait()
        kind, seed = running.pop(pid)
        path = bench.folder / f"{kind}-{seed}.json"
        if status:
            yield Result(kind, seed, problems={"ends": [f"the trial broke: {path}.log"]})
        else:
            yield Result(**json.loads(path.read_bytes()))


def _start(bench: Bench, task: Task) -> int:
    kind, seed = task

    def work() -> None:
        die_with_parent()
        adopt_orphans()
        result = run_trial(bench, kind, KINDS[kind][0], seed)
        (bench.folder / f"{kind}-{seed}.json").write_text(json.dumps(asdict(result)))

    return _fork(work, bench.folder / f"{kind}-{seed}.json.log")


def _in_a_fork(work: Callable[[], object]) -> None:
    """For what starts threads or opens databases: this process stays as it is."""
    _, status = os.waitpid(_fork(work), 0)
    if status:
        raise RuntimeError("see the trace above")


def _fork(work: Callable[[], object], log: Path | None = None) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001  # the other side of the fork tells
        trace = traceback.format_exc()
        log.write_text(trace) if log else sys.stderr.write(trace)
    finally:
        os._exit(code)


def _line(k: int, count: int, result: Result) -> str:
    broken = {name: found for name, found in result.problems.items() if found}
    said = "ok" if not broken else f"BROKEN {broken}"
    missed = "" if result.hit else " (the sweep was faster than the fault)"
    return (
        f"{k:4d}/{count} {result.kind:<24} seed {result.seed:<5d} {result.runs} runs "
        f"{result.seconds:6.1f} s  {said}{missed}"
    )


def table(results: Sequence[Result]) -> list[str]:
    """A Markdown table: a row for each kind of fault, and the sum."""
    heads = ["fault", "trials", "hit", *PROMISES.values()]
    rows = []
    for kind, (fault, _) in KINDS.items():
        mine = [r for r in results if r.kind == kind]
        if mine:
            about = (fault.__doc__ or kind).strip().split("\n")[0].rstrip(".")
            rows.append([f"`{kind}`: {about}", *_counts(mine)])
    rows.append(["**all**", *_counts(results)])
    return [
        "| " + " | ".join(heads) + " |",
        "|" + "---|" * len(heads),
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
    ]


def _counts(results: Sequence[Result]) -> list[int]:
    broken = [sum(len(r.problems.get(name, [])) for r in results) for name in PROMISES]
    return [len(results), sum(r.hit for r in results), *broken]


def machine() -> str:
    """Where it ran."""
    import torch

    with Path("/proc/meminfo").open() as f:
        gb = int(f.readline().split()[1]) / 2**20
    return (
        f"{os.cpu_count()} cores, {gb:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}"
    )
