"""What a store holds survives: damaged files are computed again, whole ones never are."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from torch import nn

from tests.conftest import make_problem
from trustbench import files, job, runner, tracking
from trustbench.arms import Arm, Chosen, Protocol, Training
from trustbench.aspects import Aspect
from trustbench.contracts import Dataset, Evaluator, Intervention, Measured, Measurement, Model
from trustbench.digests import values_digest
from trustbench.errors import UserError
from trustbench.identity import evaluation_id
from trustbench.interventions.dpsgd import DPSGD
from trustbench.planning import plan
from trustbench.records import Store, Sweep


@dataclass(frozen=True)
class Toy(Dataset):
    def load(self, data_dir, streams):
        return make_problem(n=400)


@dataclass(frozen=True)
class Net(Model):
    def build(self, problem):
        return nn.Sequential(nn.Flatten(), nn.Linear(problem.n_features, 2))


@dataclass(frozen=True)
class Right(Evaluator):
    """Accuracy, with the hits of every row as an array when `kept`."""

    kept: bool = True
    aspect: ClassVar[None] = None

    def measure(self, system):
        y = system.problem.rows("test")[1]
        right = system.split_logits("test").argmax(-1).numpy() == y
        m = Measurement("accuracy", right.mean(1), True, "fraction", len(y), 0.0, 1.0)
        return Measured((m,), arrays={"right": right} if self.kept else {})


@dataclass(frozen=True)
class Nothing(Intervention):
    """Changes no channel."""

    aspect: ClassVar[Aspect] = Aspect.FAIRNESS


RIGHT, PLAIN = Chosen("right", Right()), Chosen("plain", Right(kept=False))
DP = Chosen("dpsgd", DPSGD(epsilon=4.0, epochs=2, batch_size=32))


@pytest.fixture
def arm(tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "log_record", lambda *a, **k: None)
    return Arm(
        dataset=Chosen("toy", Toy()),
        model=Chosen("net", Net()),
        training=Training(regime="tuned", epochs=3, batch_size=32, lr=0.1, snapshots=3),
        interventions=(),
        evaluators=(RIGHT, PLAIN),
        protocol=Protocol(replicates=2),
        output_dir=tmp_path / "out",
        data_dir=Path("nowhere"),
    )


def ignore(*_):
    pass


def run(arm):
    """(record, reused, notes) of an arm."""
    notes = []
    record, reused = runner.run(plan(arm), Store(arm.output_dir, notes.append), ignore)
    return record, reused, notes


def digest(arm, record):
    return values_digest(record, Store(arm.output_dir).arrays(record.id))


def folder(arm, record):
    return Store(arm.output_dir).arm_dir(record.id)


def computed(path):
    """What the journal says: [(what, key), ...]."""
    lines = (path / "journal").read_text().splitlines()
    return [tuple(line.split(" ")[3:5]) for line in lines]


def truncate(path, part=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("change", "name", "sentence"),
    [
        (truncate, "record.damaged.json", "is not a complete record"),
        (lambda p: p.write_bytes(b""), "record.damaged.json", "is not a complete record"),
        (lambda p: p.write_bytes(b"\xff\xfe{"), "record.damaged.json", "is not a complete record"),
        (lambda p: version(p, 0), "record.schema-0.json", "An older trustbench wrote it"),
        (lambda p: version(p, 99), "record.schema-99.json", "Upgrade trustbench to read it"),
    ],
)
def test_a_record_that_cannot_be_read_is_kept_aside_and_computed_again(arm, change, name, sentence):
    record, _, notes = run(arm)
    assert notes == []
    path = folder(arm, record) / "record.json"
    before = digest(arm, record)
    change(path)
    damaged = path.read_bytes()
    again, reused, notes = run(arm)
    assert not reused
    assert digest(arm, again) == before
    assert path.with_name(name).read_bytes() == damaged
    (note,) = notes
    assert sentence in note
    assert f"It is kept as {name}, and its arm is computed again." in note
    change(path)
    run(arm)
    assert path.with_name(name.replace(".json", "-2.json")).exists()
    assert path.with_name(name).read_bytes() == damaged
    assert run(arm)[1:] == (True, [])


def version(path, number):
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "schema_version": number}))


def test_one_bad_record_costs_its_readers_one_warning(arm):
    good, _, _ = run(arm)
    bad, _, _ = run(replace(arm, seed=1))
    truncate(folder(arm, bad) / "record.json")
    notes = []
    store = Store(arm.output_dir, notes.append)
    assert list(store.records()) == [good]
    assert store.read(bad.id) is None
    assert len(notes) == 2
    assert all("is not a complete record" in n and "left out" in n for n in notes)


def test_by_default_a_warning_is_a_line_on_standard_error(arm, capsys):
    record, _, _ = run(arm)
    truncate(folder(arm, record) / "record.json")
    assert list(Store(arm.output_dir).records()) == []
    assert capsys.readouterr().err.startswith("trustbench: warning: ")


@pytest.mark.parametrize("change", [truncate, flip, Path.unlink, lambda p: p.write_bytes(b"")])
def test_damaged_arrays_are_measured_again_and_nothing_is_trained(arm, change):
    record, _, _ = run(arm)
    path = folder(arm, record)
    before, fits = digest(arm, record), Store(arm.output_dir).fit_dir(record.fit)
    change(path / "arrays.npz")
    again, reused, notes = run(arm)
    assert not reused
    assert digest(arm, again) == before
    (note,) = notes
    assert "damaged" in note
    assert computed(fits) == [("start", "fit"), ("done", "fit")]
    right, plain = evaluation_id(RIGHT), evaluation_id(PLAIN)
    assert computed(path).count(("start", right)) == 2
    assert computed(path).count(("start", plain)) == 1, "it has no arrays to lose"
    assert run(arm)[1]


def test_a_record_of_before_checksums_is_reused_and_its_arrays_are_missed(arm):
    record, _, _ = run(arm)
    path = folder(arm, record) / "record.json"
    old = json.loads(path.read_bytes())
    del old["arrays_sha256"]
    for evaluation in old["evaluations"].values():
        del evaluation["arrays"]
    path.write_text(json.dumps(old))
    assert run(arm)[1:] == (True, [])
    (path.parent / "arrays.npz").unlink()
    assert not run(arm)[1]
    assert computed(path.parent).count(("start", evaluation_id(PLAIN))) == 2, "it may have had some"


def test_evaluations_of_an_unfinished_record_are_kept_with_their_arrays(arm):
    record, _, _ = run(arm)
    store = Store(arm.output_dir)
    right, plain = evaluation_id(RIGHT), evaluation_id(PLAIN)
    half = {right: record.evaluations[right]}
    store.write(record.model_copy(update={"status": "started", "evaluations": half}))
    again, _, notes = run(arm)
    assert notes == []
    assert digest(arm, again) == digest(arm, record)
    assert computed(folder(arm, record)).count(("start", right)) == 1
    assert computed(folder(arm, record)).count(("start", plain)) == 2


@pytest.mark.parametrize("name", ["params.safetensors", "fit.json"])
@pytest.mark.parametrize("change", [truncate, flip, lambda p: p.write_bytes(b"")])
def test_a_damaged_fit_is_trained_again_to_the_same_bits(arm, name, change):
    record, _, _ = run(arm)
    fits = Store(arm.output_dir).fit_dir(record.fit)
    whole = (fits / "params.safetensors").read_bytes()
    change(fits / name)
    (folder(arm, record) / "record.json").unlink()
    again, _, notes = run(arm)
    assert digest(arm, again) == digest(arm, record)
    (note,) = notes
    assert f"the trained replicates in {fits} are damaged" in note
    assert (fits / "params.safetensors").read_bytes() == whole


def test_a_missing_fit_file_is_trained_again(arm):
    record, _, _ = run(arm)
    fits = Store(arm.output_dir).fit_dir(record.fit)
    (fits / "params.safetensors").unlink()
    (folder(arm, record) / "record.json").unlink()
    assert "params.safetensors is missing" in run(arm)[2][0]


def test_a_fit_of_before_checksums_is_read(arm):
    record, _, _ = run(arm)
    fits = Store(arm.output_dir).fit_dir(record.fit)
    content = json.loads((fits / "fit.json").read_bytes())
    del content["sha256"], content["content_sha256"]
    (fits / "fit.json").write_text(json.dumps(content))
    (folder(arm, record) / "record.json").unlink()
    again, _, notes = run(arm)
    assert notes == []
    assert digest(arm, again) == digest(arm, record)
    assert computed(fits) == [("start", "fit"), ("done", "fit")]


def test_damaged_snapshots_are_trained_again_for_a_matched_control(arm):
    run(arm)
    matched = replace(arm, interventions=(DP,), control="matched")
    record, _, _ = run(matched)
    before = digest(arm, record)
    store = Store(arm.output_dir)
    (folder(arm, record) / "record.json").unlink()
    (store.fit_dir(record.fit) / "fit.json").unlink()
    baseline = store.fit_dir(plan(arm).fit_id)
    truncate(baseline / "snapshots.safetensors")
    again, _, notes = run(matched)
    assert digest(arm, again) == before
    assert [n for n in notes if f"the snapshots in {baseline} are damaged" in n]
    assert computed(baseline).count(("start", "fit")) == 2


class Killed(BaseException):
    pass


def stop_training(arm, epoch):
    """Ends an arm after an epoch, with a checkpoint of the one before."""

    def kill(stage, done, _):
        if stage == "train" and done == epoch:
            raise Killed

    with pytest.raises(Killed):
        runner.run(plan(arm), Store(arm.output_dir), kill)


@pytest.mark.parametrize("damage", [None, truncate, flip, lambda p: p.write_bytes(b"")])
def test_training_goes_on_from_its_checkpoint_or_begins_again(arm, damage, tmp_path):
    whole = replace(arm, output_dir=tmp_path / "whole")
    record, _, _ = run(whole)
    eager = replace(arm, checkpoint_s=0.0)
    stop_training(eager, 3)
    fits = Store(arm.output_dir).fit_dir(record.fit)
    checkpoint = fits / "checkpoint.safetensors"
    if damage:
        damage(checkpoint)
    epochs, notes = [], []
    again, _ = runner.run(
        plan(eager),
        Store(arm.output_dir, notes.append),
        lambda stage, done, _: epochs.append(done) if stage == "train" else None,
    )
    assert epochs == ([1, 2, 3] if damage else [3])
    assert [("checkpoint.safetensors is damaged" in n) for n in notes] == ([True] if damage else [])
    assert digest(arm, again) == digest(whole, record)
    assert not checkpoint.exists()


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
    assert runner.record_failure(plan(arm), store, "failed", "too late") == record
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

        found, reused = runner.run(plan(arm), store, progress)
    assert stages == ["waiting for another process"]
    assert reused
    assert found == record


def test_a_shared_evaluation_whose_arrays_are_lost_is_measured_by_the_arm_itself(arm):
    """`_shared` takes over the baseline's evaluation only with its arrays."""
    base, _, _ = run(arm)
    store = Store(arm.output_dir, ignore)
    truncate(folder(arm, base) / "arrays.npz")
    same = replace(arm, interventions=(Chosen("nothing", Nothing()),))
    record, _ = runner.run(plan(same), store, ignore)
    right = evaluation_id(RIGHT)
    assert ("start", right) in computed(folder(arm, record))
    assert ("shared", evaluation_id(PLAIN)) in computed(folder(arm, record))
    np.testing.assert_array_equal(
        store.arrays(record.id)[f"{right}/right"].mean(1),
        record.evaluations[right].measurements["accuracy"].values,
    )


def test_a_damaged_list_of_arms_is_one_sentence_and_its_copy_a_warning(tmp_path):
    notes = []
    store = Store(tmp_path, notes.append)
    store.write_sweep(Sweep(experiment="mine", table="cresswell", arms=["a"], evaluations=[]))
    (past,) = (tmp_path / "sweeps" / "past").iterdir()
    truncate(past)
    assert store.sweeps() == []
    assert len(notes) == 1
    truncate(store.sweep_file("mine"))
    with pytest.raises(UserError, match="is not a complete list of a sweep's arms; run the sweep"):
        store.sweep("mine")
    store.write_sweep(Sweep(experiment="mine", table="cresswell", arms=["b"], evaluations=[]))
    assert store.sweep("mine").arms == ["b"]
