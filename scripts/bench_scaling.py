"""One DP-SGD and one PGD epoch for 1, 4, 16 and 64 replicates: the gain of stacking on a device.

run: python scripts/bench_scaling.py [--device cuda] [--model cnn|mlp] [--rows 4000]
"""

import argparse
import time

import numpy as np
import torch

from trustbench.config.arms import Protocol
from trustbench.contracts import DataCard, Feature, Problem, Schedule
from trustbench.contracts.seeding import Streams
from trustbench.execution.plan import resolve_device
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.interventions.robustness.pgd_at import PGDAdversarialTraining
from trustbench.models.cnn import CNN
from trustbench.models.mlp import MLP
from trustbench.training import loop, replicates
from trustbench.training.engine_choice import choose
from trustbench.training.state import Trainer


def images(rows):
    """Random 28x28 images: the time of a step does not depend on their content."""
    rng = np.random.default_rng(0)
    X = rng.random((rows + 300, 1, 28, 28), dtype=np.float32)
    y = rng.integers(10, size=len(X))
    order = np.arange(len(X))
    cuts = {"train": order[:rows], "validation": order[rows : rows + 100]}
    cuts |= {"calibration": order[rows + 100 : rows + 200], "test": order[rows + 200 :]}
    pixels = tuple(Feature(f"p{j}", "pixel", (j,), 0.0, 1.0) for j in range(784))
    card = DataCard("random images for timing", "none", "none", "none", synthetic=True)
    names = tuple(map(str, range(10)))
    return Problem("random", X, y, y, names, names, "class", pixels, cuts, card)


def epoch_seconds(problem, model, count, intervention, device, engine):
    streams = Streams(0)
    inside = replicates.membership(problem, Protocol(replicates=max(2, count)), streams)[:count]
    schedule = Schedule("memorising", epochs=2, batch_size=128, lr=0.05, momentum=0.9)
    rule = intervention.gradient(schedule, int(inside.sum(1).min()))
    trainer = Trainer(
        problem=problem,
        engine=choose(engine, model.build(problem), problem, device),
        interventions=[intervention],
        schedule=rule.schedule if rule else schedule,
        rule=rule,
        membership=inside,
        streams=streams,
        device=device,
        patience=10,
    )
    params = replicates.initial_parameters(model, problem, count, streams, device)
    marks = []

    def mark(*_):
        if device.type == "cuda":
            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    loop.train(trainer, params, mark)
    return marks[1] - marks[0], trainer.engine.name  # the second epoch: the first one warms up


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--engine", default="auto", choices=["auto", "stacked", "opacus"])
    parser.add_argument("--model", default="cnn", choices=["cnn", "mlp"])
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--replicates", type=int, nargs="*", help="default: 1 4 16 64 on CUDA")
    a = parser.parse_args()
    device = resolve_device(a.device)
    counts = a.replicates or ([1, 4, 16, 64] if device.type == "cuda" else [1, 4])
    torch.set_num_threads(1)
    problem, model = images(a.rows), {"cnn": CNN, "mlp": MLP}[a.model]()
    where = torch.cuda.get_device_name() if device.type == "cuda" else "1 CPU thread"
    print(
        f"{a.model}, {a.rows // 2} members of 28x28, batch 128, {where}, torch {torch.__version__}"
    )
    methods = {
        "DP-SGD": DPSGD(noise_multiplier=1.0, epsilon=None, batch_size=128, epochs=2),
        "PGD-7 training": PGDAdversarialTraining(steps=7),
    }
    for name, method in methods.items():
        first = None
        for count in counts:
            seconds, engine = epoch_seconds(problem, model, count, method, device, a.engine)
            first = first or seconds / count
            print(
                f"{name:15s} R={count:3d} {engine:8s} {seconds:8.3f} s an epoch, "
                f"{seconds / count:8.4f} s a replicate, "
                f"{first * count / seconds:6.2f} x of R={counts[0]}"
            )


if __name__ == "__main__":
    main()
