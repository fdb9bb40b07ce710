"""The recipes of docs/own-plugins.md and docs/tables.md, run as printed from an empty folder."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import trustbench
from trustbench.api.lookup import find_policy, find_table
from trustbench.commands import cli
from trustbench.config.compose import compose, composed_arm, conf_dirs
from trustbench.contracts.seeding import Streams
from trustbench.errors import DataError
from trustbench.training.module_checks import refuse_unsteady

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("docs/own-plugins.md", "docs/tables.md")
NAMED = re.compile(r"^`(\S+)`:\n\n```(?:python|yaml|toml)\n(.*?)^```", re.M | re.S)
FILES = {
    name: body
    for page in PAGES
    for name, body in NAMED.findall((ROOT / page).read_text(encoding="utf-8"))
}
PRIVATE = re.compile(r"^(?:from|import) trustbench\S*\._|import _", re.M)


def write(folder, files):
    for name, body in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, encoding="utf-8")


def loans(n=400):
    """A CSV file in which income decides, more so for one sex."""
    rng = np.random.default_rng(0)
    sex, income = rng.integers(2, size=n), rng.gamma(4.0, 800.0, size=n).round()
    repaid = (income + 600 * sex + rng.normal(0, 400, size=n) > 3200).astype(int)
    rows = zip(income, rng.choice(["car", "home"], size=n), sex, repaid, strict=True)
    body = [f"{i:.0f},{p},{('female', 'male')[s]},{r}" for i, p, s, r in rows]
    return "\n".join(["income,purpose,sex,repaid", *body]) + "\n"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The recipes' files where a stranger puts them, importable meanwhile; and the data."""
    folder = tmp_path_factory.mktemp("stranger")
    write(folder, {**FILES, "data/loans/loans.csv": loans()})
    sys.path.insert(0, str(folder))
    before = {n: sys.modules.pop(n) for n in list(sys.modules) if n.split(".")[0] == "my_plugins"}
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name in [n for n in sys.modules if n.split(".")[0] == "my_plugins"]:
            del sys.modules[name]
        sys.modules.update(before)


def arm(stranger, *overrides):
    dirs = conf_dirs(str(stranger / "my_conf"))
    return composed_arm(compose(["plugins=[my_plugins]", *overrides], dirs))


def test_every_file_has_its_test():
    assert set(FILES) == {
        "my_plugins/loans.py",
        "my_conf/dataset/loans.yaml",
        "my_plugins/skip.py",
        "my_conf/model/skip.yaml",
        "my_conf/policy/lending.yaml",
        "my_conf/table/hospital.yaml",
        "pyproject.toml",
    }


def test_a_csv_data_set_takes_forty_lines_and_no_private_import():
    code = [line for line in FILES["my_plugins/loans.py"].splitlines() if line.strip()]
    assert len(code) <= 40
    assert not [name for name, body in FILES.items() if PRIVATE.search(body)]


def test_the_data_set_loads(stranger):
    problem = arm(stranger, "dataset=loans").dataset.plugin.load(stranger / "data", Streams(0))
    assert {s: len(rows) for s, rows in problem.splits.items()} == {
        "train": 160, "validation": 40, "calibration": 80, "test": 120,
    }  # fmt: skip
    assert problem.groups == ("female", "male")
    assert [f.name for f in problem.features] == ["income", "purpose", "sex"]
    assert abs(problem.rows("train")[0][:, 0].mean()) < 1e-5


def test_the_data_set_refuses_what_it_does_not_declare(stranger, tmp_path):
    write(tmp_path, {"loans/loans.csv": loans().replace("car", "boat", 1)})
    dataset = arm(stranger, "dataset=loans").dataset.plugin
    with pytest.raises(DataError, match=r"column purpose .* holds unknown codes: 'boat' in 1 row"):
        dataset.load(tmp_path, Streams(0))
    with pytest.raises(DataError, match="there is no file"):
        dataset.load(tmp_path / "elsewhere", Streams(0))


def test_the_model_is_steady_and_maps_inputs_to_logits(stranger, problem):
    chosen = arm(stranger, "model=skip", "model.width=5").model.plugin
    module = chosen.build(problem)
    refuse_unsteady(module, problem)
    logits = module(torch.as_tensor(problem.rows("test")[0][:3]))
    assert logits.shape == (3, len(problem.classes))
    assert module.hidden.out_features == 5


@pytest.mark.parametrize("name", ["loans", "skip"])
def test_the_recipes_keep_their_contracts(stranger, name, capsys):
    where = ["--config-dir", str(stranger / "my_conf"), "--data-dir", str(stranger / "data")]
    code = cli.main(["check-plugin", name, *where, "--plugins", "my_plugins"])
    assert code == 0, capsys.readouterr().out


def test_data_and_model_run_together_from_python(stranger, tmp_path):
    small = {"protocol.replicates": 2, "device": "cpu", "evaluator": ["utility", "fairness"]}
    [record] = trustbench.run(
        "dataset=loans", "model=skip", "plugins=[my_plugins]", small,
        config_dir=stranger / "my_conf", data_dir=stranger / "data", output_dir=tmp_path,
    )  # fmt: skip
    assert (record.status, record.reason) == ("ok", None)
    accuracy = next(
        np.mean(e.measurements["accuracy"].values)
        for e in record.evaluations.values()
        if e.evaluator.name == "utility"
    )
    assert accuracy > 0.75


def test_policy_and_table_are_found_by_their_folder(stranger):
    policy = find_policy("lending", stranger / "my_conf")
    assert [limit.metric for limit in policy.limits] == ["utility"]
    assert find_table("hospital", stranger / "my_conf").name == "hospital"


def installed(folder):
    """The last recipe's package as pip installs it: moved, renamed, its entry point declared."""
    moved = {
        name.replace("my_plugins/", "acme_audit/").replace("my_conf/", "acme_audit/conf/"): (
            body.replace("my_plugins.", "acme_audit.")
        )
        for name, body in FILES.items()
        if name != "pyproject.toml"
    }
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    [(group, entries)] = project["entry-points"].items()
    info = f"acme_audit-{project['version']}.dist-info"
    moved["acme_audit/__init__.py"] = ""
    moved[f"{info}/METADATA"] = f"Name: {project['name']}\nVersion: {project['version']}\n"
    moved[f"{info}/entry_points.txt"] = "\n".join(
        [f"[{group}]", *(f"{k} = {v}" for k, v in entries.items()), ""]
    )
    write(folder, moved)


def test_an_installed_package_needs_neither_flag_nor_key(tmp_path):
    installed(tmp_path / "site")
    write(tmp_path, {"data/loans/loans.csv": loans()})
    code = (
        "from trustbench import run\n"
        "from trustbench.commands import cli\n"
        "assert cli.main(['list', 'datasets']) == 0\n"
        "[r] = run('dataset=loans', 'model=skip', 'evaluator=[utility]', 'device=cpu',\n"
        "          {'protocol.replicates': 2}, data_dir='data')\n"
        "print(r.status, r.arm.dataset.name, r.arm.model.name)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["ok loans skip"], done.stderr
    assert re.search(r"^ +loans +Loans of our bank", done.stdout, re.M)
