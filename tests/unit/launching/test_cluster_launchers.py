"""hydra/launcher=ray and =slurm: their settings, and what is said where they cannot work."""

import importlib.util
from dataclasses import replace

import pytest
from omegaconf import OmegaConf

from trustbench.commands import cli
from trustbench.config.binding import bind
from trustbench.config.compose import compose, composed_arm
from trustbench.errors import ConfigError
from trustbench.execution.job import ArmOutcome
from trustbench.launching import fetching
from trustbench.launching.clusters import on_ray
from trustbench.launching.fetching import with_records
from trustbench.launching.ray_cluster import RaySettings, needs, slots
from trustbench.launching.schedule import Stop
from trustbench.launching.slurm import SlurmSettings, private
from trustbench.launching.slurm_queue import GRACE_S, LAG_S, Queue


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_extra_is_one_sentence(name, module, monkeypatch, capsys, tmp_path):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, p=None: None if n == module else real(n, p)
    )
    code = cli.main(
        ["run", "-m", f"hydra/launcher={name}", "seed=0,1", f"output_dir={tmp_path / 'o'}"]
    )
    assert code == 2
    wanted = f"hydra/launcher={name} needs trustbench[{name}]; pip install 'trustbench[{name}]'."
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(("name", "settings"), [("ray", RaySettings), ("slurm", SlurmSettings)])
def test_the_file_of_a_launcher_gives_every_setting_its_default(name, settings):
    composed = OmegaConf.to_container(compose([f"hydra/launcher={name}"]).hydra.launcher)
    given = {k: v for k, v in composed.items() if k != "_target_"}
    given = {
        k: list(v) if k == "setup" else dict(v) if k == "sbatch" else v for k, v in given.items()
    }
    assert bind(settings, given, "hydra.launcher") == settings()
    assert composed["_target_"].startswith("hydra_plugins.trustbench_cluster_launchers.")


@pytest.mark.parametrize("text", ["long\nrm -rf ~", "a b", "$(id)", "`id`", "x;y", ""])
def test_no_line_of_its_own_gets_into_a_batch_file(text):
    for given in ({"partition": text}, {"sbatch": {"nice": text}}, {"sbatch": {text: 1}}):
        with pytest.raises(ConfigError, match="should"):
            bind(SlurmSettings, given, "hydra.launcher")


def test_what_partitions_and_constraints_are_called_is_allowed():
    given = {"partition": "gpu-a100,short", "constraint": "[rack1*2&rack2*4]|v100", "qos": "a_b.c"}
    assert bind(SlurmSettings, given, "hydra.launcher").constraint == given["constraint"]


def test_jobs_are_not_read_from_a_folder_that_others_may_write_to(tmp_path):
    folder = private(tmp_path / "jobs")
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written to by others"):
        private(folder)


def test_an_arm_takes_a_gpu_only_where_there_are_any():
    cpu, gpu = {"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0}
    assert needs(RaySettings(), [cpu]) == {"CPU": 1}
    assert needs(RaySettings(), [cpu, gpu]) == {"CPU": 1, "GPU": 1.0}
    assert needs(RaySettings(gpus=0), [gpu]) == {"CPU": 1}
    assert slots(cpu, needs(RaySettings(gpus=0.5), [gpu])) == 0
    assert slots(gpu, needs(RaySettings(gpus=0.5), [gpu])) == 2
    assert slots({"CPU": 3.0}, {"CPU": 1, "memory": 2.0**30}) == 0


class TestQueue:
    """What `squeue` says, at times that the test sets."""

    @pytest.fixture
    def queue(self, monkeypatch):
        self.now, self.says = 1000.0, {}
        module = "trustbench.launching.slurm_queue"
        monkeypatch.setattr(f"{module}.time.monotonic", lambda: self.now)
        monkeypatch.setattr(f"{module}.queued", lambda jobs: self.says)
        made = Queue()
        made.watch(["7_0", "7_1"])
        return made

    def after(self, seconds, queue, job):
        self.now += seconds
        queue.over(job)  # asks
        return queue.over(job)

    def test_a_job_that_runs_or_waits_is_not_over(self, queue):
        self.says = {"7_0": "RUNNING", "7_1": "PENDING"}
        assert not self.after(10_000, queue, "7_0")
        assert not self.after(10_000, queue, "7_1")

    @pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL"])
    def test_a_job_that_slurm_ended_is_over_once_its_result_had_time_to_arrive(self, queue, state):
        self.says = {"7_0": state, "7_1": "RUNNING"}
        assert not self.after(20, queue, "7_0")
        assert self.after(LAG_S + 1, queue, "7_0")
        assert not queue.over("7_1")

    def test_a_job_that_slurm_queues_again_is_not_over(self, queue):
        self.says = {"7_0": "NODE_FAIL"}
        assert not self.after(20, queue, "7_0")
        self.says = {"7_0": "PENDING"}
        assert not self.after(LAG_S + 1, queue, "7_0")

    def test_a_job_that_slurm_has_forgotten_is_over_after_a_while(self, queue):
        assert not self.after(20, queue, "7_0")
        assert not self.after(GRACE_S / 2, queue, "7_0")
        assert self.after(GRACE_S, queue, "7_0")

    def test_nothing_is_over_while_slurm_does_not_answer(self, queue):
        self.says = None
        assert not self.after(10_000, queue, "7_0")


@pytest.fixture(scope="module")
def arm():
    return composed_arm(compose(["evaluator=utility"]))


@pytest.mark.parametrize("uri", [None, "sqlite:///elsewhere.db"])
def test_folders_that_nobody_else_can_read_need_a_server(arm, uri):
    settings = RaySettings(outputs="/scratch/outputs")
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.outputs .* tracking_uri="):
        on_ray({"a": replace(arm, tracking_uri=uri)}, print, settings, Stop("continue"))


def test_an_arm_whose_record_is_on_another_machine_fails_with_that_reason(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        fetching.tracking, "bring", lambda store, uri, arm, wanted: asked.append(arm)
    )
    outcomes = [
        ArmOutcome("a" * 16, "none", "ok", evaluations=("utility-1",)),
        ArmOutcome("b" * 16, "dpsgd", "failed", reason="it diverged"),
        ArmOutcome(None, "lime", "refused"),
    ]
    found = with_records(outcomes, tmp_path, None)
    assert asked == ["a" * 16]
    assert found[1:] == outcomes[1:]
    assert found[0].status == "failed"
    assert "on another machine's disk" in found[0].reason
    assert "tracking_uri=http://HOST:PORT" in found[0].reason
    (served,) = with_records(outcomes[:1], tmp_path, "http://127.0.0.1:9")
    assert "all machines can reach the tracking server" in served.reason
