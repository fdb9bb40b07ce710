"""What the doctor says, and its exit code."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.api import health
from trustbench.commands import cli, doctor
from trustbench.store.records import Store
from trustbench.tracking import owner, upload

pytestmark = pytest.mark.usefixtures("handmade_ids")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database without runs: making its tables takes seconds, copying it does not."""
    store = Store(tmp_path_factory.mktemp("template"))
    tracking.prepare(store, None, "template", sweep=False)
    whole = store.root / "whole.db"  # with what is still in the log beside the database
    with sqlite3.connect(store.tracking_db) as source, sqlite3.connect(whole) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    return whole


@pytest.fixture
def store(tmp_path, database):
    """A store with one record, which the tracking server has."""
    store = Store(tmp_path)
    shutil.copy(database, store.tracking_db)
    tracking.prepare(store, None, "exp")
    record = store.write(make_record("1" * 16))
    tracking.log_record(store, None, "exp", record)
    return store


@pytest.fixture
def examined(capsys):
    """Runs the doctor; its exit code, and the lines that need attention and those that do not."""

    def run(*args):
        capsys.readouterr()
        code = cli.main(["doctor", *map(str, args)])
        lines = capsys.readouterr().out.splitlines()
        return code, [x[2:] for x in lines if x[0] == "!"], [x for x in lines if x[0] != "!"]

    return run


def one(lines, part):
    (found,) = [x for x in lines if part in x]
    return found


def test_a_healthy_store_is_exit_0(store, examined):
    code, wrong, fine = examined("--from", store.root)
    assert (code, wrong) == (0, [])
    assert fine[-1] == "nothing needs attention."
    for part in ("Python 3", "torchvision", "CUDA", "mlflow 3", "pool", "GB free", "answers"):
        assert one(fine, part)
    assert one(fine, "records: 1 ok")


def test_before_the_first_run_there_is_nothing_to_do(tmp_path, examined):
    code, wrong, fine = examined("--from", tmp_path / "new")
    assert (code, wrong) == (0, [])
    assert "the first run makes it" in one(fine, "store")
    assert not (tmp_path / "new").exists(), "looking makes nothing"


def test_what_needs_attention_says_what_to_do(store, examined, monkeypatch):
    store.write(make_record("2" * 16, status="failed", reason="no"))
    store.write(make_record("3" * 16, status="started"))
    broken = store.arm_dir("4" * 16) / "record.json"
    broken.parent.mkdir(parents=True)
    broken.write_text(json.dumps({"schema_version": 99}))
    monkeypatch.setattr(health, "ROOM", 2**80)
    code, wrong, fine = examined("--from", store.root)
    assert code == 1
    assert "trustbench sync" in one(wrong, "1 records to upload")
    assert "99" in one(wrong, str(broken))
    assert one(wrong, "GB free")
    assert one(fine, "records: 1 failed, 1 ok, 1 started")
    assert one(fine, "1 started ones were left by runs that died")
    assert fine[-1] == "3 marked ! need attention."
    assert cli.main(["sync", "--from", str(store.root)]) == 0
    assert "2 were there" not in examined("--from", store.root)[1]


def test_an_arm_that_is_being_computed_is_not_left(store, examined):
    store.write(make_record("3" * 16, status="started"))
    with store.exclusive("3" * 16):
        _, _, fine = examined("--from", store.root)
    assert one(fine, "1 started ones are being computed now")
    assert not [x for x in fine if "died" in x]


def test_a_server_that_does_not_answer_needs_attention_and_shows_no_password(store, examined):
    uri = "http://ann:s3cr3t@127.0.0.1:9"
    code, wrong, fine = examined("--from", store.root, "--tracking-uri", uri)
    assert code == 1
    assert one(wrong, "tracking at http://***@127.0.0.1:9 failed: the server does not answer")
    assert not any("s3cr3t" in x for x in wrong + fine)
    assert one(fine, "records: 1 ok"), "the store is examined all the same"


def test_a_database_that_is_none_needs_attention(store, examined):
    with closing(sqlite3.connect(store.tracking_db)) as connection:
        connection.execute("drop table runs")
    code, wrong, _ = examined("--from", store.root)
    assert code == 1
    assert one(wrong, "tracking at sqlite:////")


def _left_running(store, monkeypatch, **tags):
    mine = owner.tags()
    with monkeypatch.context() as m:
        m.setattr(owner, "tags", lambda: {**mine, **tags})
        m.setattr(upload, "_log_files", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tracking.log_record(store, None, "exp", make_record("5" * 16))


def test_runs_of_the_dead_are_closed_when_asked_to(store, examined, monkeypatch):
    _left_running(store, monkeypatch, **{owner.STARTED: "1"})
    code, wrong, _ = examined("--from", store.root)
    assert code == 1
    assert "its process is gone; --reap" in one(wrong, "(dpsgd epsilon=3) of process")
    code, wrong, fine = examined("--from", store.root, "--reap")
    assert (code, wrong) == (0, [])
    assert one(fine, "1 runs of dead processes closed as KILLED")
    assert examined("--from", store.root)[0] == 0


def test_runs_of_other_hosts_need_an_age(store, examined, monkeypatch):
    _left_running(store, monkeypatch, **{owner.HOST: "another"})
    code, wrong, _ = examined("--from", store.root, "--reap")
    assert code == 1
    assert "--reap --older-than HOURS" in one(wrong, "on another")
    assert examined("--from", store.root, "--reap", "--older-than", "1")[0] == 1
    assert examined("--from", store.root, "--reap", "--older-than", "0")[0] == 0


def test_a_run_that_is_being_uploaded_is_left_alone(store, examined, monkeypatch):
    _left_running(store, monkeypatch)
    code, wrong, fine = examined("--from", store.root, "--reap", "--older-than", "0")
    assert (code, wrong) == (0, [])
    assert one(fine, "is being uploaded")


@pytest.mark.parametrize("hours", ["-1", "nan", "soon"])
def test_an_age_is_hours(store, capsys, hours):
    assert cli.main(["doctor", "--from", str(store.root), "--older-than", hours]) == 2
    assert "--older-than" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("torch", "torchvision", "required", "wrong"),
    [
        ("2.15.0", "0.30.0", ["numpy", "torch==2.15.0"], False),
        ("2.15.0+cpu", "0.30.0+cpu", ["torch==2.15.0"], False),
        ("2.15.0+cu132", "0.30.0+cpu", ["torch==2.15.0"], True),
        ("2.14.0", "0.30.0", ["torch==2.15.0; python_version > '3'"], True),
        ("2.14.0", "0.30.0", [], False),
    ],
)
def test_torch_and_torchvision_are_one_build(torch, torchvision, required, wrong):
    assert health.torch_pair(torch, torchvision, required).wrong == wrong


def test_help_says_the_exit_codes():
    assert "1 something does" in doctor._parser().format_help()
