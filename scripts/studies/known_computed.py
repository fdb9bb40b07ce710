"""Quantities that known_answers.py computes from published outputs and stored replicates."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from known_source import Source, Values

from trustbench.contracts import System
from trustbench.methods.attacks.membership import oracle_balanced_accuracy
from trustbench.methods.conformal.private import level
from trustbench.methods.explanations.kernel_shap import KernelShap
from trustbench.methods.explanations.lime_surrogate import Lime, Stream
from trustbench.methods.explanations.neighbourhoods import neighbourhood
from trustbench.methods.explanations.surrogate_values import surrogate_values
from trustbench.methods.explanations.targets import target_values
from trustbench.methods.groups import means

FIDELITY_POINTS = 1000  # test rows whose surrogate decides, for the published fidelity


def song(data_dir: Path, model: str, inputs: str) -> float | None:
    """Balanced accuracy of the best threshold on the published outputs of one Yale network."""
    path = data_dir / "golden" / f"yale_{model}.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        scores = []
        for split in ("train", "test"):
            p, y = data[f"output_{split}_{inputs}"], data[f"{split}_label"]
            scores.append(p[np.arange(len(y)), y])
    return float(oracle_balanced_accuracy(*scores))


def fidelity(source: Source, entry: Mapping[str, Any]) -> Values:
    """Published fidelity, per replicate: how often the surrogate's decision at a row is the
    model's; `gap` names a statistic over groups, `maximum` (from average) or `mean` (of pairs)."""
    system = source.system(entry["arm"])
    X, _, group = system.problem.rows("test")
    rows = system.streams.numpy("explanations", Stream.POINTS).permutation(len(X))[:FIDELITY_POINTS]
    x = system.tensor(X[rows])
    margin = SURROGATES[entry["surrogate"]](system, x)  # of the predicted class: positive agrees
    return fidelity_gap((margin > 0).astype(float), group[rows], entry["gap"])


def fidelity_gap(agrees: Values, group: Values, gap: str) -> Values:
    """The gap [R] of agreement [R, n]; see `fidelity`.

    >>> fidelity_gap(np.array([[1.0, 1.0, 1.0, 0.0]]), np.array([0, 0, 1, 1]), "maximum").tolist()
    [0.25]
    """
    by_group = means(agrees, group, group.max() + 1)
    if gap == "maximum":
        return np.asarray(agrees.mean(1) - by_group.min(1))
    pairs = [np.abs(by_group[:, i] - by_group[:, j])
             for i, j in combinations(range(by_group.shape[1]), 2)]  # fmt: skip
    return np.asarray(np.mean(pairs, axis=0))


def lime_margin(system: System, x: Any) -> Values:
    """By how much LIME's surrogates put the probability of the predicted of two classes above
    one half at the rows that they explain, [R, n]."""
    lime = Lime(target="probability")
    values = surrogate_values(system, lime, lime.neighbourhood(system), x, Stream.RELEASED)
    return np.asarray(values.cpu().numpy() - 0.5)


def shap_margin(system: System, x: Any) -> Values:
    """The same of KernelSHAP: its values plus the mean margin of the background, [R, n]."""
    shap = KernelShap(256, 5, "margin")
    area = neighbourhood(system.problem, 0.0, system.device)
    total = shap.values(system, area, x).sum(-1).double()
    classes = system.logits(x).argmax(-1)
    logits = system.logits(shap.rows(system))[:, None].expand(-1, len(x), -1, -1)
    base = target_values(logits, classes, "margin").mean(-1)
    return (total + base).cpu().numpy()


SURROGATES = {"lime": lime_margin, "kernel_shap": shap_margin}


def raised_level(source: Source, entry: Mapping[str, Any]) -> Values:
    """By how much privacy raises the level that thresholds aim at, beyond 1 / (1 - gamma alpha)
    of it, which remains with any number of rows; the same for all replicates."""
    record = source.record(entry["arm"])
    assert record is not None  # `quantity` has checked this
    spec = record.arm.interventions[0].params
    rows = spec["rows"] or record.arm.protocol["calibration"]
    aim = level(rows, spec["alpha"], spec["epsilon"], spec["gamma"], spec["bins"])
    limit = (1 - spec["alpha"]) / (1 - spec["gamma"] * spec["alpha"])
    return np.full(record.replicates, aim - limit * (rows + 1) / rows)


COMPUTED = {"fidelity": fidelity, "raised_level": raised_level}
