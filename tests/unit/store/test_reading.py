"""What cannot be read is damage, of whatever kind: it is named, and nothing waits or is raised."""

import json
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from trustbench.errors import StorageError
from trustbench.store import files, reading
from trustbench.store.arrays import pack, read_arrays
from trustbench.store.reading import Damaged, parse, read_bytes, read_sealed, sealed
from trustbench.store.records import Store

CONTENTS = {
    "nested": b"[" * 200_000,
    "nested objects": b'{"a":' * 200_000,
    "nested and closed": b"[" * 900 + b"]" * 900,
    "digits": b'{"schema_version": ' + b"1" * 6000 + b"}",
    "NaN": b'{"a": NaN}',
    "infinite": b'{"a": 1e999, "sha256": "0"}',
    "no text": b"\xff\xfe\x00",
    "half a pair": b'{"a": "\\ud800"}',
    "null": b"null",
    "empty": b"",
}


def spoil(path, kind):
    """Puts something of that kind in the place of a file."""
    path.unlink(missing_ok=True)
    if kind in CONTENTS:
        path.write_bytes(CONTENTS[kind])
    else:
        OTHERS[kind](path)


def _huge(path):
    path.touch()
    os.truncate(path, 2**40)


def _socket(path):
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")  # longer paths are refused
    os.close(here)


OTHERS = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "dangling link": lambda p: p.symlink_to("nowhere"),
    "loop": lambda p: p.symlink_to(p.name),
    "device": lambda p: p.symlink_to("/dev/zero"),
    "huge": _huge,
    "socket": _socket,
}
KINDS = [*OTHERS, *CONTENTS]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage_is_named_at_once(tmp_path, kind):
    path = tmp_path / "record.json"
    spoil(path, kind)
    started = time.monotonic()
    with pytest.raises(Damaged, match=r"^it (is|has|cannot|holds)|^its"):
        read_sealed(path)
    notes = []
    store = Store(tmp_path / "out", notes.append)
    place = store.arm_dir("a" * 16)
    place.mkdir(parents=True)
    for name in ("record.json", "arrays.npz"):
        spoil(place / name, kind)
    assert list(store.records()) == []
    assert store.arrays("a" * 16) == {}
    assert [n.startswith(str(place)) and "left out" in n for n in notes] == [True, True]
    assert store.reclaim("a" * 16) is None
    assert os.path.lexists(place / "record.damaged.json")
    assert os.path.lexists(place / "arrays.damaged.npz")
    assert time.monotonic() - started < 5


def test_a_file_that_may_not_be_opened_is_damage(tmp_path, monkeypatch):
    """As with mode 000, which root does not notice."""
    path = tmp_path / "record.json"
    path.write_bytes(b"{}")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(reading.os, "open", refuse)
    with pytest.raises(Damaged, match=r"it cannot be opened \(Permission denied\)"):
        read_bytes(path)


def test_a_machine_without_file_handles_is_no_damage(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(reading.os, "open", refuse)
    with pytest.raises(OSError, match="Too many"):
        read_bytes(tmp_path / "record.json")


def test_a_sealed_file_keeps_its_content_and_notices_every_change(tmp_path):
    path = tmp_path / "a.json"
    content = {"a": [0.1, -0.0, 1e-300, 3], "b": {"é": None, "c": True}}
    path.write_text(json.dumps(sealed(content)))
    assert read_sealed(path) == content
    text = path.read_bytes()
    for k in range(len(text)):
        path.write_bytes(text[:k] + bytes([text[k] ^ 1]) + text[k + 1 :])
        with suppress(Damaged):
            assert read_sealed(path) == content  # blanks between tokens
    assert read_sealed(tmp_path / "none.json") is None


@pytest.mark.parametrize("place", ["lock", "journal", "record.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "loop", "socket"])
def test_what_lies_in_the_place_of_a_file_to_be_written_is_kept(tmp_path, place, kind, capsys):
    folder = tmp_path / "arm"
    folder.mkdir()
    spoil(folder / place, kind)
    write = {
        "lock": lambda: files.exclusive(folder).__enter__(),
        "journal": lambda: files.append_line(folder / "journal", "start"),
        "record.json": lambda: files.write_own(folder / "record.json", b"{}"),
    }
    write[place]()
    assert (folder / place).is_file()
    (kept,) = folder.glob(f"{place}.*.damaged")
    assert f"is not a file; it is kept as {kept.name}" in capsys.readouterr().err


def test_a_file_that_another_process_makes_meanwhile_is_not_in_the_way(tmp_path, monkeypatch):
    path = tmp_path / "lock"

    def too_late(self):
        path.touch()  # made between the look and its answer
        raise FileNotFoundError

    monkeypatch.setattr(Path, "stat", too_late)
    files.make_way(path)
    assert [p.name for p in tmp_path.iterdir()] == ["lock"]


def test_a_folder_in_the_place_of_a_users_output_is_an_error_and_stays(tmp_path):
    spoil(tmp_path / "out", "folder")
    with pytest.raises(StorageError):
        files.write_atomically(tmp_path / "out", b"x")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_arrays_come_back_and_no_change_goes_unnoticed(tmp_path):
    arrays = {"logits": np.arange(6.0).reshape(2, 3), "a/b": np.array([True, False])}
    path, data = tmp_path / "arrays.npz", pack("a" * 16, arrays)
    path.write_bytes(data)
    found = read_arrays(path, "a" * 16)
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[k], v) for k, v in arrays.items())
    with np.load(path) as plain:  # an npz like any other
        assert set(plain) == set(arrays)
    with pytest.raises(Damaged, match="it is of arm a"):
        read_arrays(path, "b" * 16)
    for k in range(len(data)):
        path.write_bytes(data[:k] + bytes([data[k] ^ 1]) + data[k + 1 :])
        with pytest.raises(Damaged):
            read_arrays(path, "a" * 16)
    for k in range(len(data)):
        path.write_bytes(data[:k])
        with pytest.raises(Damaged):
            read_arrays(path, "a" * 16)


def test_deep_content_is_refused_before_it_ends_the_process():
    with pytest.raises(Damaged):
        parse(b"[" * 10**6)
