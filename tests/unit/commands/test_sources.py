"""Fetching of files: verified, replaced, given up."""

import pytest

from tests.unit.commands.download_server import BODY, left, plain, sha, toy
from trustbench.api import dataset_files as sources
from trustbench.datasets.loading import download as downloads
from trustbench.datasets.loading.files import RemoteFile
from trustbench.errors import DataError


def test_a_file_is_fetched_verified_and_put_in_place(server, tmp_path):
    known = plain(server)
    (path,) = sources.fetch("toy", tmp_path, known)
    assert path == tmp_path / "toy" / "t.csv"
    assert path.read_bytes() == BODY
    assert left(tmp_path) == ["t.csv"]
    assert sources.check("toy", tmp_path, known).files[0].state == "verified"


def test_what_is_there_is_not_fetched_again(server, tmp_path):
    known = plain(server)
    sources.fetch("toy", tmp_path, known)
    sources.fetch("toy", tmp_path, known)
    assert server.asked == ["t.csv"]


def test_a_file_that_differs_is_replaced(server, tmp_path):
    known = plain(server)
    (path,) = sources.fetch("toy", tmp_path, known)
    path.write_bytes(b"changed")
    assert sources.check("toy", tmp_path, known).state == "differs"
    sources.fetch("toy", tmp_path, known)
    assert path.read_bytes() == BODY


def test_a_wrong_checksum_keeps_nothing(server, tmp_path):
    known = plain(server, digest="0" * 64)
    with pytest.raises(DataError, match=f"has sha256 {sha(BODY)} instead of 000.*not kept"):
        sources.fetch("toy", tmp_path, known)
    assert left(tmp_path) == []


def test_a_wrong_checksum_does_not_destroy_the_old_file(server, tmp_path):
    known = plain(server, digest="0" * 64)
    old = tmp_path / "toy" / "t.csv"
    old.parent.mkdir()
    old.write_bytes(b"old")
    with pytest.raises(DataError, match="instead of"):
        sources.fetch("toy", tmp_path, known)
    assert old.read_bytes() == b"old"


def test_a_wrong_size_keeps_nothing(server, tmp_path):
    known = plain(server, size=12)
    with pytest.raises(DataError, match="has 8000 bytes instead of 12"):
        sources.fetch("toy", tmp_path, known)
    assert left(tmp_path) == []


def test_a_download_that_is_cut_off_keeps_nothing(server, tmp_path):
    server.cut.add("t.csv")
    with pytest.raises(DataError, match=r"cut off after 8000 of 8500 bytes"):
        sources.fetch("toy", tmp_path, plain(server))
    assert left(tmp_path) == []


def test_an_address_without_a_file_is_a_sentence(server, tmp_path):
    known = toy(RemoteFile("t.csv", f"{server.url}/gone.csv", sha(BODY)))
    with pytest.raises(DataError, match=r"gone\.csv cannot be downloaded \(.*check the network"):
        sources.fetch("toy", tmp_path, known)


def test_no_server_is_a_sentence(server, tmp_path):
    known = plain(server)
    server.http.server_close()
    with pytest.raises(DataError, match=r"cannot be downloaded .*by hand") as caught:
        sources.fetch("toy", tmp_path, known, mirror="http://127.0.0.1:9")
    assert "\n" not in str(caught.value)


def test_a_server_that_never_answers_is_given_up(tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/t.csv"
        with pytest.raises(DataError, match=r"cannot be downloaded \(.*timed out"):
            sources.fetch("toy", tmp_path, toy(RemoteFile("t.csv", url, sha(BODY))))


def test_a_mirror_replaces_all_but_the_last_part(server, tmp_path):
    server.files["t.csv"] = BODY
    known = toy(RemoteFile("t.csv", "https://example.invalid/deep/t.csv", sha(BODY)))
    sources.fetch("toy", tmp_path, known, mirror=f"{server.url}/")
    assert left(tmp_path) == ["t.csv"]


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/t.csv"])
def test_only_web_addresses_are_followed(tmp_path, url):
    with pytest.raises(DataError, match="is not a web address"):
        sources.fetch("toy", tmp_path, toy(RemoteFile("t.csv", url, sha(BODY))))


def test_an_endless_file_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "LARGEST", 1000)
    with pytest.raises(DataError, match="sends more than"):
        sources.fetch("toy", tmp_path, plain(server))
    assert left(tmp_path) == []
