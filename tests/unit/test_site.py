"""The site's own pages: links that leave docs/, and what the catalogue of plugins reads."""

import importlib.util
import json

import pytest

from tests.unit.test_docs import ROOT

REPOSITORY = "https://example.org/blob/main"


@pytest.fixture(scope="module")
def site():
    path = ROOT / "scripts" / "site_pages.py"
    spec = importlib.util.spec_from_file_location("site_pages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("origin", "uri", "link", "leads_to"),
    [
        ("docs/tour.md", "tour.md", "data.md", "data.md"),
        ("docs/results/aa.md", "results/aa.md", "../tour.md", "../tour.md"),
        ("docs/tour.md", "tour.md", "../CONTRIBUTING.md", "contributing.md"),
        ("docs/results/aa.md", "results/aa.md", "../../CONTRIBUTING.md", "../contributing.md"),
        ("CONTRIBUTING.md", "contributing.md", "docs/glossary.md", "glossary.md"),
        ("docs/tour.md", "tour.md", "../outputs/README.md", f"{REPOSITORY}/outputs/README.md"),
        ("docs/tour.md", "tour.md", "https://x.org/a.md", "https://x.org/a.md"),
        ("docs/tutorial.md", "tutorial.md", "notebook.ipynb", "notebook.md"),
    ],
)
def test_links_lead_to_a_page_of_the_site_or_to_the_repository(site, origin, uri, link, leads_to):
    moved = site.relinked(f"see [it]({link}#part)", origin, uri, REPOSITORY)
    assert moved == f"see [it]({leads_to}#part)"


def test_code_keeps_its_text(site):
    code = "```\n[it](../CONTRIBUTING.md)\n```"
    assert site.relinked(code, "docs/tour.md", "tour.md", REPOSITORY) == code


def test_the_page_of_the_notebook_has_every_cell_in_order(site):
    text = (ROOT / site.NOTEBOOK).read_text()
    page = site.notebook(text)
    cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
    places = [page.index(cell) for cell in cells]
    assert places == sorted(places)
    code = sum(cell["cell_type"] == "code" for cell in json.loads(text)["cells"])
    assert page.count("```python\n") == code
    assert page.startswith("# ")


def test_the_catalogue_has_every_option_that_names_a_class(site):
    for kind in site.KINDS:
        files = [p for p in (ROOT / "conf" / kind).glob("*.yaml") if "_target_" in p.read_text()]
        options = [o for path in files for o in site.option(path)]
        assert len(files) > 3
        assert {o.name for o in options} == {p.stem for p in files}
        assert all(o.node["_target_"].startswith("trustbench.") for o in options)
