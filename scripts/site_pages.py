"""Generates pages of the site from the code, and rewrites links that leave docs/. A MkDocs hook.

run: make docs
"""

import html
import importlib
import json
import posixpath
import re
from pathlib import Path
from typing import NamedTuple

import yaml

from trustbench.contracts.metrics import all_of

ROOT = Path(__file__).resolve().parents[1]
COPIES = {"contributing.md": "CONTRIBUTING.md"}
"""Pages of the site that are files at the top of the repository."""
NOTEBOOK, SHOWN = "docs/notebook.ipynb", "notebook.md"
"""The notebook, and the page that shows it."""
ASPECTS = ("fairness", "privacy", "robustness", "explainability", "uncertainty")
KINDS = ("intervention", "evaluator", "dataset", "model")
LISTED = ("intervention", "evaluator")
"""Kinds of which a run takes several: their fields are set below their names."""
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)")
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)

API = """# Python API

`import trustbench` gives everything on this page, and imports each name when it is first used.
[The recipes](contributing.md) show the plugin bases in use.
"""
BASES = ("Dataset", "Model", "Intervention", "Evaluator")
"""The base classes of plugins; the other classes are passed between plugins and functions."""


def on_files(files, config):
    """Adds the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for uri, text in pages().items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown, page, config, files):  # noqa: ARG001
    """Redirects links that leave docs/ to the page that shows the file, or to the repository."""
    origin = COPIES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return relinked(markdown, origin, page.file.src_uri, f"{config.repo_url}/blob/main")


def relinked(markdown, origin, uri, repository):
    """Markdown of the repository's file `origin` with links that work on the site's page `uri`."""
    shown = {file: page for page, file in COPIES.items()} | {NOTEBOOK: SHOWN}

    def target(match):
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), match[2]))
        inside = shown.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if inside is None:
            return f"{match[1]}{repository}/{path}"
        return match[1] + posixpath.relpath(inside, posixpath.dirname(uri) or ".")

    parts = FENCE.split(markdown)
    return "".join(p if p.startswith("```") else LINK.sub(target, p) for p in parts)


def pages():
    """Every generated page: its place on the site and its text."""
    import griffe

    extensions = griffe.load_extensions(str(ROOT / "scripts" / "site_docstrings.py"))
    package = griffe.load(
        "trustbench", search_paths=[str(ROOT)], extensions=extensions, resolve_aliases=True
    )
    return {
        **{uri: (ROOT / file).read_text() for uri, file in COPIES.items()},
        "api.md": "\n".join(api(package)),
        **{f"plugins/{kind}s.md": catalogue(package, kind) for kind in KINDS},
        "plugins/settings.md": "\n".join(settings()),
        SHOWN: notebook((ROOT / NOTEBOOK).read_text()),
    }


def notebook(text):
    """The cells of a notebook, one below another, with a link to the file."""
    shown = [
        "".join(cell["source"])
        if cell["cell_type"] == "markdown"
        else "```python\n" + "".join(cell["source"]) + "\n```"
        for cell in json.loads(text)["cells"]
    ]
    file = posixpath.basename(NOTEBOOK)
    link = f'<a href="{file}" download>Download the notebook</a>, and run it beside your data.'
    return "\n\n".join([shown[0], link, *shown[1:]]) + "\n"


def api(package):
    """The page of what the package exports: functions, plugin bases, other classes, errors."""
    names = [str(name) for name in package.exports if not str(name).startswith("_")]
    functions = [n for n in names if package[n].is_function]
    errors = [n for n in names if package[n].canonical_path.startswith("trustbench.errors.")]
    others = sorted({*names} - {*functions, *BASES, *errors})
    yield API
    for title, group in (
        ("Functions", functions),
        ("Plugin bases", BASES),
        ("Classes", others),
        ("Errors", errors),
    ):
        yield f"## {title}\n"
        for name in group:
            yield f"::: trustbench.{name}\n    options: {{heading_level: 3}}\n"


def catalogue(package, kind):
    """The page of one kind: each option with its docstring, fields and defaults."""
    options = [o for path in sorted((ROOT / "conf" / kind).glob("*.yaml")) for o in option(path)]
    lines = [
        f"# {kind.capitalize()}s\n",
        f"Made from `conf/{kind}/` and the classes that its files name. `{kind}=NAME` chooses an",
        "option.\n",
    ]
    rooms = [*ASPECTS, None] if any(o.room for o in options) else [None]
    for room in rooms:
        chosen = [o for o in options if o.room == room]
        if chosen and len(rooms) > 1:
            lines.append(f"## {(room or 'no aspect').capitalize()}\n")
        for one in chosen:
            lines += described(package, kind, one, level=3 if len(rooms) > 1 else 2)
    return "\n".join(lines)


class Option(NamedTuple):
    """An option of a YAML file in conf/."""

    name: str
    about: str
    node: dict

    @property
    def room(self):
        """The aspect whose room holds its class; None without one."""
        return next((part for part in self.node["_target_"].split(".") if part in ASPECTS), None)


def option(path):
    """The option of a file; None for `none`, which has no class."""
    text = path.read_text()
    node = yaml.safe_load(text)
    if node:
        yield Option(path.stem, comment(text), node if "_target_" in node else node[path.stem])


def comment(text):
    """The comment that describes a file."""
    lines = (line for line in text.splitlines() if re.match(r"# (?!@|run:)", line))
    return next(lines)[2:]


def described(package, kind, one, level):
    """Lines about one option."""
    target = one.node["_target_"]
    found = package[target.removeprefix("trustbench.")]
    yield f"{'#' * level} `{one.name}`\n"
    yield f"*{escaped(one.about[0].upper() + one.about[1:])}.*\n"
    yield escaped(found.docstring.value) + "\n"
    fields = {key: value for key, value in one.node.items() if key not in ("_target_", "name")}
    key = f"{kind}.{one.name}" if kind in LISTED else kind
    how = f"; `{key}.FIELD=VALUE` sets a field" if fields else ""
    yield f"Class `{target}`{how}.\n"
    if fields:
        yield "| field | default | type | |\n|---|---|---|---|"
    for name, value in fields.items():
        yield row(f"`{name}`", code(shown(value)), *meaning(found.all_members[name]))
    yield ""
    if kind == "evaluator":
        yield from measured(target)


def measured(target):
    """Lines about the metrics that an evaluator declares."""
    module, name = target.rsplit(".", 1)
    metrics = list(all_of(getattr(importlib.import_module(module), name).metrics))
    if metrics:
        yield "| metric | what it says | unit | better |\n|---|---|---|---|"
    for metric in metrics:
        said = metric.sentence + (" Diagnostic." if metric.diagnostic else "")
        yield row(code(metric.name), escaped(said), escaped(metric.unit), metric.better)
    yield ""


def meaning(field):
    """Type and first paragraph of a field."""
    about = field.docstring.value.partition("\n\n")[0] if field.docstring else ""
    return code(str(field.annotation)), escaped(about.replace("\n", " "))


def shown(value):
    """A default as a user types it."""
    return yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n")[0]


def code(text):
    """Text as code in a table cell, in which bars do not start columns."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def row(*cells):
    """A row of a table."""
    return "| " + " | ".join(cells) + " |"


def escaped(text):
    """A docstring as Markdown: escapes angle brackets outside code."""
    parts = re.split(r"(```.*?```|`[^`]*`)", text, flags=re.S)
    return "".join(p if p.startswith("`") else p.replace("<", "&lt;") for p in parts)


def settings():
    """Lines of the page of experiments, trainings, tables, policies and launchers."""
    yield "# Experiments and settings\n"
    yield "What the other folders of `conf/` hold; `trustbench list` prints the same.\n"
    for folder in ("experiment", "training", "table", "policy", "hydra/launcher"):
        plus = "+" if folder == "experiment" else ""  # Hydra's sign for a group without a default
        yield f"## {folder.split('/')[-1].capitalize()}\n"
        yield f"| `{plus}{folder}=` | what it is |\n|---|---|"
        for path in sorted((ROOT / "conf" / folder).glob("*.yaml")):
            yield row(f"`{path.stem}`", escaped(comment(path.read_text())))
        yield ""
