"""What trustbench uses of Hydra's private parts is what docs/architecture.md lists, and why."""

import ast
import re
from pathlib import Path

from hydra._internal.utils import get_args_parser

from trustbench.config.compose import flags

ROOT = Path(__file__).resolve().parents[4]
PAGE = ROOT / "docs" / "architecture.md"
INSIDE = ("config/compose", "hydra_plugins")


def _private(path):
    """Private modules of Hydra that a file imports, and private attributes of others' objects."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and "._" in (node.module or ""):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if "._" in name.name)
        elif isinstance(node, ast.Attribute) and re.match("_[a-z]", node.attr):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls"):
                yield node.attr


def test_the_page_lists_every_private_part_that_is_used():
    files = [p for p in [*ROOT.glob("trustbench/**/*.py"), *ROOT.glob("hydra_plugins/*.py")]
             if any(part in p.as_posix() for part in INSIDE)]  # fmt: skip
    assert len(files) > 10
    used = {name for path in files for name in _private(path)}
    section = PAGE.read_text().split("## Hydra's private parts\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([\w.]+)`.* \| .* \| (.*) \|$", section, re.MULTILINE)
    assert used == {name for name, _ in rows} - {"load_config"}
    assert all("https://github.com/facebookresearch/hydra/" in why for _, why in rows)


def test_the_flags_are_hydras_and_one_of_our_own():
    def declared(parser):
        return {
            a.dest: (sorted(a.option_strings), type(a), a.choices and sorted(a.choices), a.const)
            for a in parser._actions
            if a.dest != "version"  # `trustbench --version`
        }

    ours = declared(flags._parser())
    assert ours.pop("fail_fast")[0] == [flags.FAIL_FAST]
    assert ours == declared(get_args_parser())
