"""One trial: a file is damaged, everything is read, the sweep runs again, all is compared."""

import random
import shutil
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.damage import bench
from tests.damage.bench import Reference
from tests.damage.kinds import KINDS, forbidden
from trustbench.store.digests import values_digest
from trustbench.store.records import Store

WAIT_S = 30.0
"""A trial of a second that waits this long, not counting the time for a free processor, hangs."""


@dataclass
class Result:
    """What a trial showed."""

    kind: str
    seed: int
    file: str = ""
    noticed: bool = False
    waited: float = 0.0
    """Seconds."""
    wrong: list[str] = field(default_factory=list)
    """Values that a reader or a second run had, and the undisturbed sweep has not."""
    surprises: list[str] = field(default_factory=list)
    """Exceptions, and waits."""

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return not self.wrong and not self.surprises


def tasks(count: int, seed: int, names: Sequence[str] = tuple(KINDS)) -> list[tuple[str, int]]:
    """(kind, seed) of `count` trials, with equal shares of the kinds."""
    return [(names[k % len(names)], seed * 100_000 + k // len(names)) for k in range(count)]


def trial(reference: Reference, folder: Path, kind: str, seed: int) -> Result:
    """Damages one file of a copy of the sweep."""
    rng, result, started = random.Random(f"{kind} {seed}"), Result(kind, seed), idle()
    out = folder / f"{kind}-{seed}"
    shutil.copytree(reference.folder, out)
    path = choose(rng, out)
    result.file = path.relative_to(out).as_posix()
    if rng.random() < 0.6:  # an arm that is measured again reads what it shares with others
        for record in arms_of(path, out, reference, rng):
            if record != path and record.exists():
                record.unlink()
    KINDS[kind](rng, path, twin(rng, path, out))
    notes: list[str] = []
    with forbidden(path):
        try:
            result.wrong += read(reference, out, notes)
            result.wrong += run_again(reference, out, notes)
        except Exception:  # noqa: BLE001  # anything that is raised is a finding
            result.surprises.append(traceback.format_exc())
    result.noticed = bool(notes)
    result.waited = idle() - started
    if result.waited > WAIT_S:
        result.surprises.append(f"it waited for {result.waited:.0f} s")
    if result.kept:
        shutil.rmtree(out)
    return result


def idle() -> float:
    """Seconds that this thread has slept, up to a constant: neither ran nor was ready to run."""
    ran, ready, _ = map(int, Path("/proc/thread-self/schedstat").read_text().split())
    return time.monotonic() - (ran + ready) / 1e9


def choose(rng: random.Random, out: Path) -> Path:
    """A file of the store; each kind of file is as likely as any other."""
    by_kind: dict[str, list[Path]] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.stat().st_size):
        if path.suffix != ".png":  # a drawing of the table
            by_kind.setdefault(sort(path, out), []).append(path)
    return rng.choice(by_kind[rng.choice(sorted(by_kind))])


def sort(path: Path, out: Path) -> str:
    """`arms/*/record.json`, `tables/*.md`, ..."""
    parts = path.relative_to(out).parts
    if parts[0] in ("arms", "fits", "pilots"):
        return "/".join((parts[0], "*", *parts[2:]))
    return "/".join((*parts[:-1], f"*{path.suffix}"))


def twin(rng: random.Random, path: Path, out: Path) -> Path:
    """The same file of another arm, fit or pilot; any other file where there is none."""
    every = sorted(p for p in out.rglob("*") if p.is_file() and p != path)
    same = [p for p in every if sort(p, out) == sort(path, out)]
    return rng.choice(same or every)


def arms_of(path: Path, out: Path, reference: Reference, rng: random.Random) -> list[Path]:
    """The records to be lost as well: of the arms that read the damaged file."""
    ids = sorted(reference.ids.values())
    if path.relative_to(out).parts[0] == "fits":
        return [Store(out).arm_dir(i) / "record.json" for i in ids]
    return [Store(out).arm_dir(rng.choice(ids)) / "record.json"]


def read(reference: Reference, out: Path, notes: list[str]) -> Iterator[str]:
    """What readers show that the undisturbed sweep does not have."""
    store = Store(out, notes.append)
    for record in store.records():
        if record.status != "ok":
            continue
        wanted = reference.arrays.get(record.id)
        if wanted is None or values_digest(record, wanted) != reference.digests[record.id]:
            yield f"reading: record {record.id}"
        for name, array in store.arrays(record.id).items():
            if wanted is None or name not in wanted or array.tobytes() != wanted[name].tobytes():
                yield f"reading: array {name} of {record.id}"
    for sweep in (*store.last_sweeps(), *store.sweeps()):
        if sweep.arms != list(reference.ids.values()):
            yield "reading: the list of arms"


def run_again(reference: Reference, out: Path, notes: list[str]) -> Iterator[str]:
    """What a second run of the sweep has that the undisturbed one does not have."""
    store, ids = Store(out, notes.append), {}
    for name, arm in bench.arms_in(out).items():
        ids[name], digest = bench.run(arm, store)
        if ids[name] != reference.ids[name] or digest != reference.digests[ids[name]]:
            yield f"running again: {name}"
    bench.publish(out, ids, notes)
    found = bench.tables_in(out)
    for name, data in reference.tables.items():
        if found.get(name) != data:
            yield f"running again: table {name}"
    yield from (f"afterwards: {text}" for text in read(reference, out, []))


def table(results: Sequence[Result]) -> list[str]:
    """What all trials showed, by kind of damage."""
    head = ["damage", "trials", "files", "noticed with a warning", "wrong values", "surprises"]
    rows = [f"| {' | '.join(head)} |", "|---|---|---|---|---|---|"]
    for name in [*KINDS, None]:
        chosen = [r for r in results if name in (r.kind, None)]
        about = f"`{name}`: {KINDS[name].__doc__}" if name else "**all**"
        counts = [
            len(chosen),
            len({r.file for r in chosen}),
            sum(r.noticed for r in chosen),
            sum(bool(r.wrong) for r in chosen),
            sum(bool(r.surprises) for r in chosen),
        ]
        rows.append(f"| {about} | {' | '.join(map(str, counts))} |")
    return rows
