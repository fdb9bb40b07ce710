"""What belongs to another arm is set aside with one warning, and computed again: never used."""

import json
import shutil
from dataclasses import replace

import pytest

from tests.unit.execution.survival.damage import PLAIN, RIGHT, digest, folder, run
from trustbench.config.identity import evaluation_id
from trustbench.store.reading import sealed
from trustbench.store.records import Store


@pytest.fixture
def twins(arm):
    """Two finished arms that differ in their seed, their records and digests."""
    other = replace(arm, seed=1)
    (a, _, _), (b, _, _) = run(arm), run(other)
    assert digest(arm, a) != digest(other, b)
    return arm, other, a, b


def again(arm, before, record):
    """(sentences of another run) whose numbers are those from before."""
    found, reused, notes = run(arm)
    assert not reused
    assert digest(arm, found) == before
    assert found.id == record.id
    assert run(arm)[1:] == (True, [])
    return notes


def test_the_record_of_another_arm_is_not_this_arms(twins):
    arm, other, a, b = twins
    before = digest(other, b)
    shutil.copy(folder(arm, a) / "record.json", folder(other, b) / "record.json")
    copied = (folder(arm, a) / "record.json").read_bytes()
    notes = []
    assert list(Store(arm.output_dir, notes.append).records()) == [a]
    assert notes[0].endswith(f"it is the record of arm {a.id}. It is left out.")
    (note,) = again(other, before, b)
    assert f"it is the record of arm {a.id}" in note
    assert (folder(other, b) / "record.misplaced.json").read_bytes() == copied
    assert run(arm)[1], "the original is whole"


def test_the_fit_of_another_arm_is_not_this_arms(twins):
    arm, other, a, b = twins
    before, store = digest(other, b), Store(arm.output_dir)
    shutil.copytree(store.fit_dir(a.fit), store.fit_dir(b.fit), dirs_exist_ok=True)
    (folder(other, b) / "record.json").unlink()
    (note,) = again(other, before, b)
    assert f"fit.json is that of fit {a.fit}" in note
    assert (store.fit_dir(b.fit) / "params.damaged.safetensors").exists()


def test_the_arrays_of_another_arm_are_not_those_of_an_unfinished_one(twins):
    """Nothing else says what the arrays of an unfinished arm are."""
    arm, other, a, b = twins
    before, store = digest(other, b), Store(arm.output_dir)
    store.write(b.model_copy(update={"status": "started", "arrays_sha256": None}))
    shutil.copy(folder(arm, a) / "arrays.npz", folder(other, b) / "arrays.npz")
    (note,) = again(other, before, b)
    assert f"it is of arm {a.id}" in note


def test_one_digit_is_enough(twins):
    arm, _, a, _ = twins
    before, path = digest(arm, a), folder(arm, a) / "record.json"
    values = a.evaluations[evaluation_id(PLAIN)].measurements["accuracy"].values
    text = repr(values[0])
    changed = text[:-1] + str((int(text[-1]) + 1) % 10)
    path.write_text(path.read_text().replace(text, changed, 1))
    (note,) = again(arm, before, a)
    assert "its content does not match its checksum" in note


@pytest.mark.parametrize("change", ["seed", "data", "evaluator"])
def test_a_record_is_named_by_its_content_even_if_its_checksum_fits(twins, change):
    arm, _, a, _ = twins
    before, path = digest(arm, a), folder(arm, a) / "record.json"
    content = json.loads(path.read_bytes())
    if change == "seed":
        content["arm"]["seed"] = 7
    elif change == "data":
        content["problem"]["fingerprint"] = "0" * 32
    else:
        found = content["evaluations"]
        found[evaluation_id(RIGHT)] = found[evaluation_id(PLAIN)]
    path.write_text(json.dumps(sealed(content)))
    (note,) = again(arm, before, a)
    assert "is not the record of this arm" in note
    assert path.with_name("record.misplaced.json").exists()
