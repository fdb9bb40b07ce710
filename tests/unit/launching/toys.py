"""Arms whose processes do as their name says, and the record that they leave behind."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

from tests.unit.arm_toys import Accuracy, Net, Toy
from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm, Chosen, Protocol, Training
from trustbench.execution.job import ArmOutcome
from trustbench.execution.progress import arm_progress
from trustbench.store.identity import arm_content, digest, evaluation_id
from trustbench.store.records import ArmSpec, Evaluation, PluginSpec, ProblemSpec, Record, Store


def arm(folder, does="ok", seed=0, **changes):
    """An arm whose process does what `does` says; `experiment` carries it there."""
    made = Arm(
        dataset=Chosen("toy", Toy()),
        model=Chosen("net", Net()),
        training=Training(regime="tuned", epochs=3, batch_size=8, lr=0.1),
        interventions=(),
        evaluators=(Chosen("accuracy", Accuracy()),),
        protocol=Protocol(replicates=4),
        seed=seed,
        output_dir=folder,
        experiment=does,
    )
    return replace(made, **changes)


PROBLEM = ProblemSpec(
    fingerprint="0" * 32, sizes={}, classes=[], groups=[], group_name="", group_sizes={}, card={}
)
ACCURACY = Evaluation(evaluator=PluginSpec(name="accuracy"), status="ok")


ACCURACY_ID = evaluation_id(ACCURACY.evaluator)


def ids(count):
    """The ids of the arms with the seeds 0, 1, ..."""
    contents = (
        arm_content(_spec(s), PROBLEM.fingerprint, reseeds=1, part="replicates", rate=None)
        for s in range(count)
    )
    return [*map(digest, contents)]


def arm_id(arm):
    return ids(arm.seed + 1)[arm.seed]


def started_record(arm, status="started"):
    return Record(
        id=arm_id(arm),
        fit="0" * 16,
        arm=_spec(arm.seed),
        status=status,
        replicates=4,
        problem=PROBLEM,
        evaluations={ACCURACY_ID: ACCURACY},
    )


def _spec(seed):
    spec = PluginSpec(name="toy")
    return ArmSpec(
        dataset=spec, model=spec, training={"regime": "tuned"}, interventions=[],
        protocol={}, seed=seed, engine="stacked",
    )  # fmt: skip


def note(arm, *words):
    with (arm.output_dir / "journal").open("a") as journal:
        journal.write(" ".join(map(str, (arm.seed, *words))) + "\n")


def notes(folder):
    path = folder / "journal"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split(" ", 1) for line in lines]


def work(arm):
    """Runs in the arm's process."""
    does, _, value = arm.experiment.partition(":")
    note(arm, os.environ.get("CUDA_VISIBLE_DEVICES"), os.getpid(), time.monotonic())
    store = Store(arm.output_dir)
    with arm_progress(label_of(arm), 4) as progress:
        progress("train", 1, 2)
        if does == "early":
            os._exit(3)
        progress.identified(arm_id(arm))
        store.write(started_record(arm))
        sys.stdout.write(f"about to {arm.experiment}\n")
        globals()[f"do_{does}"](arm, value)
    store.write(started_record(arm, "ok"))
    return ArmOutcome(arm_id(arm), label_of(arm), "ok", seconds=1.0)


def do_ok(arm, value):
    sys.stderr.write("to standard error\n")


def do_exit(arm, value):
    os._exit(int(value))


def do_once(arm, value):
    """Dies at the first attempt only."""
    if sum(seed == str(arm.seed) for seed, _ in notes(arm.output_dir)) == 1:
        os._exit(7)


def do_signal(arm, value):
    os.kill(os.getpid(), int(value))


def do_raise(arm, value):
    raise ValueError("no such value")


def do_leave(arm, value):
    raise SystemExit(5)


def do_sleep(arm, value):
    time.sleep(float(value))


def do_eat(arm, value):
    """Holds memory, in a process that it has started."""
    code = f"import time; x = bytearray(int({value}e9)); time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=True)


def do_leak(arm, value):
    """Ends with a child that goes on."""
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=value == "away")
    (arm.output_dir / "leaked").write_text(str(sleeper.pid))


def do_finish(arm, value):
    """Dies after its record is complete."""
    Store(arm.output_dir).write(started_record(arm, "ok"))
    os._exit(9)


def do_mute(arm, value):
    """Closes every pipe and goes on."""
    os.closerange(3, 200)
    time.sleep(600)


def do_kill_server(arm, value):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(0.5)


def do_environment(arm, value):
    import torch
    from threadpoolctl import threadpool_info

    torch.set_num_threads(arm.threads)
    blas = {i["num_threads"] for i in threadpool_info()}
    note(arm, os.environ["OMP_NUM_THREADS"], torch.get_num_threads(), sorted(blas))
    note(arm, os.environ.get("POOL_TEST"), os.environ["CUBLAS_WORKSPACE_CONFIG"])
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    note(arm, signal.SIGINT in blocked, os.getsid(0) == os.getpid())
    note(arm, "mlflow" in sys.modules, torch.cuda.is_initialized())
