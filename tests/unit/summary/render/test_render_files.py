"""The files of a table: their names, and when they are written anew."""

import pytest

from tests.unit.summary.builder import CRESSWELL, record
from trustbench.store.records import Store
from trustbench.summary import render as package
from trustbench.summary.render import FILES, render, write_all
from trustbench.summary.table.table import summarize


def test_write_all_names_files_after_experiment_dataset_and_model(results, tmp_path):
    paths = write_all(results, Store(tmp_path), "dp_vs_fairness")
    assert sorted(p.relative_to(tmp_path).as_posix() for p in paths) == sorted(
        f"tables/dp_vs_fairness-digits-mlp.{suffix}" for suffix in FILES
    )
    assert paths[0].read_text() == render(results, "md")


def test_write_all_keeps_variants_apart_and_inside_the_store(tmp_path):
    records = [
        record(dataset="../x", dataset_params={"sensitive": s}, ident=s) for s in ("sex", "race")
    ]
    paths = write_all(summarize(records, CRESSWELL), Store(tmp_path), "e")
    assert len(set(paths)) == 2 * len(FILES)
    assert all(p.parent == tmp_path / "tables" for p in paths)


def test_write_all_leaves_alone_what_is_as_it_should_be(results, tmp_path, monkeypatch):
    paths = write_all(results, Store(tmp_path), "e")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in paths}
    monkeypatch.setitem(package.FORMATS, "png", lambda _: pytest.fail("nothing has changed"))
    assert write_all(results, Store(tmp_path), "e") == paths
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in paths} == before


@pytest.mark.parametrize("suffix", FILES)
def test_write_all_makes_again_what_is_gone_or_changed(suffix, results, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setitem(package.FORMATS, "png", lambda _: drawn.append(1) or b"picture")
    write_all(results, Store(tmp_path), "e")
    (path,) = tmp_path.glob(f"tables/*.{suffix}")
    whole = path.read_bytes()
    path.unlink()
    write_all(results, Store(tmp_path), "e")
    assert path.read_bytes() == whole
    path.write_bytes(b"changed")
    write_all(results, Store(tmp_path), "e")
    if suffix == "png":  # it has no text to compare: only what the others say is looked at
        assert len(drawn) == 2
    else:
        assert path.read_bytes() == whole
        assert len(drawn) == 3
