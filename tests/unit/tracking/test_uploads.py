"""An upload is whole or never read, and made once."""

import pytest

from tests.unit.tracking.machines import FAIRNESS, finished, the_runs, upload_of
from trustbench import tracking
from trustbench.store.labels import label
from trustbench.tracking import owner, upload

pytestmark = pytest.mark.usefixtures("handmade_ids")


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
    assert (found.run_id, found.process_state, found.dead()) == (dead, "gone", True)
    assert found.label == label(record.arm)
    tracking.reap(store, uri, [found])
    assert statuses(store, uri, arm)[dead] == "KILLED"
    theirs = _killed_while_uploading(store, uri, record, monkeypatch, **{owner.HOST: "another"})
    (found,) = tracking.unfinished(store, uri)
    assert (found.host, found.process_state) == ("another", "elsewhere")
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
    from trustbench.store.records import Sweep

    store = machine("one")
    record = finished(store, arm, "fairness")
    upload_of(store, uri, record, experiment="first")
    sweep = Sweep(
        experiment="second", table="cresswell", arms=[arm], evaluations=[FAIRNESS], names={}
    )
    store.write_sweep(sweep)
    parent = tracking.prepare(store, uri, "second")
    tracking.log_sweep(store, uri, parent, sweep, [])
    assert list(tracking.fetch_records(store, uri, "second")) == [record]
