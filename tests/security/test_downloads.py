"""A server that lies: nothing that it sends is kept but the declared bytes in their place."""

import io
import stat
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from tests.unit.commands.download_server import Server, left, sha, toy
from trustbench.api import dataset_files as sources
from trustbench.datasets.loading import download as downloads
from trustbench.datasets.loading.files import RemoteFile
from trustbench.errors import DataError


@pytest.fixture
def server():
    with Server() as made:
        yield made


def zipped(entries, **options):
    """A zip archive of {name or ZipInfo: bytes}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in entries:
            z.writestr(name, content, **options)
    return out.getvalue()


def special(name, kind):
    """An entry that says it is a link or a device."""
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def encrypted():
    """An archive whose member claims to be encrypted."""
    data = bytearray(zipped([("a.txt", b"A" * 50)]))
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    data[local + 6] |= 1
    data[central + 8] |= 1
    return bytes(data)


def unknown_method():
    data = bytearray(zipped([("a.txt", b"A" * 50)]))
    data[data.index(b"PK\x03\x04") + 8] = 99
    data[data.index(b"PK\x01\x02") + 10] = 99
    return bytes(data)


def damaged():
    data = bytearray(zipped([("a.txt", bytes(range(256)) * 40)]))
    at = data.index(b"a.txt") + 20
    data[at : at + 40] = b"\xff" * 40
    return bytes(data)


def liar(real, announced):
    """An archive whose member unpacks to `real` bytes and announces fewer."""
    data = bytearray(zipped([("a.txt", bytes(real))]))
    local, central = data.index(b"PK\x03\x04"), data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, local + 22, announced)
    struct.pack_into("<I", data, central + 24, announced)
    return bytes(data)


BROKEN = {
    "a link": zipped([("a.txt", b"A"), (special("b", stat.S_IFLNK), b"/etc/passwd")]),
    "the member is a link": zipped([(special("a.txt", stat.S_IFLNK), b"/etc/passwd")]),
    "a device": zipped([("a.txt", b"A"), (special("b", stat.S_IFBLK), b"")]),
    "a pipe": zipped([("a.txt", b"A"), (special("b", stat.S_IFIFO), b"")]),
    "encrypted": encrypted(),
    "unknown method": unknown_method(),
    "damaged": damaged(),
    "cut off": zipped([("a.txt", b"A" * 1000)])[:-30],
    "announces less": liar(5000, 100),
    "empty": b"",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_hostile_archive_is_one_sentence_and_leaves_nothing(kind, server, tmp_path):
    server.files["t.zip"] = BROKEN[kind]
    known = toy(RemoteFile("a.txt", f"{server.url}/t.zip", sha(b"A"), member="a.txt"))
    with pytest.raises(DataError) as caught:
        sources.fetch("toy", tmp_path / "data", known)
    assert len(str(caught.value).splitlines()) == 1
    assert left(tmp_path / "data") == []


def test_a_zip_bomb_is_refused_before_it_is_unpacked(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 10_000)
    server.files["t.zip"] = zipped([("a.txt", bytes(10**6))])
    assert len(server.files["t.zip"]) < 10_000
    known = toy(RemoteFile("a.txt", f"{server.url}/t.zip", sha(b"A"), member="a.txt"))
    with pytest.raises(DataError, match="exceeds 1 GiB"):
        sources.fetch("toy", tmp_path / "data", known)
    assert left(tmp_path / "data") == []


def test_a_bomb_that_announces_little_is_unpacked_no_further_than_that(server, tmp_path):
    server.files["t.zip"] = liar(200 * 2**20, 1000)
    known = toy(RemoteFile("a.txt", f"{server.url}/t.zip", sha(b"A"), member="a.txt"))
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            sources.fetch("toy", tmp_path / "data", known)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()
    assert left(tmp_path / "data") == []


def test_an_answer_without_end_is_cut(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 1000)
    server.files["a.txt"] = bytes(5000)
    known = toy(RemoteFile("a.txt", f"{server.url}/a.txt", sha(bytes(5000))))
    with pytest.raises(DataError, match="sends more than 1 GiB"):
        sources.fetch("toy", tmp_path / "data", known)
    assert left(tmp_path / "data") == []


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/etc/passwd", "data:,x"]
)
def test_only_web_addresses_are_asked(url, tmp_path):
    with pytest.raises(DataError, match="is not a web address"):
        sources.fetch("toy", tmp_path, toy(RemoteFile("a.txt", url, sha(b"A"))))


def test_a_wrong_file_never_takes_the_place_of_a_right_one(server, tmp_path):
    folder = tmp_path / "data"
    server.files["a.txt"] = b"right"
    known = toy(RemoteFile("a.txt", f"{server.url}/a.txt", sha(b"right")))
    (path,) = sources.fetch("toy", folder, known)
    server.files["a.txt"] = b"wrong"
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="instead of"):
        sources.fetch("toy", folder, known)
    assert path.read_bytes() == b"damaged", "what a user had is left to the user"


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(server, tmp_path):
    folder, precious = tmp_path / "data", tmp_path / "precious"
    precious.write_bytes(b"precious")
    server.files["a.txt"] = b"A"
    known = toy(RemoteFile("a.txt", f"{server.url}/a.txt", sha(b"A")))
    (path,) = sources.fetch("toy", folder, known)
    path.unlink()
    path.symlink_to(precious)
    sources.fetch("toy", folder, known)
    assert precious.read_bytes() == b"precious"
    assert path.read_bytes() == b"A"
    assert not path.is_symlink()


def test_the_lies_above_are_lies():
    """`liar` really unpacks to more than it announces; `damaged` really is."""
    with zipfile.ZipFile(io.BytesIO(liar(5000, 100))) as z:
        info = z.getinfo("a.txt")
        assert info.file_size == 100
    raw = liar(5000, 100)
    start = raw.index(b"a.txt") + len(b"a.txt")
    assert len(zlib.decompress(raw[start : start + info.compress_size], -15)) == 5000
