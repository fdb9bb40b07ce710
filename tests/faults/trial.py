"""One trial: a fault in a sweep, the same command until it ends well, and what became of it all."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import sweep
from tests.faults.processes import Hang, Run, left_behind
from tests.faults.server import TrackingServer
from tests.faults.sweep import State

TRIES = 4
INTERRUPTED, KILLED, TERMINATED = 130, -signal.SIGKILL, -signal.SIGTERM  # how a command ends
END_S = 15.0  # how long processes may take to notice that the command is gone


@dataclass(frozen=True)
class Bench:
    """What all trials share."""

    folder: Path
    conf: Path
    database: Path
    finished: Path  # the undisturbed sweep
    reference: State
    deadline_s: float
    server: TrackingServer | None = None


@dataclass
class Result:
    """What a trial showed; `problems` maps each promise to what broke it."""

    kind: str
    seed: int
    hit: bool = True
    runs: int = 0
    seconds: float = 0.0
    note: str = ""
    problems: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not any(self.problems.values())


class Missed(Exception):
    """The sweep ended before the fault came."""


class Trial:
    """The sweep of one trial, and the handles by which a fault gets hold of it."""

    def __init__(self, bench: Bench, kind: str, seed: int) -> None:
        self.bench, self.kind, self.seed = bench, kind, seed
        self.rng = random.Random(f"{kind} {seed}")
        self.folder = bench.folder / f"{kind}-{seed}"
        self.out = self.folder / "out"
        self.more: list[str] = []  # further arguments: launcher, tracking
        self.damaged: set[str] = set()
        self.fresh = False
        self.runs = 0
        self.before: State | None = None
        self.patch: Callable[[], None] | None = None  # of the forks
        self.wrong_ends: list[str] = []
        self.outlived = False  # whether the launcher's workers may outlive the command
        self.spared: set[int] = set()  # processes that are the trial's own
        self.undo: list[Callable[[], object]] = []

    def prepare(self, database: bool = True) -> None:
        """An empty outputs folder, with a tracking database unless a fault wants none."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.out.mkdir(parents=True)
        if database:
            sweep.put_database(self.bench.database, self.out)

    def prepare_finished(self) -> None:
        """An outputs folder in which the sweep has ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        shutil.copytree(self.bench.finished, self.out)
        for path in self.out.glob("arms/*/tracked"):  # it names the database that has the arm
            path.write_text(path.read_text().replace(str(self.bench.finished), str(self.out)))

    def start(self, experiment: str = sweep.EXPERIMENT) -> Run:
        """Starts the sweep."""
        self.runs += 1
        args = sweep.command(self.bench.conf, self.out, self.more, experiment)
        log = self.folder / f"run-{self.runs}.log"
        return Run(args, log, fresh=self.fresh, patch=self.patch)

    def wait_for_moment(self, run: Run) -> None:
        """Until a random moment of the sweep, from its start to its tables.

        Raises:
            Missed: it ended before.
        """
        lines = self.bench.reference.lines
        wanted = self.rng.randint(0, lines)
        self.wait_until(run, lambda: _lines(self.out) >= wanted)
        self.pause(run, self.rng.uniform(0, 1.5 if wanted in (0, lines) else 0.4))

    def wait_until(self, run: Run, reached: Callable[[], bool]) -> None:
        """Until something is so; Missed when the sweep ends before."""
        deadline = time.monotonic() + self.bench.deadline_s
        while not reached():
            if not run.alive():
                raise Missed
            if time.monotonic() > deadline:
                raise Hang("the sweep does not get on")
            time.sleep(0.003)

    def pause(self, run: Run, seconds: float) -> None:
        """Some time; Missed when the sweep ends in it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not run.alive():
                raise Missed
            time.sleep(0.003)

    def victim(self, run: Run, which: Callable[[], list[int]]) -> int:
        """One of the processes that `which` lists, once there is one."""
        found: list[int] = []

        def some() -> bool:
            found[:] = which()
            return bool(found)

        self.wait_until(run, some)
        return self.rng.choice(found)

    def end(self, run: Run) -> int:
        """The exit code of a run that the fault has met; keeps what was stored then."""
        code = run.wait(self.bench.deadline_s)
        self.look()
        return code

    def look(self) -> None:
        """Keeps what is stored now, once every process of the run has ended."""
        self.no_one_left()
        self.before = sweep.state(self.out)

    def no_one_left(self) -> None:
        """Notes every process that has outlived its command, and kills it."""
        left = left_behind(END_S, self.spared)
        if not self.outlived:
            self.wrong_ends += [f"left behind: {command}" for command in left]

    def expect(self, code: int, allowed: Sequence[int]) -> None:
        """Notes an exit code that the fault should not lead to."""
        if code not in allowed:
            self.wrong_ends.append(f"exit code {code}, not {' or '.join(map(str, allowed))}")

    def damage(self, path: Path, how: Callable[[Path], object]) -> None:
        """Damages a file; what it holds may be computed again."""
        self.damaged.add(sweep.folder_of(path))
        how(path)

    def truncate(self, path: Path) -> None:
        """Cuts a file off at a random byte."""
        size = path.stat().st_size
        self.damage(path, lambda p: os.truncate(p, self.rng.randrange(size)))

    def mount(self, kilobytes: int, files: int = 100_000) -> bool:
        """Puts the outputs on a disk of that many kilobytes and files; False without permission."""
        room = f"size={kilobytes}k,nr_inodes={files}"
        command = ["mount", "-t", "tmpfs", "-o", room, "faults", str(self.out)]
        if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
            return False
        self.undo.append(lambda: subprocess.run(["umount", "-l", str(self.out)], check=True))
        return True

    def finish(self) -> None:
        """The same command again, until it ends well."""
        self.patch = None
        for _ in range(TRIES):
            run = self.start()
            code = run.wait(self.bench.deadline_s)
            self.no_one_left()
            if code == 0:
                return
        self.wrong_ends.append(f"the same command ends with {code} {TRIES} times")

    def same_on_server(self, uri: str) -> None:
        """Once all is uploaded, the server's records make the same table."""
        tables = []
        for k, args in enumerate(
            (
                ["sync", "--from", self.out, "--tracking-uri", uri],
                ["summarize", "--from", self.out],
                ["summarize", "--from", self.folder / "elsewhere", "--tracking-uri", uri],
            )
        ):
            if args[0] == "summarize":
                path = self.folder / f"table-{k}.json"
                args = [*args, "--experiment", sweep.EXPERIMENT, "--format", "json"]
                args += ["--output", path]
                tables.append(path)
            run = Run(args, self.folder / f"{args[0]}-{k}.log")
            self.expect(run.wait(self.bench.deadline_s), [0])
        if len({p.read_bytes() for p in tables if p.exists()}) != 1:
            self.wrong_ends.append("the server's records make another table")

    def close(self) -> None:
        """Undoes mounts and proxies."""
        for undo in reversed(self.undo):
            undo()


def run_trial(bench: Bench, kind: str, fault: Callable[[Trial], None], seed: int) -> Result:
    """Injects a fault, finishes the sweep and compares it with the undisturbed one."""
    started, result = time.monotonic(), Result(kind, seed)
    trial = Trial(bench, kind, seed)
    hangs: list[str] = []
    try:
        for again in range(5):
            try:
                if again:
                    trial.close()
                    left_behind(END_S)
                    trial = Trial(bench, kind, seed + 1000 * again)
                fault(trial)
                result.hit = True
                break
            except Missed:
                result.hit = False
        trial.finish()
    except Hang as hang:
        hangs.append(str(hang))
        left_behind(0, trial.spared)
    before = trial.before or sweep.state(trial.out)
    after = sweep.state(trial.out)
    result.runs = trial.runs
    result.seed = trial.seed
    result.problems = {
        **sweep.problems(before, after, bench.reference, trial.damaged),
        "hangs": hangs,
        "ends": trial.wrong_ends,
    }
    result.seconds = time.monotonic() - started
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        trial.close()
    if result.kept:
        shutil.rmtree(trial.folder, ignore_errors=True)
    return result


def _lines(out: Path) -> int:
    return sum(map(len, sweep.journals(out).values()))
