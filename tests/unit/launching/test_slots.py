"""Slots: how many arms at once, and what each one sees of the machine."""

import os
from pathlib import Path

import pytest
import torch

from tests.unit.launching.toys import arm
from trustbench.errors import ConfigError
from trustbench.launching.options import Options
from trustbench.launching.slots import Slot, Slots, available_cores, visible_gpus

HERE = Path("/nowhere")


@pytest.fixture
def machine(monkeypatch):
    """Pretends that this machine has cores and GPUs."""

    def pretend(cores=8, gpus=0, visible=None):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return pretend


def _all(slots, arm):
    return [slots.take(arm) for _ in range(len(slots))]


@pytest.mark.parametrize(
    ("threads", "options", "count"),
    [(1, {}, 8), (3, {}, 2), (16, {}, 1), (1, {"slots": 3}, 3), (4, {"slots": 5}, 5)],
)
def test_the_cpu_has_as_many_slots_as_cores_for_the_threads_of_an_arm(
    machine, threads, options, count
):
    machine(cores=8)
    one = arm(HERE, threads=threads)
    slots = Slots(Options(**options), [one, arm(HERE)])
    assert _all(slots, one) == [Slot("")] * count
    assert slots.take(one) is None


def test_every_visible_gpu_is_used_and_a_slot_that_is_free_goes_to_the_next(machine):
    machine(gpus=2)
    one = arm(HERE)
    slots = Slots(Options(per_gpu=2), [one])
    taken = [slots.take(one) for _ in range(4)]
    assert [s.gpu for s in taken] == ["0", "1", "0", "1"]
    assert slots.take(one) is None
    slots.give_back(taken[1])
    assert slots.take(one).gpu == "1"


def test_arms_of_the_cpu_take_no_gpu_and_see_none(machine):
    machine(cores=1, gpus=1)
    on_cpu, anywhere = arm(HERE, device="cpu"), arm(HERE)
    slots = Slots(Options(), [on_cpu, anywhere])
    assert slots.take(on_cpu).environment(on_cpu)["CUDA_VISIBLE_DEVICES"] == ""
    assert slots.take(on_cpu) is None
    assert slots.take(anywhere).environment(anywhere)["CUDA_VISIBLE_DEVICES"] == "0"


def test_without_gpus_every_arm_runs_on_the_cpu(machine):
    machine(cores=2, gpus=4)
    one = arm(HERE, device="cuda")  # it will say that it sees none
    assert {s.gpu for s in _all(Slots(Options(gpus=()), [one]), one)} == {""}


def test_gpus_are_named_as_the_user_has_limited_them(machine):
    machine(gpus=2, visible="5,GPU-abc")
    assert visible_gpus() == ("5", "GPU-abc")
    machine(gpus=0, visible="")
    assert visible_gpus() == ()
    machine(gpus=3)
    assert visible_gpus() == ("0", "1", "2")


def test_an_arm_has_the_environment_of_the_parent_and_its_own_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    given = Slot("3").environment(arm(HERE, threads=2))
    assert given["OMP_NUM_THREADS"] == given["MKL_NUM_THREADS"] == "2"
    assert given["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"  # the user's own
    assert given["PATH"] == os.environ["PATH"]


def test_cores_are_counted_where_a_system_has_no_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert available_cores() == (os.cpu_count() or 1)


def test_a_memory_limit_needs_a_system_that_tells(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: False)
    with pytest.raises(ConfigError, match="this system has no /proc to read memory from"):
        Options(memory_gb=1.0)
