"""Three numbers that Song, Shokri & Mittal (2019) published for Yale Face, from their outputs."""

import numpy as np
import pytest

from trustbench.methods.attacks.membership import oracle_balanced_accuracy


def accuracy(shared_data, model, inputs):
    with np.load(shared_data / "golden" / f"yale_{model}.npz", allow_pickle=False) as data:
        scores = []
        for split in ("train", "test"):
            p, y = data[f"output_{split}_{inputs}"], data[f"{split}_label"]
            scores.append(p[np.arange(len(y)), y])
    return oracle_balanced_accuracy(*scores)


@pytest.mark.parametrize(
    ("model", "inputs", "published"),
    [
        ("natural", "benign", 0.5585306),
        ("robust", "benign", 0.6168687),
        ("robust", "adversarial", 0.6882562),
    ],
)
def test_published_attack_accuracy(shared_data, model, inputs, published):
    assert accuracy(shared_data, model, inputs) == pytest.approx(published, abs=1e-6)
