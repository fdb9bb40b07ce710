"""No name leads out of the outputs folder, and nobody else may write what is in it."""

import stat
import sys

import pytest

from tests.unit.summary.builder import record
from trustbench.errors import UserError
from trustbench.store.records import Store, Sweep

pytestmark = pytest.mark.usefixtures("handmade_ids")

OUTSIDE = ["../x", "a/../../x", "/tmp/x", "..", "x\n", "x\x1b[31m"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_the_store_has_no_path_outside_of_it(name, tmp_path):
    store = Store(tmp_path)
    sweep = Sweep(experiment=name, table="t", arms=[], evaluations=[], names={})
    calls = {
        "arm": lambda: store.arm_dir(name),
        "fit": lambda: store.fit_dir(name),
        "table": lambda: store.table_file(name, "md"),
        "manifest": lambda: store.sweep_file(name),
        "write": lambda: store.write(record(ident=name)),
        "write_sweep": lambda: store.write_sweep(sweep),
        "read": lambda: store.read(name),
    }
    for what, call in calls.items():
        if name == ".." and what in ("table", "manifest", "write_sweep"):
            continue  # `...json` and `...md` are plain, if odd, names
        with pytest.raises(UserError, match="is not the name of anything in"):
            call()
    assert not list(tmp_path.parent.glob("x*"))


@pytest.mark.parametrize(
    "args",
    [
        ["card", "--arm", "../../x"],
        ["datasheet", "--experiment", "../../x"],
        ["summarize", "--experiment", "../../x"],
        ["report", "--experiment", "../../x"],
    ],
)
def test_no_command_reads_outside_of_the_store(args, tb, outside):
    done = tb(*args)
    assert done.code == 2, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("name", ["../mine", "sub/../../mine", "a b", "$(id)", "-x"])
def test_an_experiment_is_a_plain_name(name, tb, outside):
    for folder in ("", "experiment/", "experiment/sub/", "experiment/experiment/"):
        outside.write(f"{folder}{name}" if ".." not in name else "mine", "# @package _global_\n")
    done = tb("run", "--config-dir", outside.folder / "conf", *outside.args, f"+experiment={name}")
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1, done.err
    assert not list(outside.folder.glob("*.json"))


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("dataset.name='x\x1b[31m'", "dataset.name is 'x\\x1b[31m'; give text without"),
        ("+dataset.sensitive='g\u202e'", "dataset.sensitive is"),
        ("'+dataset.a\x1bb=1'", ""),
    ],
)
def test_texts_of_a_configuration_are_printable(override, sentence, tb, outside):
    done = tb("run", *outside.args, override)
    assert done.code == 2
    assert sentence in done.err
    assert "\x1b" not in done.err
    assert "\u202e" not in done.err


def test_names_of_arms_are_printable(tb, outside):
    outside.write(
        "experiment/mine",
        """\
        # @package _global_
        hydra:
          mode: MULTIRUN
          sweeper:
            arms: {"a\\e[31m": []}
        """,
    )
    done = tb("run", *outside.args, "+experiment=mine")
    assert done.code == 2
    assert "give it a name without control characters" in done.err
    assert "\x1b" not in done.err


def modes(folder):
    """{path: mode bits} of everything below a folder."""
    every = [folder, *folder.rglob("*")]
    return {p: stat.S_IMODE(p.stat().st_mode) for p in every if not p.is_symlink()}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize(
    ("umask", "folders", "files"),
    [(0o077, 0o700, 0o600), (0o002, 0o775, 0o664), (0, 0o775, 0o664)],
    ids=["private", "shared by a group", "none"],
)
def test_outputs_have_the_modes_of_the_umask_and_are_never_open_to_all(
    umask, folders, files, outside, spawn
):
    """Records, fits, logs, tables and the tracking database, as colleagues of a group need them."""
    outside.write(
        "experiment/mine",
        "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n"
        "    arms: {a: [], b: [intervention=balanced_weights]}\n",
    )
    folder = outside.folder / "fresh"
    given = [*outside.args, "+experiment=mine", f"output_dir={folder}"]
    process = spawn("run", *given, umask=umask)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    found = modes(folder)
    names = {p.name for p in found}
    assert {"record.json", "arrays.npz", "fit.json", "params.safetensors", "mlflow.db"} <= names
    for path, mode in found.items():
        # SQLite makes its files 0644 at most, and an MLflow database is one user's own
        most = folders if path.is_dir() else files
        least = 0o700 if path.is_dir() else 0o600
        assert mode | most == most, f"{path} is {mode:o}, more than {most:o}"
        assert mode & least == least, f"{path} is {mode:o}"
        if path.suffix in (".json", ".npz", ".safetensors", ".md", ".csv"):
            assert mode == most, f"{path} is {mode:o} instead of {most:o}"
