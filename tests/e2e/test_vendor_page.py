"""The page on a vendor's predictions: every block runs, and the exit codes are those it names."""

import pytest

from tests.unit.test_docs import NAMED, blocks, commands, text

PAGE = "docs/vendor.md"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path, monkeypatch, tb):
    monkeypatch.chdir(tmp_path)
    (make,) = blocks(PAGE, "python")
    exec(compile(make, PAGE, "exec"), {})
    ((name, body),) = NAMED.findall(text(PAGE))
    (tmp_path / name).write_text(body)
    all_of_it, decisions, held, following = [tb(*c, "--draws", 200) for c in commands(PAGE)]

    assert (all_of_it.code, decisions.code, held.code, following.code) == (0, 0, 3, 0), held.err
    assert "0 were seen in training (declared unseen)" in all_of_it.out
    assert "robustness: needs queries" in all_of_it.out
    assert "privacy: needs members" in all_of_it.out
    assert "uncertainty: needs logits" in decisions.out
    assert "fairness/eo_gap" in held.out
    assert "at most 0.1: violated" in held.out
    assert "new - old" in following.out
