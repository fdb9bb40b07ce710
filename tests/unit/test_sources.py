"""Listing, fetching and checking of files, against a server on this machine."""

import hashlib
import threading
import zipfile
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from trustbench import sources
from trustbench.datasets import _download
from trustbench.datasets._files import FileDataset, RemoteFile
from trustbench.datasets.adult import Adult
from trustbench.datasets.digits import Digits
from trustbench.datasets.german import German
from trustbench.datasets.mnist import Mnist
from trustbench.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
BODY = b"a,b\n1,2\n" * 1000


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `files`; those named in `cut` announce more bytes than they send."""

    def __init__(self, files, cut, asked, *args):
        self.files, self.cut, self.asked = files, cut, asked
        super().__init__(*args)

    def do_GET(self):
        name = self.path.lstrip("/")
        self.asked.append(name)
        if name not in self.files:
            self.send_error(404, "no such file")
            return
        body = self.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body) + (500 if name in self.cut else 0)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server:
    def __init__(self):
        self.files, self.cut, self.asked = {}, set(), []
        handler = partial(Handler, self.files, self.cut, self.asked)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


def toy(*declared):
    @dataclass(frozen=True)
    class Toy(FileDataset):
        folder: ClassVar[str] = "toy"
        files: ClassVar[tuple[RemoteFile, ...]] = declared

    return {"toy": Toy(), "digits": Digits()}


def plain(server, body=BODY, digest=None, size=None):
    server.files["t.csv"] = body
    return toy(RemoteFile("t.csv", f"{server.url}/t.csv", digest or sha(body), size))


def archive(server, tmp_path, members):
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as z:
        for name, body in members.items():
            z.writestr(name, body)
    server.files["t.zip"] = path.read_bytes()
    return f"{server.url}/t.zip"


def left(folder):
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


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

    monkeypatch.setattr(_download, "TIMEOUT_S", 0.2)
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
    with pytest.raises(DataError, match="is no web address"):
        sources.fetch("toy", tmp_path, toy(RemoteFile("t.csv", url, sha(BODY))))


def test_an_endless_file_is_given_up(server, tmp_path, monkeypatch):
    monkeypatch.setattr(_download, "LARGEST", 1000)
    with pytest.raises(DataError, match="sends more than"):
        sources.fetch("toy", tmp_path, plain(server))
    assert left(tmp_path) == []


# --- archives ----------------------------------------------------------------------------------


def test_members_of_one_archive_are_fetched_once(server, tmp_path):
    url = archive(server, tmp_path, {"in/a.txt": b"A", "b.txt": b"B", "other": b"x"})
    known = toy(
        RemoteFile("a.txt", url, sha(b"A"), member="in/a.txt"),
        RemoteFile("raw/b.txt", url, sha(b"B"), member="b.txt"),
    )
    paths = sources.fetch("toy", tmp_path / "data", known)
    assert [p.read_bytes() for p in paths] == [b"A", b"B"]
    assert server.asked == ["t.zip"]
    assert left(tmp_path / "data") == ["a.txt", "b.txt"]


@pytest.mark.parametrize("evil", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil"])
def test_an_archive_that_leaves_its_folder_is_refused_whole(server, tmp_path, evil):
    url = archive(server, tmp_path, {"a.txt": b"A", evil: b"evil"})
    known = toy(RemoteFile("a.txt", url, sha(b"A"), member="a.txt"))
    with pytest.raises(DataError, match="a path outside of its folder; nothing of it"):
        sources.fetch("toy", tmp_path / "data", known)
    assert left(tmp_path) == ["made.zip"]


def test_a_broken_member_keeps_nothing(server, tmp_path):
    url = archive(server, tmp_path, {"a.txt": b"A"})
    known = toy(RemoteFile("a.txt", url, sha(b"something else"), member="a.txt"))
    with pytest.raises(DataError, match="instead of"):
        sources.fetch("toy", tmp_path / "data", known)
    assert left(tmp_path / "data") == []


def test_an_archive_without_the_member_is_a_sentence(server, tmp_path):
    url = archive(server, tmp_path, {"b.txt": b"B"})
    known = toy(RemoteFile("a.txt", url, sha(b"A"), member="a.txt"))
    with pytest.raises(DataError, match=r"no zip archive with 'a\.txt' in it"):
        sources.fetch("toy", tmp_path / "data", known)


def test_something_that_is_no_archive_is_a_sentence(server, tmp_path):
    server.files["t.zip"] = b"<html>sorry</html>"
    known = toy(RemoteFile("a.txt", f"{server.url}/t.zip", sha(b"A"), member="a.txt"))
    with pytest.raises(DataError, match="is no zip archive"):
        sources.fetch("toy", tmp_path / "data", known)


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", ""])
def test_a_declared_path_cannot_leave_the_folder(path):
    with pytest.raises(ValueError, match="leaves the dataset's folder"):
        RemoteFile(path, None, None)


# --- adult, for real ---------------------------------------------------------------------------


def test_adult_is_fetched_from_an_archive_and_loads(server, tmp_path, shared_data):
    members = {n: (shared_data / "adult" / n).read_bytes() for n in ("adult.data", "adult.test")}
    archive(server, tmp_path, {**members, "Index": b"x"})
    server.files["adult.zip"] = server.files.pop("t.zip")
    known = {"adult": Adult()}
    folder = tmp_path / "data"
    assert sources.list_data(folder, known)[0].state == "missing"
    sources.fetch("adult", folder, known, mirror=server.url)
    assert sources.list_data(folder, known)[0].state == "present"
    states = [f.state for f in sources.check("adult", folder, known).files]
    assert states == ["verified", "verified"]


# --- states ------------------------------------------------------------------------------------


def test_states_are_embedded_missing_incomplete_and_present(server, tmp_path):
    known = toy(
        RemoteFile("a", f"{server.url}/a", sha(b"A")), RemoteFile("b", f"{server.url}/b", sha(b"B"))
    )

    def states():
        return {s.name: s.state for s in sources.list_data(tmp_path, known)}

    assert states() == {"toy": "missing", "digits": "embedded"}
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "a").write_bytes(b"A")
    assert states()["toy"] == "incomplete"
    (tmp_path / "b").write_bytes(b"B")
    assert states()["toy"] == "present"


def test_a_size_without_a_checksum_is_checked_and_said(tmp_path):
    (tmp_path / "german.data").write_bytes(b"x" * 79_793)
    known = {"german": German()}
    assert "no checksum is published" in sources.check("german", tmp_path, known).files[0].state
    (tmp_path / "german.data").write_bytes(b"x" * 10)
    assert sources.check("german", tmp_path, known).state == "differs"


def test_a_file_without_an_address_says_where_to_put_it(tmp_path):
    known = toy(RemoteFile("t.parquet", None, "ab" * 32))
    with pytest.raises(DataError, match=r"no official address; put the file with sha256 abab"):
        sources.fetch("toy", tmp_path, known)


def test_nothing_is_fetched_for_an_embedded_data_set(tmp_path):
    assert sources.fetch("digits", tmp_path, toy()) == []


@pytest.mark.parametrize("do", [sources.fetch, sources.check])
def test_an_unknown_name_gets_the_near_one(tmp_path, do):
    with pytest.raises(DataError, match=r"'digit' is no dataset; did you mean 'digits'"):
        do("digit", tmp_path, toy())


def test_a_folder_that_cannot_be_made_is_a_sentence(server, tmp_path):
    (tmp_path / "toy").write_text("a file in the way")
    with pytest.raises(DataError, match="cannot be made"):
        sources.fetch("toy", tmp_path, plain(server))


def test_a_recut_of_mnist_cannot_be_fetched(tmp_path):
    known = {"mnist10k": Mnist(folder="mnist10k")}
    with pytest.raises(DataError, match=r"no official distribution.*use dataset=mnist"):
        sources.fetch("mnist10k", tmp_path, known)


def test_torchvision_sets_are_fetched_by_torchvision(tmp_path, monkeypatch):
    import torchvision.datasets

    asked = []

    def refuse(root, download):
        asked.append((root, download))
        raise RuntimeError("Error downloading\nno route to host")

    monkeypatch.setattr(torchvision.datasets, "MNIST", refuse)
    with pytest.raises(
        DataError, match=r"cannot download it .*no route to host.*by hand"
    ) as caught:
        sources.fetch("mnist", tmp_path, {"mnist": Mnist()})
    assert asked == [(tmp_path / "mnist", True)]
    assert "\n" not in str(caught.value)


def test_every_yaml_of_a_data_set_is_known():
    known = sources.datasets([ROOT / "conf"])
    assert {p.stem for p in (ROOT / "conf" / "dataset").glob("*.yaml")} == set(known)
    assert known["mnist10k"].folder == "mnist10k"


@pytest.mark.parametrize("kind", ["dataset", "model"])
def test_every_yaml_spells_the_defaults_of_its_class(kind):
    """All fields are in the file, with their defaults (a variant such as mnist10k may differ)."""
    import dataclasses

    import yaml

    from trustbench.plugins import build

    paths = sorted((ROOT / "conf" / kind).glob("*.yaml"))
    assert len(paths) >= 4
    for path in paths:
        node = yaml.safe_load(path.read_text())
        made = build(kind, path.stem, node, path.stem)
        assert node["name"] == path.stem
        assert set(node) == {"name", "_target_", *(f.name for f in dataclasses.fields(made))}
        if path.stem != "mnist10k":
            assert made == type(made)(), path.stem
        assert path.read_text().startswith("# ")
