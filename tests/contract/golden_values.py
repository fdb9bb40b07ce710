"""What a plugin computes on small fixed problems, as a few numbers; and the file that keeps them.

`tests/golden/plugins.json` holds {"<kind>/<option>": {"<version>": {"<name>": number}}}. An entry
is written once: a number that moves belongs to a new version of its plugin.
"""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import torch

from tests.unit.training.test_loop import ignore, trainer
from trustbench.api.checks.cheap import cheap
from trustbench.api.checks.findings import SCHEDULE
from trustbench.api.checks.opened import opened
from trustbench.contracts.seeding import Streams
from trustbench.training import loop

FILE = Path(__file__).resolve().parents[1] / "golden" / "plugins.json"
UPDATE = "TRUSTBENCH_UPDATE_GOLDEN"
DIGITS = 9
# Processors round differently. Without vector instructions (ATEN_CPU_CAPABILITY=default) the
# logits of resnet18 differ by 2e-6, trained parameters by 3e-8, everything else by less.
RELATIVE, ABSOLUTE = 1e-5, 1e-8
ROWS = 12
# Training that is long enough to call every hook twice.
SHORT = {"epochs": 2, "batch_size": 32, "noise": "seeded"}


def key(option):
    """The option's name in the file."""
    return f"{option.kind}/{option.name}"


def read():
    """The whole file."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def check(name, version, numbers):
    """AssertionError unless the file has these numbers for this version, in one sentence.

    Where an update is asked for, a version that the file lacks is added to it.
    """
    kept = read()
    entry = kept.get(name, {}).get(str(version))
    if entry is None and os.environ.get(UPDATE):
        entry = {k: float(f"{v:.{DIGITS}g}") for k, v in numbers.items()}
        kept.setdefault(name, {})[str(version)] = entry
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert entry is not None, (
        f"{FILE.name} has no numbers of {name} version {version}; run `make golden`, read its "
        "diff and commit it."
    )
    moved = differences(entry, numbers)
    assert not moved, (
        f"{name} version {version} computes other numbers than before ({'; '.join(moved)}). If "
        f"that is meant, raise the plugin's `version` and run `make golden`."
    )


def differences(entry, numbers):
    """What moved, appeared or vanished, in a few words each."""
    lost = [f"{k} is gone" for k in sorted(entry.keys() - numbers.keys())]
    new = [f"{k} is new" for k in sorted(numbers.keys() - entry.keys())]
    both = sorted(entry.keys() & numbers.keys())
    moved = [
        f"{k} was {entry[k]:.8g} and is {numbers[k]:.8g}"
        for k in both
        if not np.isclose(numbers[k], entry[k], rtol=RELATIVE, atol=ABSOLUTE)
    ]
    return moved + lost + new


def of_evaluator(plugin, systems):
    """The mean of every measurement on the first system that the evaluator supports."""
    plugin = cheap(plugin)
    found = plugin.measure(next(s for s in systems if plugin.supports(s) is None))
    return {
        **{m.name: float(m.values.mean()) for m in found.measurements},
        **summary("arrays", *(found.arrays[k] for k in sorted(found.arrays))),
    }


def of_model(plugin, problems):
    """The logits of a seeded initialisation on the first problem that the model takes."""
    problem = next(p for p in problems if plugin.supports(p) is None)
    with Streams(0).global_torch("initialisation", 0):
        module = plugin.build(problem)
    with torch.no_grad():
        return summary("logits", module.eval()(torch.as_tensor(problem.rows("test")[0][:5])))


def of_intervention(plugin, systems):
    """The parameters after two epochs, and what the deployed channels say."""
    fields = {f.name for f in dataclasses.fields(plugin)}
    plugin = dataclasses.replace(cheap(plugin), **{k: v for k, v in SHORT.items() if k in fields})
    system = next(s for s in systems if plugin.supports(s.problem, SCHEDULE) is None)
    numbers = {}
    if plugin.retrains:
        made, params = trainer(
            system.problem, [plugin], SCHEDULE, replicates=2, device=system.device
        )
        state = loop.train(made, params, progress=ignore)
        numbers |= summary("parameters", *(state.best[n] for n in sorted(state.best)))
    if plugin.fills("deploy"):
        numbers |= _deployed(plugin, system)
    return numbers


def _deployed(plugin, system):
    """What the deployed system answers on a few test rows."""
    system = opened(system, "channel") if plugin.deploys == "release" else system
    deployed = plugin.deploy(system)
    X, _, group = system.problem.rows("test")
    X, group = deployed.tensor(X[:ROWS]), group[:ROWS]
    logits = deployed.logits(X)
    said = {"logits": [logits], "decisions": [deployed.decide(X, group)]}
    said["shown"] = [deployed.observed(logits)]
    if deployed.explainer is not None:
        said["attributions"] = [deployed.explain(X), deployed.explain(X, 1)]
    if deployed.intervals is not None:
        said["intervals"] = deployed.intervals(X, 0)
    for score in deployed.set_predictors:
        said[f"{score} sets"] = [deployed.sets(X, score, group)]
    return {k: v for name, arrays in said.items() for k, v in summary(name, *arrays).items()}


def summary(name, *arrays):
    """Two numbers of all arrays together: how large they are, and one that sees their order."""
    if not arrays:
        return {}
    arrays = [a.cpu() if isinstance(a, torch.Tensor) else a for a in arrays]
    flat = np.concatenate([np.asarray(a, dtype=np.float64).ravel() for a in arrays])
    weights = 1.5 + np.cos(np.arange(len(flat)))
    return {
        f"{name}: root mean square": float(np.sqrt((flat**2).mean())),
        f"{name}: weighted mean": float((np.abs(flat) * weights).mean()),
    }
