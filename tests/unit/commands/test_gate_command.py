"""`trustbench gate` through the command line: exit codes, files, refusals, and the CI examples."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tests.unit.summary.builder import METRICS, full_table, method, record, truly_named
from trustbench.commands import cli
from trustbench.config.compose import conf_dir
from trustbench.store.records import Store, Sweep

pytestmark = pytest.mark.usefixtures("handmade_ids")

ROOT = Path(__file__).resolve().parents[3]
DP = method("dpsgd", epsilon=3.0)
GAP = "fairness/acc_gap"
SMALL = {m: 0.2 * sd for m, (_, sd, *_) in METRICS.items()}
RESEARCH = yaml.safe_load((conf_dir() / "policy" / "research.yaml").read_text())
LIMITS = {
    "pass": {"metric": GAP, "at_most": 0.9},
    "violated": {"metric": GAP, "worse_by_at_most": 0.1},
    "inconclusive": {"metric": "fairness/class_sd", "at_most": 0.1},
}


def write_store(folder, records, experiment="dp_vs_fairness", names=()):
    """A store of these records and one sweep over them all, which may have `names` for some."""
    store = Store(folder)
    for r in records:
        store.write(r)
    evaluations = sorted({k for r in records for k in r.evaluations})
    arms = [r.id for r in records]
    store.write_sweep(
        Sweep(
            experiment=experiment,
            table="cresswell",
            arms=arms,
            evaluations=evaluations,
            names=dict(names),
        )
    )
    return store


@pytest.fixture
def store(tmp_path):
    """A baseline and an arm that harms fairness."""
    return write_store(
        tmp_path / "outputs", [record(), record(DP, shift={GAP: 0.3}, noise={GAP: 0.02})]
    )


@pytest.fixture
def policy(tmp_path):
    """A function: the limits of these names -> a policy's file."""

    def write(*names, **more):
        path = tmp_path / "policy.yaml"
        limits = [LIMITS[n] for n in names]
        data = {**RESEARCH, "unmeasured": "inconclusive", "limits": limits, **more}
        path.write_text(yaml.safe_dump(data))
        return str(path)

    return write


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["pass"], 0),
        (["pass", "violated"], 3),
        (["inconclusive", "pass"], 4),
        (["violated", "inconclusive"], 3),
        ([], 0),
    ],
)
@pytest.mark.parametrize("by", ["sweep", "ids", "files"])
def test_the_exit_code_is_the_decision(store, policy, names, code, by, capsys):
    args = ["gate", "--policy", policy(*names), "--from", str(store.root)]
    baseline, candidate = sorted((r.id for r in store.records()), key=lambda i: "dpsgd" in i)
    if by == "ids":
        args += ["--baseline", baseline, "--candidate", candidate]
    if by == "files":
        paths = [str(store.arm_dir(i) / "record.json") for i in (baseline, candidate)]
        args = [*args[:3], "--baseline", paths[0], "--candidate", paths[1]]
    assert cli.main(args) == code
    said = capsys.readouterr()
    assert said.err == ""
    outcome = {0: "pass", 3: "violated", 4: "inconclusive"}[code]
    assert said.out.startswith(f"policy research 2: {outcome}\n")
    for name in names:
        assert LIMITS[name]["metric"] in said.out


def test_it_exits_so_as_a_process_too(tmp_path, policy):
    pair = [record(), record(DP, shift={GAP: 0.3}, noise={GAP: 0.02})]
    store = write_store(tmp_path / "outputs", [*map(truly_named, pair)])
    command = [sys.executable, "-m", "trustbench", "gate", "--policy", policy("violated")]
    done = subprocess.run(
        [*command, "--from", str(store.root)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert "P→F fairness/acc_gap (tuned) against none: +0.3" in done.stdout


def test_formats_are_printed_or_written_each_to_its_file(store, policy, tmp_path, capsys):
    args = ["gate", "--policy", policy("violated"), "--from", str(store.root)]
    for name, begins in (("junit", "<?xml"), ("md", "## policy"), ("json", "{")):
        assert cli.main([*args, "--format", name]) == 3
        assert capsys.readouterr().out.startswith(begins)
    summary = tmp_path / "summary.md"
    summary.write_text("")
    summary.chmod(0o666)
    out = ["--format", "md", "--output", str(summary)]
    out += ["--format", "junit", "--output", str(tmp_path / "new" / "gate.xml")]
    assert cli.main([*args, *out]) == 3
    assert capsys.readouterr().out.startswith("policy research 2: violated\n")
    assert summary.read_text().startswith("## policy research 2: violated")
    assert summary.stat().st_mode & 0o777 == 0o666  # a runner's own file stays as it was
    assert ET.parse(tmp_path / "new" / "gate.xml").getroot().attrib["failures"] == "1"


def test_arms_of_a_sweep_are_chosen_by_label(tmp_path, capsys):
    store = write_store(tmp_path / "o", full_table())
    args = ["gate", "--policy", "research", "--from", str(store.root), "--format", "json"]
    assert cli.main([*args, "--arm", "dpsgd epsilon=3", "--arm", "lime"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [c["arm"] for c in data["candidates"]] == ["dpsgd epsilon=3", "lime"]
    assert cli.main([*args, "--arm", "dpsgd"]) == 2
    assert "begin with 'dpsgd'; give more of one" in capsys.readouterr().err


def test_arms_of_a_sweep_are_chosen_by_its_own_names_too(tmp_path, capsys):
    dp3 = next(r for r in full_table() if r.id == "digits-dpsgd3.0-none-memorising-0")
    names = {"baseline": "digits-none-none-tuned-0", "dpsgd_eps3": dp3.id}
    store = write_store(tmp_path / "o", full_table(), names=names)
    args = ["gate", "--policy", "research", "--from", str(store.root), "--format", "json"]
    for name in ("dpsgd_eps3", "dpsgd epsilon=3 (memorising)"):
        assert cli.main([*args, "--arm", name]) == 0
        data = json.loads(capsys.readouterr().out)
        assert [c["arm"] for c in data["candidates"]] == ["dpsgd epsilon=3"]
    assert cli.main([*args, "--arm", "dpsgd_eps4"]) == 2
    said = capsys.readouterr().err
    assert "no candidate is called 'dpsgd_eps4'; did you mean 'dpsgd_eps3'? Available: " in said
    assert "dpsgd epsilon=3, " in said
    assert "dpsgd_eps3, " in said
    assert "baseline" not in said, "the baseline is not a candidate of its own gate"


def test_several_sweeps_need_a_choice(store, capsys):
    write_store(store.root, [record()], "second")
    args = ["gate", "--policy", "research", "--from", str(store.root)]
    assert cli.main(args) == 2
    assert "holds the sweeps of dp_vs_fairness, second; choose one" in capsys.readouterr().err
    assert cli.main([*args, "--experiment", "dp_vs_fairness"]) == 0
    capsys.readouterr()
    assert cli.main([*args, "--experiment", "second"]) == 0
    assert "There is no treated arm" in capsys.readouterr().out
    assert cli.main([*args, "--experiment", "scond"]) == 2
    assert "did you mean 'second'?" in capsys.readouterr().err


def test_a_store_without_a_sweep_is_read_whole(tmp_path, policy):
    store = Store(tmp_path / "o")
    store.write(record())
    store.write(record(DP, shift={GAP: 0.3}))
    assert cli.main(["gate", "--policy", policy("violated"), "--from", str(store.root)]) == 3


def test_what_cannot_be_compared_is_refused_with_every_reason(store, policy, capsys):
    other = record(DP, dataset="adult", replicates=8, fingerprint="abc")
    store.write(other)
    args = ["gate", "--policy", policy("violated"), "--from", str(store.root)]
    args += ["--baseline", "digits-none-none-tuned-0", "--candidate", other.id]
    assert cli.main(args) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 3
    assert all(line.startswith("trustbench: not comparable: ") for line in said)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ([], "the following arguments are required: --policy"),
        (["--policy", "bnak"], "unknown policy 'bnak'; did you mean 'bank'?"),
        (["--policy", "absent.yaml"], "policy absent.yaml cannot be read"),
        (["--policy", "bank", "--format", "xml"], "unknown format 'xml'; Available: json, junit"),
        (
            ["--policy", "bank", "--output", "a", "--output", "b"],
            "1 --format and 2 --output were given",
        ),
        (["--policy", "bank", "--format", "md", "--format", "json"], "2 --format and 0 --output"),
        (["--policy", "bank", "--baseline", "x"], "--baseline and --candidate go together"),
        (
            ["--policy", "bank", "--baseline", "x", "--candidate", "y", "--arm", "z"],
            "--experiment and --arm choose in a sweep",
        ),
        (["--policy", "bank", "--baseline", "x", "--candidate", "y"], "no record 'x' is stored"),
        (
            ["--policy", "bank", "--baseline", "./x.json", "--candidate", "./y.json"],
            "record ./x.json is not a file",
        ),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(store, args, sentence, capsys, monkeypatch):
    monkeypatch.setenv("TRUSTBENCH_OUTPUTS", str(store.root))
    assert cli.main(["gate", *args]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_policy_names_evaluators_and_interventions_that_exist(store, policy, capsys):
    limits = [
        {"metric": "fairnes/acc_gap", "at_most": 1},
        {"metric": GAP, "worse_by_at_most": 1, "reference": "dpsdg"},
    ]
    path = policy(limits=limits)
    assert cli.main(["gate", "--policy", path, "--from", str(store.root)]) == 2
    said = capsys.readouterr().err
    assert "limits.0.metric is 'fairnes/acc_gap', of no evaluator; did you mean 'fairness'" in said
    assert "limits.1.reference is 'dpsdg'; did you mean 'dpsgd'?" in said


def test_an_output_that_cannot_be_written_is_one_sentence(store, policy, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    args = ["gate", "--policy", policy("pass"), "--from", str(store.root)]
    assert cli.main([*args, "--output", str(tmp_path / "file" / "x")]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.slow
def test_records_are_read_from_a_tracking_server(store, policy, capsys):
    uri = f"sqlite:///{store.tracking_db}"
    assert cli.main(["sync", "--from", str(store.root), "--tracking-uri", uri]) == 0
    args = ["gate", "--policy", policy("violated"), "--from", str(store.root)]
    args += ["--tracking-uri", uri]
    capsys.readouterr()
    assert cli.main([*args, "--experiment", "dp_vs_fairness"]) == 3
    assert capsys.readouterr().out.startswith("policy research 2: violated\n")
