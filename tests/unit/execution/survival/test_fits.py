"""What is trained survives: a damaged fit or checkpoint is trained again, a whole one never is."""

from dataclasses import replace

import pytest

from tests.unit.execution.survival.damage import computed, digest, flip, folder, run, truncate
from trustbench.config.arms import Chosen
from trustbench.execution.arm import run_arm
from trustbench.execution.plan import plan
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.store.records import Store

DP = Chosen("dpsgd", DPSGD(epsilon=4.0, epochs=2, batch_size=32))


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
        run_arm(arm, Store(arm.output_dir), kill)


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
    again, _ = run_arm(
        eager,
        Store(arm.output_dir, notes.append),
        lambda stage, done, _: epochs.append(done) if stage == "train" else None,
    )
    assert epochs == ([1, 2, 3] if damage else [3])
    assert [("checkpoint.safetensors is damaged" in n) for n in notes] == ([True] if damage else [])
    assert digest(arm, again) == digest(whole, record)
    assert not checkpoint.exists()
