"""A store takes from a server what another machine has finished, and nothing that is not whole."""

import time

import numpy as np
import pytest

from tests.unit.test_tracking import make_record
from trustbench import tracked, tracking
from trustbench.records import Store
from trustbench.tracking import owner, runs, server, upload

ARM = "a" * 16
FAIRNESS = "fairness-12345678"


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A database that no store of this module's tests owns."""
    store = Store(tmp_path_factory.mktemp("server"))
    tracking.prepare(store, None, "exp")
    return tracking.resolve(store, None)


@pytest.fixture
def machine(tmp_path):
    """Makes stores that share no disk."""
    said = []

    def make(name):
        store = Store(tmp_path / name, warn=said.append)
        store.root.mkdir(exist_ok=True)
        return store

    make.said = said
    return make


_next = iter(range(16**8))


@pytest.fixture
def arm():
    """An arm id of the test's own: the database is shared."""
    return f"{next(_next):016x}"


def evaluations(*names):
    one = make_record().evaluations[FAIRNESS]
    return {
        f"{n}-12345678": one.model_copy(
            update={"evaluator": one.evaluator.model_copy(update={"name": n}), "arrays": ["right"]}
        )
        for n in names
    }


def finished(store, arm, *names, status="ok", seed=0):
    """A record of `names`, written with its arrays."""
    rng = np.random.default_rng(seed)
    record = make_record(arm, status=status, evaluations=evaluations(*names))
    arrays = {f"{n}-12345678/right": rng.random(3) for n in names}
    return store.write(record, {"logits": rng.random(3), **arrays})


def upload_of(store, uri, record, experiment="exp"):
    return tracking.log_record(store, uri, experiment, record)


def the_runs(store, uri, arm):
    made = server.Server(store, uri)
    return list(runs.search(made, runs.experiments(made), runs.of_arm(arm)))


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
    monkeypatch.setattr(server.Server, "ask", lambda *_: pytest.fail("it asked"))
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
    server.Server(store, uri).call("log_artifact", run_id, str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("record.json", lambda d: d.replace(b'"seed": 0', b'"seed": 1'), "not the one that its"),
        ("record.json", lambda d: d[: len(d) // 2], "not a complete record"),
        ("record.json", lambda d: d.replace(b'"schema_version": 1', b'"schema_version": 9'), "9"),
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
    server.Server(one, uri).call("delete_run", run_id)


@pytest.mark.parametrize("other", ["../../escaped", "b" * 16])
def test_a_server_does_not_choose_which_folder_is_written(
    machine, uri, arm, monkeypatch, tmp_path, other
):
    """It answers with a whole record, of another arm than it was asked for."""
    one, two = machine("one"), machine("two")
    run_id, theirs = upload_of(one, uri, make_record(arm)), make_record(other)
    _replace(one, uri, run_id, "record.json", theirs.model_dump_json().encode(), tmp_path)
    for key, value in tracked.tags(theirs, "exp").items():
        server.Server(one, uri).call("set_tag", run_id, key, value)
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


# --- uploads ---------------------------------------------------------------------------------


def test_the_same_record_is_uploaded_once(machine, uri, arm):
    store = machine("one")
    record = finished(store, arm, "fairness")
    assert not tracking.uploaded(store, uri, record)
    first = upload_of(store, uri, record)
    assert tracking.uploaded(store, uri, record)
    assert not tracking.uploaded(store, "http://another", record)
    assert upload_of(store, uri, record) == first
    changed = record.model_copy(update={"seconds": 9.0})
    assert not tracking.uploaded(store, uri, changed)
    assert upload_of(store, uri, changed) != first
    assert len(the_runs(store, uri, arm)) == 2


def _killed_while_uploading(store, uri, record, monkeypatch, **tags):
    """The run that an upload leaves which dies before its arrays are there."""
    with monkeypatch.context() as m:
        m.setattr(upload, "_log_files", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        if tags:
            mine = owner.tags()
            m.setattr(owner, "tags", lambda: {**mine, **tags})
        with pytest.raises(KeyboardInterrupt):
            upload_of(store, uri, record)
    return next(str(r.info.run_id) for r in the_runs(store, uri, record.id))


def statuses(store, uri, arm):
    return {str(r.info.run_id): r.info.status for r in the_runs(store, uri, arm)}


def test_half_an_upload_is_never_read_and_closed_by_the_next(machine, uri, arm, monkeypatch):
    one, two = machine("one"), machine("two")
    record = finished(one, arm, "fairness")
    half = _killed_while_uploading(one, uri, record, monkeypatch, **{owner.STARTED: "1"})
    assert statuses(one, uri, arm) == {half: "RUNNING"}
    assert tracking.logged(one, uri, [record]) == set()
    assert arm not in {r.id for r in tracking.fetch_records(two, uri)}
    tracking.bring(two, uri, arm, [FAIRNESS])
    assert two.read(arm) is None
    whole = upload_of(one, uri, record)
    assert statuses(one, uri, arm) == {half: "KILLED", whole: "FINISHED"}
    assert tracking.logged(one, uri, [record]) == {arm}


def test_an_upload_of_another_host_is_left_alone(machine, uri, arm, monkeypatch):
    store = machine("one")
    record = finished(store, arm, "fairness")
    theirs = _killed_while_uploading(store, uri, record, monkeypatch, **{owner.HOST: "another"})
    upload_of(store, uri, record)
    assert statuses(store, uri, arm)[theirs] == "RUNNING"
    tracking.reap(store, uri, [r for r in tracking.unfinished(store, uri) if r.dead(0.0)])


def test_only_the_dead_are_reaped(machine, uri, arm, monkeypatch):
    store = machine("one")
    record = finished(store, arm, "fairness")
    dead = _killed_while_uploading(store, uri, record, monkeypatch, **{owner.STARTED: "1"})
    (found,) = tracking.unfinished(store, uri)
    assert (found.run_id, found.fate, found.dead()) == (dead, "gone", True)
    assert found.label == tracked.label(record)
    tracking.reap(store, uri, [found])
    assert statuses(store, uri, arm)[dead] == "KILLED"
    theirs = _killed_while_uploading(store, uri, record, monkeypatch, **{owner.HOST: "another"})
    (found,) = tracking.unfinished(store, uri)
    assert (found.host, found.fate) == ("another", "elsewhere")
    assert not found.dead()
    assert not found.dead(older_than_h=1.0)
    assert found.dead(older_than_h=0.0)
    tracking.reap(store, uri, [found])
    assert statuses(store, uri, arm)[theirs] == "KILLED"
    mine = _killed_while_uploading(store, uri, record, monkeypatch)
    (found,) = tracking.unfinished(store, uri)
    assert not found.dead(older_than_h=0.0), "its process is seen to live"
    upload_of(store, uri, record)
    assert statuses(store, uri, arm)[mine] == "KILLED", "this process gave it up"
    assert tracking.unfinished(store, uri) == []


def test_arms_that_experiments_share_are_in_the_table_of_each(machine, uri, arm):
    """The second experiment found the arm finished, so only the first one's upload is there."""
    from trustbench.records import Sweep

    store = machine("one")
    record = finished(store, arm, "fairness")
    upload_of(store, uri, record, experiment="first")
    sweep = Sweep(experiment="second", table="cresswell", arms=[arm], evaluations=[FAIRNESS])
    store.write_sweep(sweep)
    parent = tracking.prepare(store, uri, "second")
    tracking.log_sweep(store, uri, parent, sweep, [])
    assert list(tracking.fetch_records(store, uri, "second")) == [record]
