"""The page on security says the bounds that the code has."""

import importlib.util
from pathlib import Path

import pytest

from trustbench.store import yaml_text

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pages" / "input_bounds.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("input_bounds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_bounds_of_the_code(script, monkeypatch):
    text = script.PAGE.read_text()
    assert script.page(text) == text, "run scripts/pages/input_bounds.py"
    monkeypatch.setattr(yaml_text, "DEEPEST", 7)
    assert "| depth | 7 levels |" in script.page(text)
