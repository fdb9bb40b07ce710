"""Time of one DP-SGD step against one plain step, per replicate, ours and Opacus' hooks.

run: python scripts/bench_dp_step.py [--replicates 16] [--batch 128] [--device cpu]
Variants are interleaved and the minimum over rounds is printed: other load only adds time.
"""

import argparse
import platform
import time
import warnings

import torch
import torch.nn.functional as F
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from trustbench.contracts import Schedule
from trustbench.interventions.privacy.dpsgd import DPSGD
from trustbench.training.engines import stack
from trustbench.training.linear_chain import LinearChainEngine


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 10))


def stacked(R, B, device, private):
    params = {n: p.to(device) for n, p in stack([mlp() for _ in range(R)]).items()}
    engine = LinearChainEngine(mlp(), (64,), "bench")
    X, y = torch.randn(R, B, 1, 64, device=device), torch.randint(10, (R, B), device=device)
    rule = DPSGD(noise_multiplier=1.0, epsilon=None).gradient(Schedule("tuned", 1, B, 0.1), 4 * B)
    generators = [torch.Generator(device).manual_seed(r) for r in range(R)]

    def loss(logits, part):
        return F.cross_entropy(logits.flatten(0, 2), y[part].flatten(), reduction="none").view(R, B)

    def step():
        total = engine.gradient(params, X, loss, rule.coefficients if private else None).total
        grads = rule.update(total, generators) if private else total
        for name, p in params.items():
            p.add_(grads[name], alpha=-1e-4)

    return step


def opacus_hooks(B, device):
    module = GradSampleModule(mlp().to(device))
    optimiser = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1e-4),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        expected_batch_size=B,
    )
    X, y = torch.randn(B, 64, device=device), torch.randint(10, (B,), device=device)

    def step():
        optimiser.zero_grad()
        F.cross_entropy(module(X), y).backward()
        optimiser.step()

    return step


def plain_module(B, device):
    module = mlp().to(device)
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-4)
    X, y = torch.randn(B, 64, device=device), torch.randint(10, (B,), device=device)

    def step():
        optimiser.zero_grad()
        F.cross_entropy(module(X), y).backward()
        optimiser.step()

    return step


def seconds(step, repeat, device):
    start = time.perf_counter() if device == "cuda" else time.process_time()
    for _ in range(repeat):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
        return (time.perf_counter() - start) / repeat
    return (time.process_time() - start) / repeat


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=16)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=12)
    a = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="Full backward hook is firing")
    R, B = a.replicates, a.batch
    steps = {
        "plain, stacked": (stacked(R, B, a.device, False), R),
        "DP, stacked": (stacked(R, B, a.device, True), R),
        "plain, one torch module": (plain_module(B, a.device), 1),
        "DP, one module by Opacus hooks": (opacus_hooks(B, a.device), 1),
    }
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(a.rounds):
        for name, (step, count) in steps.items():
            best[name] = min(best[name], seconds(step, 20, a.device) / count)
    where = torch.cuda.get_device_name() if a.device == "cuda" else platform.processor() or "cpu"
    print(
        f"MLP 64-128-10, batch {B}, R={R}, {a.device} ({where}), 1 thread, "
        f"torch {torch.__version__}"
    )
    print(f"minimum of {a.rounds} rounds of 20 steps, microseconds per replicate and step")
    for name, value in best.items():
        print(f"  {name:32s} {1e6 * value:9.1f}")
    print(f"DP / plain, stacked:             {best['DP, stacked'] / best['plain, stacked']:.2f}")
    hooks = best["DP, one module by Opacus hooks"]
    print(f"Opacus hooks / plain, one model: {hooks / best['plain, one torch module']:.2f}")
    print(f"Opacus hooks / our DP step:      {hooks / best['DP, stacked']:.2f}")


if __name__ == "__main__":
    main()
