"""Sweeps on Ray clusters: of this machine alone, of two machines, with one that dies."""

import pytest

from tests.cluster.conftest import tables
from trustbench.records import Store

pytest.importorskip("ray", reason="needs trustbench[ray]")
pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1200)]


def statuses(outputs):
    return {r.label(): r.status for r in Store(outputs).records()}


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
