"""Fetching of members of archives, and paths that would leave the folder."""

import pytest

from tests.unit.commands.download_server import archive, left, sha, toy
from trustbench.api import dataset_files as sources
from trustbench.datasets.adult import Adult
from trustbench.datasets.loading.files import RemoteFile
from trustbench.errors import DataError


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
    with pytest.raises(DataError, match=r"not a zip archive with 'a\.txt' in it"):
        sources.fetch("toy", tmp_path / "data", known)


def test_something_that_is_not_an_archive_is_a_sentence(server, tmp_path):
    server.files["t.zip"] = b"<html>sorry</html>"
    known = toy(RemoteFile("a.txt", f"{server.url}/t.zip", sha(b"A"), member="a.txt"))
    with pytest.raises(DataError, match="is not a zip archive"):
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
