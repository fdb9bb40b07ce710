"""The damage run in a short form, and that its judgement notices a wrong value."""

import os

import pytest

from tests.damage import bench, trials
from tests.damage.kinds import KINDS
from trustbench.store import reading, record_files
from trustbench.summary.render import FORMATS
from trustbench.training import fits

pytestmark = pytest.mark.slow
SHORT = 33
"""Three trials of each kind."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    picture, flush = FORMATS["png"], os.fsync
    yield bench.make(tmp_path_factory.mktemp("damage"))
    FORMATS["png"], os.fsync = picture, flush


def test_no_damage_leads_to_a_wrong_value(reference, tmp_path):
    results = [trials.trial(reference, tmp_path, *t) for t in trials.tasks(SHORT, 1)]
    assert [r for r in results if not r.kept] == []
    assert {r.kind for r in results} == set(KINDS)
    assert sum(r.noticed for r in results) >= SHORT // 5


def choosing(monkeypatch, pattern):
    """Every trial damages the first file of that pattern."""
    monkeypatch.setattr(trials, "choose", lambda _, out: sorted(out.glob(pattern))[0])


def test_a_reader_without_checksums_is_noticed(reference, tmp_path, monkeypatch):
    def careless(content):
        return {k: v for k, v in content.items() if k != reading.SEAL}

    choosing(monkeypatch, "arms/*/record.json")
    assert trials.trial(reference, tmp_path, "digit", 1).kept
    monkeypatch.setattr(record_files, "unsealed", careless)
    results = [trials.trial(reference, tmp_path, "digit", k) for k in range(2, 8)]
    assert any(r.wrong for r in results)


def test_a_reader_of_fits_without_names_is_noticed(reference, tmp_path, monkeypatch):
    choosing(monkeypatch, "fits/*/params.safetensors")
    assert trials.trial(reference, tmp_path, "duplicate_folder", 1).kept
    monkeypatch.setattr(fits, "_content", lambda folder: fits.read_sealed(folder / "fit.json"))
    results = [trials.trial(reference, tmp_path, "duplicate_folder", k) for k in range(2, 8)]
    assert any(r.wrong for r in results)
