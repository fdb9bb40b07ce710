"""Dead writers, full disks and other processes cost no finished work."""

import threading
from contextlib import contextmanager
from dataclasses import replace

from tests.unit.arm_toys import ignore
from tests.unit.execution.survival.damage import digest, run
from trustbench.execution import job
from trustbench.execution.arm import run_arm
from trustbench.execution.plan import plan
from trustbench.execution.record import record_failure
from trustbench.store import files
from trustbench.store.digests import values_digest
from trustbench.store.records import Store


def test_leftovers_of_dead_writers_are_swept_away(arm):
    record, _, _ = run(arm)
    store = Store(arm.output_dir)
    left = [
        store.arm_dir(record.id) / ".record.json.0a1b2c3d",
        store.fit_dir(record.fit) / ".params.safetensors.0a1b2c3d",
    ]
    for path in left:
        path.touch()
    (store.arm_dir(record.id) / "record.json").unlink()
    run(arm)
    assert not any(p.exists() for p in left)


def test_a_full_disk_fails_the_arm_in_one_sentence_and_the_next_run_goes_on(
    arm, tmp_path, full_disk
):
    whole = replace(arm, output_dir=tmp_path / "whole")
    record, _, _ = run(whole)
    ballast = full_disk / "ballast"
    room = 2**20
    for left in (0, 4096, 8192, 16384, 32768):  # the disk fills in another stage each time
        ballast.write_bytes(b"x")
        outcome = None
        with ballast.open("r+b") as f:
            f.write(b"x" * max(room - left - 65536, 1))
        while True:  # the rest in small steps, up to what is left
            try:
                with ballast.open("ab") as f:
                    f.write(b"x" * 4096)
            except OSError:
                break
        with ballast.open("r+b") as f:
            f.truncate(max(ballast.stat().st_size - left, 0))
        outcome = job.run(replace(arm, output_dir=full_disk), ignore)
        if outcome.status == "ok":
            break
        assert outcome.status == "failed"
        assert "the disk is full" in outcome.reason
        assert "\n" not in outcome.reason
        assert not [p for p in full_disk.rglob(".*.*") if p.is_file()]
    ballast.unlink()
    outcome = job.run(replace(arm, output_dir=full_disk), ignore)
    assert outcome.status == "ok"
    small = Store(full_disk)
    found = small.read(record.id)
    assert values_digest(found, small.arrays(record.id)) == digest(whole, record)


def test_a_failure_never_overwrites_what_another_process_finished(arm):
    record, _, _ = run(arm)
    store = Store(arm.output_dir)
    assert record_failure(plan(arm), store, "failed", "too late") == record
    assert store.read(record.id) == record


@contextmanager
def held_elsewhere(path):
    """The folder's lock, held by another thread, whose handle is as good as a process's."""
    held, release = threading.Event(), threading.Event()

    def hold():
        with files.exclusive(path):
            held.set()
            release.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    yield release
    release.set()
    thread.join()


def test_an_arm_that_another_process_computes_is_waited_for_and_reused(arm, tmp_path):
    elsewhere = replace(arm, output_dir=tmp_path / "elsewhere")
    record, _, _ = run(elsewhere)
    theirs, store = Store(elsewhere.output_dir), Store(arm.output_dir)
    stages = []
    with held_elsewhere(store.arm_dir(record.id)) as release:

        def progress(stage, *_):
            stages.append(stage)
            store.write(record, theirs.arrays(record.id))  # the other process finishes it
            release.set()

        found, reused = run_arm(arm, store, progress)
    assert stages == ["waiting for another process"]
    assert reused
    assert found == record
