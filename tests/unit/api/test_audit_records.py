"""A stored audit is found, uploaded, gated, and written as a report and as a card."""

import re
import shutil

import pytest
import yaml

import trustbench
from tests.unit.api.audited import FEW, fitted, made_table
from trustbench import tracking
from trustbench.api.audit_records import load_audit, report_audit, upload_audit
from trustbench.commands.cli import main
from trustbench.errors import UserError
from trustbench.store.audits import audits
from trustbench.store.records import Store
from trustbench.tracking.server import client, resolve

LIMITS = {
    "name": "limits",
    "version": 1,
    "description": "d",
    "priorities": [{"target": "utility", "weight": 1}],
    "limits": [{"metric": "utility", "at_least": 0.6}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("audits")


@pytest.fixture(scope="module")
def record(folder):
    table = made_table()
    old = fitted(table, C=0.0003)
    asked = {"target": "repaid", "sensitive": "town", "split_column": "part", "draws": 100}
    found = trustbench.audit(
        fitted(table), table, reference=old, evaluators=FEW, output_dir=folder, **asked
    )
    return found.record


def test_an_audit_is_loaded_by_its_id_how_that_begins_and_its_file(record, folder):
    path = folder / "audits" / record.id / "audit.json"
    for name in (record.id, record.id[:5], path):
        assert load_audit(name, folder) == record
    with pytest.raises(UserError, match=rf"no audit 'zz' is stored.*Audits: {record.id} Pipeline"):
        load_audit("zz", folder)
    with pytest.raises(UserError, match="is not a file; give an audit"):
        load_audit("nowhere/audit.json")


def test_a_changed_or_foreign_audit_is_left_out_with_one_warning_and_the_others_are_read(
    record, folder, tmp_path, capsys
):
    store = tmp_path / "store"
    shutil.copytree(folder, store)
    whole = store / "audits" / record.id / "audit.json"
    places = [store / "audits" / name / "audit.json" for name in ("changed", "folder", "foreign")]
    for path in places:
        path.parent.mkdir()
    digit = re.search(r'"value": 0\.\d', whole.read_text()).group()
    flipped = digit[:-1] + str((int(digit[-1]) + 1) % 10)
    places[0].write_text(whole.read_text().replace(digit, flipped, 1))
    places[1].mkdir()
    places[2].write_bytes(whole.read_bytes())
    assert audits(store) == [record]
    told = capsys.readouterr().err.splitlines()
    for path, line in zip(places, told, strict=True):
        assert f"{path} is " in line
        assert line.endswith("It is left out.")
    with pytest.raises(UserError, match="does not match its checksum"):
        load_audit(places[0])
    for command in ("sync", "doctor"):
        main([command, "--from", str(store)])
        assert all(str(path) in "".join(capsys.readouterr()) for path in places[:1]), command


@pytest.mark.parametrize(("limit", "code"), [(0.6, 0), (0.99, 3)])
def test_the_gate_reads_a_stored_audit(limit, code, record, folder, tmp_path, capsys):
    policy = tmp_path / "limits.yaml"
    policy.write_text(
        yaml.safe_dump({**LIMITS, "limits": [{"metric": "utility", "at_least": limit}]})
    )
    words = ["--audit", record.id[:6], "--from", str(folder), "--policy", str(policy)]
    assert main(["gate", *words]) == code
    assert "500 rows" in capsys.readouterr().out
    assert main(["gate", *words, "--arm", "none"]) == 2
    assert "--audit reads an audit and --arm reads arms" in capsys.readouterr().err


def test_a_report_shows_every_aspect_number_and_reason(record, folder, tmp_path):
    page = tmp_path / "audit.html"
    words = ["--audit", record.id, "--from", str(folder), "--policy", "default"]
    assert main(["report", *words, "--output", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    for aspect in (*trustbench.Aspect, "utility"):
        assert f'id="aspect-{aspect}"' in text
    shown = set(re.findall(r'<data value="([^"]+)"', text))
    assert {repr(m.number.value) for m in record.metrics.values() if not m.diagnostic} == shown
    assert "policy default 2: inconclusive" in text
    assert text.count("(!)</td>") == sum(
        not m.diagnostic for name, m in record.on_seen.items() if name in record.metrics
    )
    assert "No evaluator of this aspect ran." in text  # robustness was not asked for
    assert "needs replicates: other models of the same recipe" in text


def test_the_report_begins_with_what_nobody_knows(record, tmp_path):
    unknown = record.model_copy(update={"rows": record.rows.model_copy(update={"known": False})})
    text = report_audit(unknown, tmp_path / "r.html").read_text(encoding="utf-8")
    header = text[text.index("<h1>") :]
    assert header.index("IT IS UNKNOWN WHICH ROWS") < header.index("<li>")


def test_a_card_has_front_matter_and_the_numbers_of_the_audit(record, folder, capsys):
    words = ["--audit", record.id, "--from", str(folder), "--license", "mit"]
    assert main(["card", *words]) == 0
    _, matter, body = capsys.readouterr().out.split("---\n", 2)
    (index,) = yaml.safe_load(matter)["model-index"]
    (result,) = index["results"]
    found = {m["name"]: m for m in result["metrics"]}
    accuracy = record.metrics["utility/accuracy"].number
    assert found["utility/accuracy"]["value"] == accuracy.value
    assert found["utility/accuracy"]["args"]["low"] == accuracy.low
    assert result["source"]["name"] == f"trustbench audit {record.id}"
    assert "numbers on them decide nothing" in body
    assert "not applicable: needs replicates" in body
    assert main(["card", "--from", str(folder)]) == 2
    assert "give --arm ARM for the card of an arm, or --audit" in capsys.readouterr().err


def test_sync_uploads_an_audit_once_and_a_server_gives_it_back(record, folder, capsys):
    for said in ("uploaded 1 audits; 0 were there.", "uploaded 0 audits; 1 were there."):
        assert main(["sync", "--from", str(folder)]) == 0
        assert said in capsys.readouterr().out
    store = Store(folder)
    uri = resolve(store, None)
    assert tracking.fetch_audits(store, uri) == [record]
    assert load_audit(record.id, tracking_uri=uri) == record
    run_id = tracking.log_audit(store, uri, record)
    run = client(uri).get_run(run_id)
    accuracy = record.metrics["utility/accuracy"].number
    assert run.data.metrics["utility/accuracy"] == accuracy.value
    assert run.data.metrics["utility/accuracy.low"] == accuracy.low
    assert run.data.metrics["effect/utility/accuracy"] == pytest.approx(
        record.effects["utility/accuracy"].number.value
    )
    assert "seen/utility/accuracy" in run.data.metrics
    assert run.data.params["rows.how"] == "split column"
    assert run.inputs.dataset_inputs[0].dataset.digest == record.table.digest
    assert "Audit of Pipeline" in run.data.tags["mlflow.note.content"]
    changed = record.model_copy(update={"seed": 9})
    assert tracking.logged_audits(store, uri, [record, changed]) == {record.id}


def test_a_server_that_does_not_answer_costs_a_warning(record, folder, capsys):
    upload_audit(folder, "http://127.0.0.1:9", record)
    assert "The audit is kept; `trustbench sync` uploads it later." in capsys.readouterr().err
