"""What is shipped: the wheel works from any folder, and asks for everything that it imports."""

import ast
import configparser
import email
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import trustbench

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this tree without network."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run([*command, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = out.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel's files where pip would put them."""
    folder = tmp_path_factory.mktemp("site-packages")
    wheel.extractall(folder)
    return folder


def run(code, folder, cwd):
    """Runs code with the installed wheel in front of this tree."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_every_option(wheel):
    expected = {str(p.relative_to(ROOT)) for p in (ROOT / "trustbench").rglob("*.py")}
    data = (p for s in ("css", "js") for p in (ROOT / "trustbench").rglob(f"*.{s}"))
    expected |= {str(p.relative_to(ROOT)) for p in data}
    expected |= {str(p.relative_to(ROOT)) for p in (ROOT / "hydra_plugins").glob("*.py")}
    conf = ROOT / "conf"
    expected |= {f"trustbench/_conf/{p.relative_to(conf)}" for p in conf.rglob("*.yaml")}
    assert "trustbench/_conf/config.yaml" in expected
    names = {n for n in wheel.namelist() if ".dist-info/" not in n}
    assert {n for n in names if not n.startswith("trustbench/_conf/local/")} == expected | {
        n for n in names if n.endswith("py.typed")
    }


@pytest.mark.slow
def test_hydra_plugins_stays_a_namespace_that_others_share(wheel):
    assert "hydra_plugins/__init__.py" not in wheel.namelist()


@pytest.mark.slow
def test_the_wheel_names_its_version_command_and_licence(wheel):
    info = f"trustbench-{trustbench.__version__}.dist-info"
    metadata = email.message_from_string(wheel.read(f"{info}/METADATA").decode())
    assert metadata["Version"] == trustbench.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(f"{info}/entry_points.txt").decode())
    assert entries["console_scripts"]["trustbench"] == "trustbench.commands.cli:main"


@pytest.mark.slow
def test_the_installed_command_composes_from_any_folder(installed, tmp_path):
    code = (
        "import sys, trustbench, trustbench.commands.cli as c;"
        "print(trustbench.__file__, file=sys.stderr);"
        "sys.exit(c.main(['run', '--cfg', 'job', 'seed=7']))"
    )
    done = run(code, installed, tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(installed) in done.stderr
    assert "seed: 7" in done.stdout
    assert "digits" in done.stdout
    assert not list(tmp_path.iterdir()), "composing must leave nothing behind"


@pytest.mark.slow
def test_hydra_finds_the_sweeper_of_the_installed_wheel(installed, tmp_path):
    code = (
        "from hydra.core.plugins import Plugins; from hydra.plugins.sweeper import Sweeper;"
        "print(*(c.__module__ for c in Plugins.instance().discover(Sweeper)))"
    )
    done = run(code, installed, tmp_path)
    assert "hydra_plugins.trustbench_arms_sweeper" in done.stdout, done.stderr


def test_the_version_is_stated_once():
    assert PROJECT["version"] == trustbench.__version__


# --- dependencies ----------------------------------------------------------------------------


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras):
    lines = list(PROJECT["dependencies"])
    for extra in extras:
        lines += PROJECT["optional-dependencies"][extra]
    return {normal(re.match(r"[\w.-]+", line).group()) for line in lines}


def imported(folder):
    """Every top-level module that the folder's files import, anywhere in them."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(str(node.module).split(".")[0])
    return found


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("trustbench", ("ray", "slurm", "onnx")),
        ("hydra_plugins", ()),
        ("scripts", ("docs", "test", "mutants")),
        ("tests", ("test", "given", "ray", "slurm")),
    ],
)
def test_every_import_is_a_declared_dependency(folder, extras):
    beside = {p.stem for p in (ROOT / "scripts").rglob("*.py")}  # scripts may share a module
    written = {"my_plugins", "notes_stack_plugin"}  # by tests, into folders of their own
    own = {"trustbench", "hydra_plugins", "scripts", "tests", "conftest", *written, *beside}
    foreign = imported(folder) - set(sys.stdlib_module_names) - own
    homes = packages_distributions()
    known = declared(*extras)
    lacking = {
        name for name in foreign if not any(normal(d) in known for d in homes.get(name, [name]))
    }
    # pydantic_core comes with pydantic, at the version that fits it
    assert lacking - {"pydantic_core"} == set()


NOT_IMPORTED = {
    "hydra-joblib-launcher": "Hydra finds it: hydra/launcher=joblib",
    "lime": "named by the project's user",
    "mapie": "named by the project's user",
    "shap": "named by the project's user",
}
"""Runtime dependencies that the package need not import, and why they are there."""


def test_a_runtime_dependency_is_one_that_a_run_needs():
    homes = packages_distributions()
    own = imported("trustbench") | imported("hydra_plugins")
    used = {normal(d) for name in own for d in homes.get(name, [name])}
    assert declared() - used - set(NOT_IMPORTED) == set(), "import it, or make it an extra"
    assert set(NOT_IMPORTED) <= declared()


def test_torch_has_no_upper_bound():
    bounds = [line for line in PROJECT["dependencies"] if line.startswith("torch")]
    assert len(bounds) == 2
    assert not any("<" in line or "==" in line for line in bounds)


# --- set-up ----------------------------------------------------------------------------------


def test_a_python_that_is_too_old_gets_one_sentence(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)
    command = ["make", "-C", str(tmp_path), f"PYTHON={old}", "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "trustbench needs Python 3.11 or newer" in done.stderr
    assert "make PYTHON=python3.12 run" in done.stderr
    assert not (tmp_path / ".venv").exists()


# stands in for the Python of .venv: it notes its arguments, and mypy finds as much as it is told
NOTING = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *mypy*) exit "$FOUND";; esac
"""


def ci(folder, found):
    """Runs .ci/run on a checkout whose Python only notes calls; (exit code, calls)."""
    for name in ("Makefile", "pyproject.toml", ".ci/run"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name, text in {"bin/python": NOTING, ".stamps/venv": ""}.items():
        path = folder / ".venv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    calls = folder / "calls"
    env = os.environ | {"CALLS": str(calls), "FOUND": str(found), "MAKEFLAGS": ""}
    done = subprocess.run([folder / ".ci" / "run"], env=env, capture_output=True, check=False)
    return done.returncode, calls.read_text().splitlines()


def test_ci_installs_once_compiles_once_and_runs_what_people_run(tmp_path):
    code, calls = ci(tmp_path, found=0)
    assert code == 0
    installed, compiled, *checked, tested = calls
    assert installed.endswith("--no-compile -e .[test,docs]"), "pip compiles on one processor"
    assert compiled == "-m compileall -qq -j 0 .venv/lib"
    tools = ("ruff check", "ruff format --check", "mypy", "lint-imports", "mkdocs build --strict")
    assert len(checked) == len(tools)
    assert all(any(tool in call for call in checked) for tool in tools)
    assert tested.startswith("-m pytest -n 2")
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^check: lint docs test\b", makefile, re.M)


def test_what_lint_finds_fails_ci_and_the_site_is_built_all_the_same(tmp_path):
    code, calls = ci(tmp_path, found=1)
    assert code != 0
    assert any("mkdocs" in call for call in calls)
    assert not any("pytest" in call for call in calls)


def test_no_configuration_names_a_machine():
    files = [ROOT / n for n in ("pyproject.toml", "Makefile", ".pre-commit-config.yaml", ".ci/run")]
    for path in [*files, *(ROOT / "conf").rglob("*.yaml")]:
        text = path.read_text(encoding="utf-8")
        found = re.findall(r"(?<![\w.$}/])/(?:home|Users|root|tmp|opt|mnt|work)/\S*", text)
        assert not found, f"{path.relative_to(ROOT)} names {found}"
