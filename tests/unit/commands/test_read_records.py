"""The commands that read records find the same in a folder and on a tracking server."""

import pytest

from tests.unit.commands.test_gate_command import write_store
from tests.unit.summary.builder import method, record
from tests.unit.summary.report.report_data import rows_kept, with_examples
from tests.unit.summary.table_data import with_strongest
from trustbench.commands import cli
from trustbench.store.records import Store

pytestmark = pytest.mark.usefixtures("handmade_ids")

DP = method("dpsgd", epsilon=3.0)
# Without any spread a cell is not applicable.
NOISE = {"utility/accuracy": 0.1, "fairness/acc_gap": 0.01}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """(the folder of a store, the address of a server that has its records, an empty folder)."""
    folder = tmp_path_factory.mktemp("stored")
    records = [
        with_examples(with_strongest(r))
        for regime in ("tuned", "memorising")
        for r in (record(regime=regime), record(DP, regime=regime, noise=NOISE))
    ]
    store = write_store(folder / "outputs", records)
    for k, each in enumerate(records):
        store.write(each, rows_kept(k))
    uri = f"sqlite:///{folder / 'server.db'}"
    assert cli.main(["sync", "--from", str(store.root), "--tracking-uri", uri]) == 0
    return str(store.root), uri, str(folder / "elsewhere")


def both(places, command, *args, capsys, experiment=("--experiment", "dp_vs_fairness")):
    """(exit code, output) of a command on the folder, and on the server alone."""
    folder, uri, elsewhere = places
    found = []
    for source in (["--from", folder], ["--from", elsewhere, "--tracking-uri", uri]):
        capsys.readouterr()
        code = cli.main([command, *args, *source, *experiment])
        found.append((code, capsys.readouterr().out))
    return found


@pytest.mark.slow  # a tracking database is made
@pytest.mark.parametrize(
    ("command", "args", "code"),
    [
        ("summarize", ["--format", "json"], 0),
        ("select", ["--policy", "research", "--format", "json"], 0),
        ("gate", ["--policy", "default", "--format", "json"], 4),
        ("card", ["--arm", "digits-dpsgd3.0-none-tuned-0"], 0),
        ("datasheet", [], 0),
    ],
)
def test_text_is_the_same_from_both(places, command, args, code, capsys):
    folder, server = both(places, command, *args, capsys=capsys)
    assert folder == server
    assert folder[0] == code
    assert "dpsgd" in folder[1]


@pytest.mark.slow
def test_a_cell_has_the_same_numbers_from_both(places, capsys):
    folder, server = both(places, "cell", "P", "F", capsys=capsys, experiment=())
    assert folder == server
    assert "dpsgd epsilon=3: " in folder[1].partition("measured here")[2]


@pytest.mark.slow
def test_a_report_from_the_server_has_the_pictures_too(places, tmp_path, capsys):
    out = tmp_path / "report.html"
    texts = []
    for source in (places[:1], (places[2], "--tracking-uri", places[1])):
        more = ["--policy", "bank", "--output", str(out)]
        args = ["report", "--from", *source, "--experiment", "dp_vs_fairness", *more]
        assert cli.main(args) == 0
        texts.append(out.read_text())
    assert texts[0] == texts[1]
    assert texts[0].count("data:image/png") == 2 * 3 * 4
    assert "Bands of policy bank" in texts[0]
    assert not Store(tmp_path / "elsewhere").root.exists()


@pytest.mark.parametrize("command", ["select", "card", "datasheet", "report", "summarize", "gate"])
def test_a_folder_that_is_none_is_one_sentence(command, tmp_path, capsys):
    needed = {"select": ["--policy", "bank"], "gate": ["--policy", "bank"], "card": ["--arm", "x"]}
    args = [command, "--from", str(tmp_path / "gone"), *needed.get(command, [])]
    assert cli.main(args) == 2
    assert "is not a folder of records" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["select", "report", "summarize", "gate"])
def test_several_sweeps_need_a_choice_and_an_unknown_one_is_told(command, tmp_path, capsys):
    store = write_store(tmp_path / "outputs", [record(), record(DP)])
    write_store(tmp_path / "outputs", [record(), record(DP)], experiment="another")
    needed = ["--policy", "bank"] if command in ("select", "gate") else []
    args = [command, "--from", str(store.root), *needed]
    assert cli.main(args) == 2
    assert "holds the sweeps of another, dp_vs_fairness; choose one" in capsys.readouterr().err
    assert cli.main([*args, "--experiment", "dp_vs_fairnes"]) == 2
    assert "did you mean 'dp_vs_fairness'" in capsys.readouterr().err


def test_a_card_needs_no_choice_among_sweeps(tmp_path, capsys):
    store = write_store(tmp_path / "outputs", [record(), record(DP)])
    write_store(tmp_path / "outputs", [record(), record(DP)], experiment="another")
    args = ["card", "--arm", "digits-dpsgd3.0-none-tuned-0", "--from", str(store.root)]
    assert cli.main(args) == 0
    assert "dpsgd" in capsys.readouterr().out


def test_a_policy_that_is_none_is_one_sentence(tmp_path, capsys):
    assert cli.main(["report", "--from", str(tmp_path), "--policy", "bnak"]) == 2
    assert "unknown policy 'bnak'; did you mean 'bank'" in capsys.readouterr().err
