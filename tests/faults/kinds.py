"""The kinds of faults; each leaves a sweep that the same command must be able to finish."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.faults import sweep
from tests.faults.processes import FullDisk, Pause
from tests.faults.server import Proxy
from tests.faults.trial import Missed, Trial

BASIC = ["hydra/launcher=basic"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
INTERRUPTED, KILLED, TERMINATED = 130, -signal.SIGKILL, -signal.SIGTERM


def kill_parent(trial: Trial) -> None:
    """kill -9 of the command: no arm's process may outlive it."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(signal.SIGKILL)
    trial.expect(trial.end(run), [KILLED])


def kill_parent_fresh(trial: Trial) -> None:
    """kill -9 of a command that is started as users start it."""
    trial.fresh = True
    kill_parent(trial)


def kill_parent_basic(trial: Trial) -> None:
    """kill -9 of the command, which runs the arms itself (launcher basic)."""
    trial.more = BASIC
    kill_parent(trial)


def kill_parent_joblib(trial: Trial) -> None:
    """kill -9 of the command, whose joblib workers go on for a while."""
    trial.more, trial.outlived = JOBLIB, True
    kill_parent(trial)


def kill_child(trial: Trial) -> None:
    """kill -9 of an arm's process: the sweep starts that arm again, and ends well."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    _kill(trial.victim(run, run.arms))
    trial.expect(trial.end(run), [0])


def kill_worker_joblib(trial: Trial) -> None:
    """kill -9 of a worker of joblib: its sweep ends with one sentence."""
    trial.prepare()
    trial.more, trial.outlived = JOBLIB, True
    run = trial.start()
    trial.wait_for_moment(run)
    _kill(trial.victim(run, run.servers))
    trial.expect(trial.end(run), [0, 1])


def kill_server(trial: Trial) -> None:
    """kill -9 of the fork server."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    _kill(trial.victim(run, run.servers))
    trial.expect(trial.end(run), [0, 1])


def terminate(trial: Trial) -> None:
    """SIGTERM."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(signal.SIGTERM)
    trial.expect(trial.end(run), [0, INTERRUPTED, TERMINATED])


def interrupt(trial: Trial) -> None:
    """Ctrl-C once: what runs is finished."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(signal.SIGINT)
    trial.expect(trial.end(run), [0, INTERRUPTED])


def interrupt_twice(trial: Trial) -> None:
    """Ctrl-C twice: everything stops."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(signal.SIGINT)
    time.sleep(trial.rng.uniform(0, 0.3))
    if run.alive():
        run.signal(signal.SIGINT)
    trial.expect(trial.end(run), [0, INTERRUPTED])


def interrupt_basic(trial: Trial) -> None:
    """Ctrl-C, where the command runs the arms itself (launcher basic)."""
    trial.more = BASIC
    interrupt(trial)


def stop_and_go_on(trial: Trial) -> None:
    """SIGSTOP and SIGCONT, of the command or an arm's process."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    pid = run.pid if trial.rng.random() < 0.5 else trial.victim(run, run.arms)
    _signal(pid, signal.SIGSTOP)
    time.sleep(trial.rng.uniform(0.2, 2.0))
    _signal(pid, signal.SIGCONT)
    trial.expect(trial.end(run), [0])


def full_disk(trial: Trial) -> None:
    """A disk with less room than the sweep needs; then there is more."""
    trial.prepare(database=False)
    used = sum(p.stat().st_size for p in trial.bench.finished.rglob("*") if p.is_file()) // 1024
    database = trial.bench.database.stat().st_size // 1024
    if trial.mount(database + trial.rng.randrange(64, max(used - database, 128))):
        sweep.put_database(trial.bench.database, trial.out)
    else:
        sweep.put_database(trial.bench.database, trial.out)
        trial.patch = FullDisk(trial.rng.randrange(400))
    run = trial.start()
    code = run.wait(trial.bench.deadline_s)
    said = run.log.read_text(errors="replace")
    trial.expect(code, [0, 1, 2])
    if "Traceback" in said:
        trial.wrong_ends.append("a traceback where a sentence is due")
    if code == 0 and "full" not in said:
        raise Missed
    trial.look()
    if trial.undo:
        subprocess.run(["mount", "-o", "remount,size=512m", str(trial.out)], check=True)


def unreachable_server(trial: Trial) -> None:
    """A tracking server that never answers costs a warning."""
    trial.prepare()
    trial.more = ["tracking_uri=http://127.0.0.1:9"]
    run = trial.start()
    trial.expect(trial.end(run), [0])


def cut_server(trial: Trial) -> None:
    """A tracking server whose connections break, and which comes back, while arms run."""
    assert trial.bench.server is not None
    trial.bench.server.empty()
    trial.prepare()
    proxy = Proxy(trial.bench.server.port)
    trial.undo.append(proxy.close)
    trial.spared.add(proxy.process.pid)
    trial.more = [f"tracking_uri={proxy.uri}"]
    run = trial.start()
    trial.wait_for_moment(run)
    proxy.cut()
    time.sleep(trial.rng.choice([0.2, 1.0, 5.0]))
    proxy.mend()
    trial.expect(trial.end(run), [0])
    trial.finish()
    trial.same_on_server(proxy.uri)


def restarted_server(trial: Trial) -> None:
    """kill -9 of the tracking server, which then starts again, while arms run."""
    server = trial.bench.server
    assert server is not None
    server.empty()
    trial.prepare()
    trial.more = [f"tracking_uri={server.uri}"]
    run = trial.start()
    trial.wait_for_moment(run)
    server.kill()
    trial.expect(trial.end(run), [0])
    server.wait()
    trial.finish()
    trial.same_on_server(server.uri)


def truncated_record(trial: Trial) -> None:
    """A record that ends at a random byte."""
    trial.prepare_finished()
    trial.truncate(trial.rng.choice(sweep.some_files(trial.out, "arms/*/record.json")))
    trial.look()


def other_schema(trial: Trial) -> None:
    """A record of an older or a newer version."""
    trial.prepare_finished()
    path = trial.rng.choice(sweep.some_files(trial.out, "arms/*/record.json"))
    version = trial.rng.choice([0, 99])
    before = path.read_bytes()
    trial.damage(path, lambda p: sweep.set_schema(p, version))
    changed = path.read_bytes()
    trial.look()
    trial.finish()
    kept = path.with_name(f"record.schema-{version}.json")
    if not kept.exists() or kept.read_bytes() != changed or before == changed:
        trial.wrong_ends.append(f"{kept.name} was not kept")


def damaged_arrays(trial: Trial) -> None:
    """Arrays cut off at a random byte, or gone."""
    trial.prepare_finished()
    path = trial.rng.choice(sweep.some_files(trial.out, "arms/*/arrays.npz"))
    if trial.rng.random() < 0.3:
        trial.damage(path, Path.unlink)
    else:
        trial.truncate(path)
    trial.look()


def damaged_fit(trial: Trial) -> None:
    """Trained replicates cut off at a random byte, and an arm that needs them."""
    trial.prepare_finished()
    store = sweep.Store(trial.out)
    record = trial.rng.choice(list(store.records()))
    files = sweep.some_files(trial.out, f"fits/{record.fit}/*.*")
    trial.truncate(trial.rng.choice(files))
    trial.damage(store.arm_dir(record.id) / "record.json", Path.unlink)
    trial.look()


def resumed_training(trial: Trial) -> None:
    """kill -9 while something is trained, which then goes on from its checkpoint."""
    trial.prepare()
    trial.patch = pause = Pause(trial.rng.randint(1, 16))
    run = trial.start()
    trial.wait_until(run, lambda: pause.reached)
    run.signal(signal.SIGKILL)
    trial.expect(trial.end(run), [KILLED])
    if not sweep.some_files(trial.out, "fits/*/checkpoint.safetensors"):
        trial.wrong_ends.append("no checkpoint is left to go on from")


def damaged_checkpoint(trial: Trial) -> None:
    """kill -9 while something is trained, and its checkpoint cut off at a random byte."""
    trial.prepare()
    trial.patch = pause = Pause(trial.rng.randint(1, 16))
    run = trial.start()
    trial.wait_until(run, lambda: pause.reached)
    run.signal(signal.SIGKILL)
    trial.expect(trial.end(run), [KILLED])
    trial.truncate(trial.rng.choice(sweep.some_files(trial.out, "fits/*/checkpoint.safetensors")))


def killed_and_damaged(trial: Trial) -> None:
    """kill -9 at a random moment, and any file of the store cut off at a random byte."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(signal.SIGKILL)
    run.wait(trial.bench.deadline_s)
    found = [p for p in sweep.some_files(trial.out, "[af]*/*/*.*") if p.stat().st_size]
    if not found:
        raise Missed
    path = trial.rng.choice([p for p in found if p.name != "log.txt"] or found)
    trial.truncate(path)
    trial.look()


def damaged_list(trial: Trial) -> None:
    """The sweep's list of arms cut off at a random byte."""
    trial.prepare_finished()
    (path,) = sweep.some_files(trial.out, f"sweeps/{sweep.EXPERIMENT}.json")
    os.truncate(path, trial.rng.randrange(path.stat().st_size))
    trial.look()


def two_at_once(trial: Trial) -> None:
    """Two sweeps on the same outputs, in half of the trials without a database to begin with."""
    trial.prepare(database=trial.rng.random() < 0.5)
    first = trial.start()
    if trial.rng.random() < 0.5:
        time.sleep(trial.rng.uniform(0, 4))
    second = trial.start()
    for run in (first, second):
        trial.expect(run.wait(trial.bench.deadline_s), [0])
    trial.look()


def two_at_once_one_killed(trial: Trial) -> None:
    """Two sweeps on the same outputs, and kill -9 of one of them."""
    trial.prepare()
    runs = [trial.start(), trial.start()]
    victim = trial.rng.choice(runs)
    trial.wait_for_moment(victim)
    victim.signal(signal.SIGKILL)
    for run in runs:
        trial.expect(run.wait(trial.bench.deadline_s), [KILLED] if run is victim else [0])
    trial.look()


def _kill(pid: int) -> None:
    _signal(pid, signal.SIGKILL)


def _signal(pid: int, which: signal.Signals) -> None:
    try:
        os.kill(pid, which)
    except ProcessLookupError as error:
        raise Missed from error


Kind = Callable[[Trial], None]
KINDS: dict[str, tuple[Kind, int]] = {  # with its share of a hundred trials
    "kill_parent": (kill_parent, 10),
    "kill_parent_fresh": (kill_parent_fresh, 2),
    "kill_parent_basic": (kill_parent_basic, 4),
    "kill_parent_joblib": (kill_parent_joblib, 2),
    "kill_child": (kill_child, 10),
    "kill_worker_joblib": (kill_worker_joblib, 2),
    "kill_server": (kill_server, 5),
    "terminate": (terminate, 5),
    "interrupt": (interrupt, 6),
    "interrupt_twice": (interrupt_twice, 6),
    "interrupt_basic": (interrupt_basic, 3),
    "stop_and_go_on": (stop_and_go_on, 5),
    "full_disk": (full_disk, 10),
    "unreachable_server": (unreachable_server, 3),
    "cut_server": (cut_server, 4),
    "restarted_server": (restarted_server, 2),
    "truncated_record": (truncated_record, 6),
    "other_schema": (other_schema, 4),
    "damaged_arrays": (damaged_arrays, 4),
    "damaged_fit": (damaged_fit, 5),
    "resumed_training": (resumed_training, 3),
    "damaged_checkpoint": (damaged_checkpoint, 4),
    "killed_and_damaged": (killed_and_damaged, 6),
    "damaged_list": (damaged_list, 2),
    "two_at_once": (two_at_once, 6),
    "two_at_once_one_killed": (two_at_once_one_killed, 4),
}
SERVED = {"cut_server", "restarted_server"}
