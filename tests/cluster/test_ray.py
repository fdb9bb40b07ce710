"""Sweeps on Ray clusters: of this machine alone, of two machines, with one that dies."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cluster.processes import free_port, tables
from trustbench.store.labels import label
from trustbench.store.records import Store

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(find_spec("ray") is None, reason="needs trustbench[ray]"),
]


def statuses(outputs):
    return {label(r.arm): r.status for r in Store(outputs).records()}


def on(address):
    return ["hydra/launcher=ray", f"hydra.launcher.address={address}"]


def test_a_sweep_survives_the_death_of_one_of_two_machines(ray_cluster, sweep, expected, tmp_path):
    address, outputs = ray_cluster.start(), tmp_path / "outputs"
    run = sweep(outputs, *on(address), env=ray_cluster.env)
    run.until(lambda text: "2 machines with room for 2 arms" in text, "both machines are in use")
    run.ended(2)
    there = f"ip={ray_cluster.net.there}"
    seen = run.said().count(there)
    run.until(lambda text: text.count(there) > seen, "the second machine is busy")
    assert ray_cluster.net.kill() > 0
    assert run.wait() == 0, run.said()
    said = run.said()
    assert f"its machine left the cluster ({ray_cluster.net.there}); it is started again." in said
    assert set(statuses(outputs).values()) == {"ok"}
    assert len(statuses(outputs)) == 6
    assert tables(outputs) == expected


def test_machines_without_a_shared_disk_meet_at_a_tracking_server(
    ray_cluster, sweep, expected, mlflow_at, tmp_path
):
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    address = ray_cluster.start(hidden=outputs)
    there = f"ip={ray_cluster.net.there}"

    alone = sweep(outputs, *on(address), env=ray_cluster.env)
    alone.until(lambda text: "2 machines with room for 2 arms" in text, "both machines are in use")
    assert alone.wait() == 1, alone.said()
    said = " ".join(alone.said().split())  # reasons are wrapped
    assert there in said
    assert "its record is on another machine's disk" in said
    assert "give a tracking server, tracking_uri=http://HOST:PORT" in said
    here = {r.id for r in Store(outputs).records() if r.status == "ok"}
    assert 0 < len(here) < 6

    server = mlflow_at(ray_cluster.net.here)
    met = sweep(outputs, *on(address), f"tracking_uri={server}", env=ray_cluster.env)
    assert met.wait() == 0, met.said()
    assert {r.status for r in Store(outputs).records()} == {"ok"}
    assert tables(outputs) == expected


def test_this_machine_alone_is_a_cluster_too(alone, sweep, expected, tmp_path):
    outputs = tmp_path / "outputs"
    run = sweep(outputs, "hydra/launcher=ray", env=alone)
    run.ended(1)
    run.interrupt()
    assert run.wait() == 130, run.said()
    assert "interrupted: nothing more is started" in run.said()
    assert list(statuses(outputs).values()).count("ok") < 6
    again = sweep(outputs, "hydra/launcher=ray", env=alone)
    assert again.wait() == 0, again.said()
    assert "kept " in again.said()
    assert tables(outputs) == expected
    token = Path(alone["HOME"]) / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o077 == 0


def test_a_cluster_that_is_not_there_is_one_sentence(sweep, tmp_path):
    run = sweep(tmp_path / "outputs", *on(f"127.0.0.1:{free_port()}"))
    assert run.wait() == 2
    (line,) = [text for text in run.said().splitlines() if text.startswith("trustbench: ")]
    assert "cannot be used" in line
    assert "docs/clusters.md" in line
    assert "Traceback" not in run.said()


def test_an_arm_that_no_machine_can_hold_is_one_sentence(ray_cluster, sweep, tmp_path):
    address = ray_cluster.start()
    wide = sweep(tmp_path / "o", *on(address), "hydra.launcher.cpus=64", env=ray_cluster.env)
    assert wide.wait() == 2, wide.said()
    assert "no machine of the Ray cluster has what one arm asks for (CPU 64)" in wide.said()
    stranger = {**ray_cluster.env, "RAY_AUTH_TOKEN_PATH": "", "RAY_AUTH_TOKEN": "0" * 64}
    refused = sweep(tmp_path / "o", *on(address), env=stranger)
    assert refused.wait() == 2, refused.said()
    assert "all machines share one token" in refused.said()
