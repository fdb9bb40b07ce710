"""A store takes from a server what another machine has finished, and nothing that is not whole."""

import json
import time

import numpy as np
import pytest

from tests.unit.tracking.machines import FAIRNESS, evaluations, finished, upload_of
from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.store.reading import sealed
from trustbench.store.record_files import to_json
from trustbench.tracking import run_content as tracked
from trustbench.tracking import runs, server

pytestmark = pytest.mark.usefixtures("handmade_ids")


def test_what_one_machine_finished_another_has_to_the_byte(machine, uri, arm):
    one, two = machine("one"), machine("two")
    record = finished(one, arm, "fairness")
    upload_of(one, uri, record)
    tracking.bring(two, uri, arm, [FAIRNESS])
    assert two.read(arm) == record
    assert two.whole(record)
    for name in ("record.json", "arrays.npz"):
        assert (two.arm_dir(arm) / name).read_bytes() == (one.arm_dir(arm) / name).read_bytes()
    assert tracking.uploaded(two, uri, record), "it need not go back"
    assert machine.said == []


def test_an_arm_is_found_in_every_experiment(machine, uri, arm):
    one, two = machine("one"), machine("two")
    upload_of(one, uri, finished(one, arm, "fairness"), experiment="another")
    tracking.bring(two, uri, arm, [FAIRNESS])
    assert two.read(arm) is not None


def test_what_the_server_does_not_have_is_not_brought(machine, uri, arm):
    one, two = machine("one"), machine("two")
    tracking.bring(two, uri, arm, [FAIRNESS])
    assert two.read(arm) is None
    upload_of(one, uri, finished(one, arm, "fairness", status="failed"))
    tracking.bring(two, uri, arm, [FAIRNESS])
    assert two.read(arm) is None, "a failed arm is tried again"
    upload_of(one, uri, finished(one, arm, "fairness"))
    tracking.bring(two, uri, arm, ["privacy-12345678"])
    assert two.read(arm) is None, "it has nothing that was asked for"
    assert machine.said == []


def test_parts_that_machines_measured_are_joined(machine, uri, arm):
    one, two, three = (machine(n) for n in ("one", "two", "three"))
    upload_of(one, uri, finished(one, arm, "fairness", seed=1))
    time.sleep(0.01)
    upload_of(two, uri, finished(two, arm, "privacy", seed=2))
    wanted = [FAIRNESS, "privacy-12345678"]
    tracking.bring(three, uri, arm, wanted)
    brought, arrays = three.read(arm), three.arrays(arm)
    assert set(brought.evaluations) == set(wanted)
    assert three.whole(brought)
    np.testing.assert_array_equal(arrays[f"{FAIRNESS}/right"], one.arrays(arm)[f"{FAIRNESS}/right"])
    np.testing.assert_array_equal(arrays["logits"], two.arrays(arm)["logits"])  # the newest
    found = {r.id: r for r in tracking.fetch_records(three, uri)}[arm]
    assert set(found.evaluations) == set(wanted), "as a table of the server's has them"


@pytest.mark.parametrize("status", ["ok", "started"])
def test_what_the_store_has_stays(machine, uri, arm, status):
    """An evaluation here is kept beside those that are brought, with its own arrays."""
    one, two = machine("one"), machine("two")
    upload_of(one, uri, finished(one, arm, "fairness", "privacy", seed=1))
    finished(two, arm, "fairness", "utility", status=status, seed=2)
    tracking.bring(two, uri, arm, [FAIRNESS, "utility-12345678", "privacy-12345678"])
    record, arrays = two.read(arm), two.arrays(arm)
    assert record.status == "ok"
    assert set(record.evaluations) == set(evaluations("fairness", "utility", "privacy"))
    assert two.whole(record)
    own = np.random.default_rng(2)
    right, utility, logits = own.random(3), own.random(3), own.random(3)
    np.testing.assert_array_equal(arrays["utility-12345678/right"], utility)
    if status == "ok":
        np.testing.assert_array_equal(arrays["logits"], logits)
        np.testing.assert_array_equal(arrays[f"{FAIRNESS}/right"], right)


def test_a_store_that_has_all_asks_nobody(machine, uri, arm, monkeypatch):
    store = machine("one")
    finished(store, arm, "fairness")
    monkeypatch.setattr(server.TrackingServer, "ask", lambda *_: pytest.fail("it asked"))
    tracking.bring(store, uri, arm, [FAIRNESS])
    tracking.bring(store, None, "f" * 16, [FAIRNESS])
    tracking.bring(store, tracking.resolve(store, None), "f" * 16, [FAIRNESS])


def test_damaged_arrays_are_brought_anew(machine, uri, arm):
    store = machine("one")
    record = finished(store, arm, "fairness")
    upload_of(store, uri, record)
    (store.arm_dir(arm) / "arrays.npz").write_bytes(b"half")
    tracking.bring(store, uri, arm, [FAIRNESS])
    assert store.whole(store.read(arm))


def test_an_arm_that_another_process_computes_is_left_to_it(machine, uri, arm):
    one, two = machine("one"), machine("two")
    upload_of(one, uri, finished(one, arm, "fairness"))
    with two.exclusive(arm):
        tracking.bring(two, uri, arm, [FAIRNESS])
    assert two.read(arm) is None


def _replace(store, uri, run_id, name, data, tmp_path):
    (tmp_path / name).write_bytes(data)
    server.TrackingServer(store, uri).call("log_artifact", run_id, str(tmp_path / name))


def other_record(data):
    """A whole record of the same arm with other content."""
    changed = {**json.loads(data), "reason": "another"}
    return json.dumps(sealed(changed)).encode()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("record.json", lambda d: d.replace(b'"seed": 0', b'"seed": 1'), "match its checksum"),
        ("record.json", other_record, "not the one that its tags"),
        ("record.json", lambda d: d[: len(d) // 2], "not a complete record"),
        ("record.json", lambda d: d.replace(b'"schema_version": 3', b'"schema_version": 9'), "9"),
        ("arrays.npz", lambda d: d[:-9], "arrays are not those"),
        ("arrays.npz", lambda d: b"", "arrays are not those"),
    ],
)
def test_what_is_not_what_it_says_is_refused(machine, uri, arm, tmp_path, name, change, said):
    one, two = machine("one"), machine("two")
    run_id = upload_of(one, uri, finished(one, arm, "fairness"))
    data = change((one.arm_dir(arm) / name).read_bytes())
    _replace(one, uri, run_id, name, data, tmp_path)
    tracking.bring(two, uri, arm, [FAIRNESS])
    (warning,) = machine.said
    assert said in warning
    assert "The arm is computed here" in warning
    assert two.read(arm) is None
    if name == "record.json":
        with pytest.raises(tracking.TrackingError, match=run_id):
            list(tracking.fetch_records(two, uri))
    server.TrackingServer(one, uri).call("delete_run", run_id)


@pytest.mark.parametrize("other", ["../../escaped", "b" * 16])
def test_a_server_does_not_choose_which_folder_is_written(
    machine, uri, arm, monkeypatch, tmp_path, other
):
    """It answers with a whole record, of another arm than it was asked for."""
    one, two = machine("one"), machine("two")
    run_id, theirs = upload_of(one, uri, make_record(arm)), make_record(other)
    _replace(one, uri, run_id, "record.json", to_json(theirs), tmp_path)
    for key, value in tracked.tags(theirs, "exp", "theirs").items():
        server.TrackingServer(one, uri).call("set_tag", run_id, key, value)
    monkeypatch.setattr(runs, "of_arm", lambda _: f"tags.`trustbench.arm_id` = '{other}'")
    before = sorted(tmp_path.rglob("*"))
    tracking.bring(two, uri, arm, [FAIRNESS])
    (warning,) = machine.said
    assert f"cannot be used: its record is of another arm than {arm}" in warning
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unreachable_server_is_one_warning(machine, arm, monkeypatch):
    monkeypatch.setattr(server, "RESTART_S", 1.0)
    store = machine("one")
    for k in range(3):
        tracking.bring(store, "http://127.0.0.1:9", f"{k:016x}", [FAIRNESS])
    (warning,) = machine.said
    assert "the server does not answer. The arm is computed here" in warning
    with pytest.raises(tracking.TrackingError) as caught:
        upload_of(store, "http://127.0.0.1:9", finished(store, arm, "fairness"))
    assert caught.value.repeated
