"""Listing and checking of files, and which data sets can be fetched at all."""

import pytest

from tests.unit.commands.download_server import ROOT, plain, sha, toy
from trustbench.api import dataset_files as sources
from trustbench.datasets.german import German
from trustbench.datasets.loading.files import RemoteFile
from trustbench.datasets.mnist import Mnist
from trustbench.errors import DataError


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
    with pytest.raises(DataError, match=r"'digit' is not a dataset; did you mean 'digits'"):
        do("digit", tmp_path, toy())


def test_a_folder_that_cannot_be_created_is_a_sentence(server, tmp_path):
    (tmp_path / "toy").write_text("a file in the way")
    with pytest.raises(DataError, match="cannot be created"):
        sources.fetch("toy", tmp_path, plain(server))


def test_a_recut_of_mnist_cannot_be_fetched(tmp_path):
    known = {"mnist10k": Mnist(folder="mnist10k")}
    with pytest.raises(DataError, match=r"not an official distribution.*use dataset=mnist"):
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

    from trustbench.config.plugins import build

    paths = sorted((ROOT / "conf" / kind).glob("*.yaml"))
    assert len(paths) >= 4
    for path in paths:
        node = yaml.safe_load(path.read_text())
        needed = {"target": "torch.nn:Linear"} if path.stem == "module" else {}
        made = build(kind, path.stem, {**node, **needed}, path.stem)
        assert node["name"] == path.stem
        assert set(node) == {"name", "_target_", *(f.name for f in dataclasses.fields(made))}
        if path.stem != "mnist10k":
            assert made == type(made)(**needed), path.stem
        assert path.read_text().startswith("# ")
