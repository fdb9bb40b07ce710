"""Faults around a sweep: its disk and its tracking server."""

import subprocess
import time

from tests.faults import sweep
from tests.faults.processes import FullDisk
from tests.faults.server import Proxy
from tests.faults.trial import Missed, Trial


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
    code, said = _ended(trial)
    if code == 0 and "full" not in said:
        raise Missed
    trial.look()
    if trial.undo:
        subprocess.run(["mount", "-o", "remount,size=512m", str(trial.out)], check=True)


def _ended(trial: Trial) -> tuple[int, str]:
    """Starts the sweep; its exit code and what it printed, which has no traceback."""
    run = trial.start()
    code = run.wait(trial.bench.deadline_s)
    said = run.log.read_text(errors="replace")
    trial.expect(code, [0, 1, 2])
    if "Traceback" in said:
        trial.wrong_ends.append("a traceback where a sentence is due")
    return code, said


def no_inodes(trial: Trial) -> None:
    """A disk that can hold fewer files than the sweep has; then it can hold more."""
    trial.prepare(database=False)
    used = sum(1 for _ in trial.bench.finished.rglob("*"))
    if not trial.mount(2**19, files=trial.rng.randrange(8, max(used, 16))):
        raise Missed
    sweep.put_database(trial.bench.database, trial.out)
    code, said = _ended(trial)
    trial.look()
    subprocess.run(["mount", "-o", "remount,nr_inodes=100k", str(trial.out)], check=True)
    if code == 0 and "inodes" not in said:
        raise Missed


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
    proxy.restore()
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
