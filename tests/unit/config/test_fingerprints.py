"""Fingerprints: of which modules, of which files, and not of built-in plugins."""

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from trustbench.config import fingerprints
from trustbench.config.arms import Chosen
from trustbench.config.identity import evaluation_id
from trustbench.contracts import Dataset, Model
from trustbench.errors import ConfigError
from trustbench.models.mlp import MLP

PLUGIN = """
from dataclasses import dataclass
import json, numpy
import shared.numbers as n
from . import near
from .deep.inner import value
from trustbench.contracts import Model

@dataclass(frozen=True)
class Net(Model):
    def build(self, problem):
        import late
        raise NotImplementedError
"""
FILES = {
    "mine/__init__.py": "",
    "mine/net.py": PLUGIN,
    "mine/near.py": "from .deep import other\n",
    "mine/unread.py": "",
    "mine/deep/__init__.py": "",
    "mine/deep/inner.py": "value = 1\n",
    "mine/deep/other.py": "from mine import net\n",  # a circle
    "late.py": "",
}
EXPECTED = {"mine", "mine.net", "mine.near", "mine.deep", "mine.deep.inner", "mine.deep.other",
            "late", "shared", "shared.numbers"}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's project, and a library of theirs in another folder of the search path."""
    for name, content in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    library = tmp_path / "library" / "shared"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("")
    (library / "numbers.py").write_text("one = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "library"))
    monkeypatch.syspath_prepend(str(tmp_path / "project"))
    yield tmp_path
    forget()


def forget():
    for name in [n for n in sys.modules if n.split(".")[0] in ("mine", "shared", "late")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def marks():
    forget()
    return dict(fingerprints.of(importlib.import_module("mine.net").Net(), "model"))


def test_the_modules_are_those_that_the_plugin_reads_of_the_users_own(folder):
    module = importlib.import_module("mine.net")
    assert set(fingerprints.modules(module)) == EXPECTED


@pytest.mark.parametrize("name", [*FILES, "../library/shared/numbers.py"])
def test_every_module_that_counts_changes_the_fingerprint_and_no_other(folder, name):
    before = marks()
    path = folder / "project" / name
    path.write_text(path.read_text() + "# changed\n")
    assert (marks() != before) == (name != "mine/unread.py")
    path.write_bytes(path.read_bytes().replace(b"# changed\n", b""))
    assert marks() == before
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert marks() == before, "a checkout's line ends are not a change"


def test_a_running_process_has_the_source_that_it_imported(folder):
    net = importlib.import_module("mine.net").Net()
    before = fingerprints.of(net, "model")
    (folder / "project" / "mine" / "net.py").write_text("raise SystemExit\n")
    assert fingerprints.of(net, "model") == before


def test_an_installed_plugin_counts_with_its_own_package_only(folder):
    site = folder / "lib" / "site-packages"
    (folder / "project" / "mine").rename(_made(site) / "mine")
    sys.path.insert(0, str(site))
    try:
        module = importlib.import_module("mine.net")
        names = set(fingerprints.modules(module))
    finally:
        sys.path.remove(str(site))
    assert names == {n for n in EXPECTED if n.split(".")[0] == "mine"}


def _made(path):
    path.mkdir(parents=True)
    return path


def test_built_in_plugins_have_none_and_write_none():
    chosen = Chosen("mlp", MLP(), fingerprints.of(MLP(), "model"))
    assert chosen.marks == ()
    assert chosen.spec().fingerprints == {}


def test_a_fingerprint_is_part_of_an_id():
    ids = {
        evaluation_id(Chosen("net", MLP(), m)) for m in ((), (("source", "a"),), (("source", "b"),))
    }
    assert len(ids) == 3


@dataclass(frozen=True)
class Pretrained(Model):
    weights: Path | None = None
    more: tuple[str, ...] = ()
    plain: str = "elsewhere"

    paths: ClassVar[frozenset[str]] = frozenset({"more"})

    def build(self, problem):
        raise NotImplementedError


@dataclass(frozen=True)
class Table(Dataset):
    file: Path = Path("below-the-data-folder.csv")

    def load(self, data_dir, streams):
        raise NotImplementedError


def test_files_count_by_their_content(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"1")
    b.mkdir()
    (b / "x").write_bytes(b"1")

    def of(**fields):
        found = dict(fingerprints.of(Pretrained(**fields), "model"))
        assert found.pop("source")
        return found

    assert of() == {}
    one = of(weights=a, more=(str(b),))
    assert set(one) == {"weights", "more"}
    a.write_bytes(b"2")
    two = of(weights=a, more=(str(b),))
    assert two["weights"] != one["weights"]
    assert two["more"] == one["more"]
    (b / "x").rename(b / "y")
    assert of(more=(str(b),))["more"] != one["more"], "a folder's names count too"
    a.write_bytes(b"1")
    (tmp_path / "c").write_bytes(b"1")
    assert of(weights=tmp_path / "c")["weights"] == of(weights=a)["weights"] == one["weights"]
    assert Chosen("net", Pretrained(weights=a)).spec().params["weights"] == str(a)


def test_a_missing_file_is_a_sentence_and_a_datasets_is_its_own(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.weights is 'none\.pt', which does not exist"):
        fingerprints.of(Pretrained(weights=Path("none.pt")), "model")
    assert set(dict(fingerprints.of(Table(), "dataset"))) == {"source"}


def test_a_plugin_without_a_file_is_refused(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "__file__", None)
    monkeypatch.setattr(fingerprints, "_SOURCES", type(fingerprints._SOURCES)())
    with pytest.raises(ConfigError, match="has no file, so a change of it would go unnoticed"):
        fingerprints.of(Pretrained(), "model")
