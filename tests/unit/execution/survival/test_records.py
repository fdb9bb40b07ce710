"""What a store holds survives: damaged files are computed again, whole ones never are."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.arm_toys import Toy, ignore
from tests.unit.execution.survival.damage import (
    PLAIN,
    RIGHT,
    Nothing,
    computed,
    digest,
    flip,
    folder,
    run,
    truncate,
)
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.contracts import Read
from trustbench.errors import UserError
from trustbench.execution.arm import run_arm
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.records import Store, Sweep

DP = Chosen("dpsgd", DPSGD(epsilon=4.0, epochs=2, batch_size=32))


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


def test_a_claim_that_no_longer_holds_is_not_served_from_the_store(arm, monkeypatch):
    arm = replace(arm, interventions=(DP,), protocol=replace(arm.protocol, inclusion="all"))
    record, _, _ = run(arm)
    assert [claim.void for claim in record.privacy] == [None]
    assert run(arm)[1:] == (True, [])
    # the same numbers under another declaration, as with dataset.scaling=learnt after declared
    with monkeypatch.context() as patch:
        patch.setattr(Toy, "reads_rows", (Read("pool", "means of columns", into="inputs"),))
        void, reused, _ = run(arm)
        assert not reused
        assert void.id == record.id
        assert void.evaluations.keys() == record.evaluations.keys()
        assert "means of columns" in void.privacy[0].void
        assert run(arm)[1:] == (True, [])
    assert run(arm)[0].privacy == record.privacy


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
    left = (path / "arrays.npz").read_bytes() if change is not Path.unlink else None
    again, reused, notes = run(arm)
    assert not reused
    assert digest(arm, again) == before
    (note,) = notes
    assert "cannot be used" in note
    kept = [p.read_bytes() for p in path.glob("arrays.damaged*.npz")]
    assert kept == ([] if left is None else [left])
    assert computed(fits) == [("start", "fit"), ("done", "fit")]
    right, plain = evaluation_id(RIGHT), evaluation_id(PLAIN)
    assert computed(path).count(("start", right)) == 2
    assert computed(path).count(("start", plain)) == 1, "it has no arrays to lose"
    assert run(arm)[1]


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


def test_a_shared_evaluation_whose_arrays_are_lost_is_measured_by_the_arm_itself(arm):
    """`_shared` takes over the baseline's evaluation only with its arrays."""
    base, _, _ = run(arm)
    store = Store(arm.output_dir, ignore)
    truncate(folder(arm, base) / "arrays.npz")
    same = replace(arm, interventions=(Chosen("nothing", Nothing()),))
    record, _ = run_arm(same, store, ignore)
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
    store.write_sweep(
        Sweep(experiment="mine", table="cresswell", arms=["a"], evaluations=[], names={})
    )
    (past,) = (tmp_path / "sweeps" / "past").iterdir()
    truncate(past)
    assert store.sweeps() == []
    assert len(notes) == 1
    truncate(store.sweep_file("mine"))
    with pytest.raises(UserError, match="is not a complete list of a sweep's arms; run the sweep"):
        store.sweep("mine")
    store.write_sweep(
        Sweep(experiment="mine", table="cresswell", arms=["b"], evaluations=[], names={})
    )
    assert store.sweep("mine").arms == ["b"]
    assert store.experiments() == ["mine"], "what is kept is not an experiment"
