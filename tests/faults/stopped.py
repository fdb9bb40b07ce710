"""Faults of processes: killed, interrupted, held up, or two sweeps at once."""

import os
import signal
import time
from collections.abc import Sequence

from tests.faults import sweep
from tests.faults.trial import INTERRUPTED, KILLED, TERMINATED, Missed, Trial

BASIC = ["hydra/launcher=basic"]
JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]


def kill_parent(trial: Trial) -> None:
    """kill -9 of the command: no arm's process may outlive it."""
    _stop(trial, signal.SIGKILL, [KILLED])


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
    _stop(trial, signal.SIGTERM, [0, INTERRUPTED, TERMINATED])


def interrupt(trial: Trial) -> None:
    """Ctrl-C once: what runs is finished."""
    _stop(trial, signal.SIGINT, [0, INTERRUPTED])


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


def overlapping(trial: Trial) -> None:
    """Two experiments at once on the same outputs, which share half of their arms."""
    trial.prepare()
    first = trial.start()
    second = trial.start(sweep.PART)
    for run in (first, second):
        trial.expect(run.wait(trial.bench.deadline_s), [0])
    trial.look()


def closed_streams(trial: Trial) -> None:
    """Standard output, standard error or both closed (>&-)."""
    trial.prepare()
    closed = trial.rng.choice([(1,), (2,), (1, 2)])
    trial.patch = lambda: [os.close(k) for k in closed] and None
    trial.expect(trial.end(trial.start()), [0])


def _stop(trial: Trial, which: signal.Signals, codes: Sequence[int]) -> None:
    """One signal to the command at the trial's moment, and the codes that it may end with."""
    trial.prepare()
    run = trial.start()
    trial.wait_for_moment(run)
    run.signal(which)
    trial.expect(trial.end(run), codes)


def _kill(pid: int) -> None:
    _signal(pid, signal.SIGKILL)


def _signal(pid: int, which: signal.Signals) -> None:
    try:
        os.kill(pid, which)
    except ProcessLookupError as error:
        raise Missed from error
