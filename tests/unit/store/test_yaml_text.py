"""YAML from anybody is read within seconds, or refused in a sentence."""

import time

import pytest
import yaml

from trustbench.config.yaml_file import read_yaml
from trustbench.errors import ConfigError
from trustbench.store.yaml_text import DEEPEST, LOADER, MOST_VALUES, load

BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 9)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{k}: &a{k} {{<<: [{', '.join([f'*a{k - 1}'] * 9)}]}}\n" for k in range(1, 9)
)
REFUSED = {
    BOMB: "more than 50,000 values, counting those that aliases repeat",
    MERGES: "more than 50,000 values",
    "a: &a [*a]": "the anchor &a holds itself",
    "a: &a {b: {c: *a}}": "the anchor &a holds itself",
    "&a ? *a\n: 1": "",
    "[" * 200_000: "nest",
    "- " * 200_000: "nest",
    "a: " + "{b: " * 60 + "1" + "}" * 60: "nests lists and mappings more than 50 deep",
    "a: " + "9" * 6_000: "a whole number of more than 100 digits",
    "a: 0x" + "f" * 6_000: "a whole number of more than 100 digits",
    "a: " + "1:" * 5_000 + "1": "a whole number of more than 100 digits",
    "a: !!int '" + "9" * 6_000 + "'": "a whole number of more than 100 digits",
    "a: " + "x" * 2**21: "more than 1 MB",
    "- 1\n" * (MOST_VALUES + 1): "more than 50,000 values",
    "a: !!int x": "a value does not fit its type",
    "a: !!timestamp x": "a value does not fit its type",
    "a: !!bool x": "a value does not fit its type",
    "a: 2001-99-99": "a value does not fit its type",
    "a: !!python/object/apply:os.getcwd []": "could not determine a constructor",
    "a: 1\n---\nb: 2\n": "expected a single document",
    "a: *nowhere": "undefined alias",
    "\x07": "characters that YAML does not allow",
}


@pytest.mark.parametrize("text", REFUSED, ids=[f"{t[:25]!r} {len(t)}" for t in REFUSED])
def test_what_cannot_be_read_in_bounds_is_refused_in_one_sentence(text, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError) as refused:
        read_yaml(path, "policy")
    assert time.process_time() - began < 2
    assert str(refused.value).startswith(f"policy {path} cannot be read: ")
    assert REFUSED[text] in str(refused.value)
    assert len(str(refused.value)) < 500
    assert "\n" not in str(refused.value)


def test_what_is_within_the_bounds_is_read_as_pyyaml_reads_it():
    text = "\n".join(
        ["base: &b {x: 1, y: [2.5, no]}", "also: {<<: *b, x: 3}", "list: [*b, *b]", "n: 0x1f"]
    )
    assert load(text) == yaml.safe_load(text)
    assert load("") is None
    deep = "[" * DEEPEST + "]" * DEEPEST
    assert load(deep) == yaml.safe_load(deep)
    digits = "9" * 100
    assert load(digits) == int(digits)
    assert load(f"'{'9' * 6_000}'") == "9" * 6_000


def test_libyaml_and_the_pure_loader_agree(monkeypatch):
    texts = [t for t in REFUSED if "x" * 99 not in t and "- 1\n" * 99 not in t]
    assert LOADER is not yaml.SafeLoader, "PyYAML's wheels have libyaml"
    monkeypatch.setattr("trustbench.store.yaml_text.LOADER", yaml.SafeLoader)
    for text in texts:
        with pytest.raises(yaml.YAMLError):
            load(text)
