"""The pages hold together: links, paths and anchors lead somewhere, every page is found."""

import re

import pytest

import trustbench
from tests.unit.test_docs import DOCUMENTS, PAGES, ROOT, text

CODE = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
ROOMS = "trustbench|conf|docs|scripts|tests|hydra_plugins"
# not the name of a file that a recipe writes, which stands alone before its code
CODE_PATH = re.compile(rf"`((?:{ROOMS})/[\w./*-]*)`(?!:\n)")


def prose(document):
    """The document without its blocks of code."""
    return CODE.sub("", text(document))


def slugs(document):
    """The anchors of a page's headings, as GitHub and MkDocs make them."""
    for heading in re.findall(r"^#+ (.+)$", prose(document), re.M):
        words = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
        yield re.sub(r"[\s-]+", "-", words)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings(document):
    for target, anchor in LINK.findall(prose(document)):
        path = ((ROOT / document).parent / target).resolve() if target else ROOT / document
        assert path.exists(), f"{document} links to {target}"
        if anchor:
            there = str(path.relative_to(ROOT))
            assert anchor in slugs(there), f"{document} links to {target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_that_a_document_names_exist(document):
    for path in CODE_PATH.findall(prose(document)):
        if "NAME" not in path:
            assert any(ROOT.glob(path.rstrip("/"))), f"{document} names {path}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_scripts_that_a_document_runs_exist(document):
    for script in re.findall(r"(?<![\w/.])scripts/[\w/]+\.(?:py|sh)", text(document)):
        assert (ROOT / script).is_file(), f"{document} runs {script}"


def test_the_readme_is_short_and_shows_a_picture():
    readme = text("README.md")
    assert len(readme.encode()) <= 9000
    (picture,) = re.findall(r"^!\[.{20,}\]\((docs/images/\S+)\)$", readme, re.M)
    # The command that makes the picture is the first one below it.
    after = readme.split(picture, 1)[1].split("```bash\n", 1)[1].split("```", 1)[0]
    assert f"--output {picture}" in after


@pytest.mark.parametrize(
    "path",
    [
        "trustbench/interventions/privacy/dpsgd.py",
        "trustbench/training/loop.py",
        "trustbench/summary/stats/",
        "trustbench/api/",
    ],
)
def test_the_readme_shows_the_way(path):
    section = text("README.md").split("## Find your way")[1].split("\n## ")[0]
    assert f"`{path}`" in section
    assert "(docs/own-plugins.md#add-a-data-set)" in section


def test_the_readme_calls_trustbench_from_python():
    (code,) = re.findall(r"^```python\n(.*?)^```", text("README.md"), re.M | re.S)
    names = re.findall(r"\btrustbench\.(\w+)\(", code)
    assert names == ["run", "table"]
    assert set(names) <= set(trustbench.__all__)
    assert hasattr(trustbench.Tables, "cells")


def test_the_index_and_the_navigation_have_every_page_once():
    pages = {p.removeprefix("docs/") for p in PAGES}
    cells = {p for p in pages if p.startswith("cells/")} - {"cells/index.md"}
    linked = [target for target, _ in LINK.findall(text("docs/index.md")) if target in pages]
    linked += [f"cells/{t}" for t, _ in LINK.findall(text("docs/cells/index.md")) if "/" not in t]
    assert len(cells) == 25
    navigation = text("mkdocs.yml").split("\nnav:\n")[1]
    listed = [page for page in re.findall(r"\S+\.md$", navigation, re.M) if page in pages]
    assert sorted(linked) == sorted(pages - {"index.md"})
    assert sorted(listed) == sorted(pages)


def test_the_page_of_tables_keeps_the_anchors_that_tables_are_written_between():
    page = text("docs/results/tables.md")
    for name in ("dp_vs_fairness", "adult"):
        assert re.search(rf"<!-- table:{name} -->\n.*?<!-- /table -->", page, re.S)


def test_every_exit_code_of_the_design_is_explained():
    codes = re.findall(r"^\| (\d+) +\|", text("docs/exit-codes.md"), re.M)
    assert codes == ["0", "1", "2", "3", "4", "130"]
