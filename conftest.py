"""Examples in docstrings run in a folder of their own, where one sweep serves several of them."""

import pytest


@pytest.fixture(scope="session")
def _examples(tmp_path_factory):
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(autouse=True)
def _away_from_the_repository(request, monkeypatch):
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("_examples"))
        monkeypatch.delenv("TRUSTBENCH_OUTPUTS", raising=False)
