"""An auditor's check of a signed sweep: whole, or the name of the file that is not as signed."""

import json
import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A finished sweep of two arms and its signature, made once; (folder, key folder)."""
    from trustbench.commands import cli

    folder = tmp_path_factory.mktemp("signed")
    small = ["protocol.replicates=4", "training.epochs=1", "evaluator=[utility,fairness]"]
    small += ["hydra/launcher=basic", f"output_dir={folder / 'out'}"]
    arms = ["--multirun", "dataset=digits", "model=logistic", "intervention=none,dpsgd"]
    assert cli.main(["run", *arms, *small]) == 0
    assert cli.main(["sign", "--new-key", str(folder / "bank.key")]) == 0
    args = ["sign", "--from", str(folder / "out"), "--key", str(folder / "bank.key")]
    assert cli.main(args) == 0
    return folder


@pytest.fixture
def signed(swept, tmp_path):
    """A copy of it, and the arguments of `verify`."""
    out = tmp_path / "out"
    shutil.copytree(swept / "out", out)
    return out, ["verify", "--from", out, "--public-key", swept / "bank.pub"]


def test_a_signed_sweep_is_verified_where_it_was_copied(signed, tb):
    out, verify = signed
    done = tb(*verify)
    assert done.code == 0, done.err
    names = json.loads(next(out.glob("signed/*.json")).read_bytes())["manifest"]["files"]
    assert f"{len(names)} files are as they were signed" in done.out
    kinds = {re.sub("[0-9a-f]{16}", "ID", n).split("/")[0] for n in names}
    assert kinds == {"arms", "sweeps", "tables"}
    assert {p.relative_to(out).as_posix() for p in out.glob("arms/*/record.json")} <= set(names)


@pytest.mark.parametrize("pattern", ["arms/*/record.json", "tables/*.md", "tables/*.csv"])
def test_one_digit_is_refused_and_its_file_is_named(signed, tb, pattern):
    out, verify = signed
    path = sorted(out.glob(pattern))[0]
    text = path.read_text()
    digits = re.search(r"0\.\d*([1-8])", text)
    at = digits.end() - 1
    path.write_text(text[:at] + str(int(text[at]) + 1) + text[at + 1 :])
    done = tb(*verify)
    assert done.code == 1
    assert done.err == f"trustbench: {path} has changed since it was signed.\n"
    assert done.out == ""


def test_a_missing_file_is_refused(signed, tb):
    out, verify = signed
    path = sorted(out.glob("arms/*/arrays.npz"))[0]
    path.unlink()
    done = tb(*verify)
    assert done.code == 1
    assert done.err == f"trustbench: {path} is missing.\n"


def test_a_changed_list_of_checksums_is_not_signed(signed, tb):
    """Whoever changes a record and its checksum cannot sign the list."""
    out, verify = signed
    path = next(out.glob("signed/*.json"))
    content = json.loads(path.read_bytes())
    name = next(iter(content["manifest"]["files"]))
    content["manifest"]["files"][name] = "0" * 64
    path.write_text(json.dumps(content))
    done = tb(*verify)
    assert done.code == 2
    assert "was not signed with this key, or was changed after it was signed" in done.err


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b'{"manifest": 1}', b"[" * 100_000])
def test_what_is_not_a_signature_is_one_sentence(signed, tb, content):
    out, verify = signed
    next(out.glob("signed/*.json")).write_bytes(content)
    done = tb(*verify)
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert "is not a complete signature" in done.err


def test_another_key_is_refused(signed, tb, tmp_path):
    _, verify = signed
    assert tb("sign", "--new-key", tmp_path / "other.key").code == 0
    done = tb(*verify[:-1], tmp_path / "other.pub")
    assert done.code == 2
    assert "was not signed with this key" in done.err


def test_a_sweep_that_is_not_whole_is_not_signed(signed, swept, tb):
    out, _ = signed
    sign = ["sign", "--from", out, "--key", swept / "bank.key"]
    table = sorted(out.glob("tables/*.md"))[0]
    text = table.read_text()
    table.write_text(text + "\n")
    done = tb(*sign)
    assert done.code == 2
    assert f"{table} is not the table of these records" in done.err
    table.write_text(text)
    sorted(out.glob("arms/*/record.json"))[0].unlink()
    done = tb(*sign)
    assert done.code == 2
    assert "of the sweep is missing; only a complete sweep is signed" in done.err


def test_keys_are_private_and_never_overwritten_and_those_of_openssl_work(tb, tmp_path, signed):
    key = tmp_path / "mine.key"
    assert tb("sign", "--new-key", key).code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    assert "a key is never overwritten" in tb("sign", "--new-key", key).err
    if shutil.which("openssl") is None:
        return
    theirs, public = tmp_path / "theirs.key", tmp_path / "theirs.pub"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", theirs],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["openssl", "pkey", "-in", theirs, "-pubout", "-out", public],
        check=True,
        capture_output=True,
    )
    out, _ = signed
    assert tb("sign", "--from", out, "--key", theirs).code == 0
    assert tb("verify", "--from", out, "--public-key", public).code == 0
