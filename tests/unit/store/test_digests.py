"""The digest changes with any value of a record or its arrays, and with nothing else."""

import numpy as np
import pytest

from tests.unit.summary.builder import record
from trustbench.store.digests import values_digest

ARRAYS = {"logits": np.arange(6.0).reshape(2, 3), "privacy-1/scores": np.ones(4, dtype=np.float32)}
RECORD = record()


def changed(**update):
    return RECORD.model_copy(update=update)


def measured(key, **update):
    evaluation = RECORD.evaluations[key]
    name, value = next(iter(evaluation.measurements.items()))
    measurements = {**evaluation.measurements, name: value.model_copy(update=update)}
    new = evaluation.model_copy(update={"measurements": measurements})
    return changed(evaluations={**RECORD.evaluations, key: new})


KEY = next(k for k, e in RECORD.evaluations.items() if e.measurements)


def test_timing_environment_and_order_are_no_values():
    slower = {k: e.model_copy(update={"seconds": 9.5}) for k, e in RECORD.evaluations.items()}
    other = changed(
        seconds=77.0,
        facts={**RECORD.facts, "train_seconds": 3.25},
        environment={"platform": "another"},
        evaluations=dict(reversed(slower.items())),
    )
    before = values_digest(RECORD, ARRAYS)
    assert values_digest(other, dict(reversed(ARRAYS.items()))) == before


def last_bit():
    values = next(iter(RECORD.evaluations[KEY].measurements.values())).values
    return [float(np.nextafter(values[0], np.inf)), *values[1:]]


@pytest.mark.parametrize(
    "other",
    [
        measured(KEY, values=last_bit()),
        measured(KEY, pseudo=[0.0, 1.0]),
        measured(KEY, n=1),
        changed(facts={**RECORD.facts, "epsilon": 2.5}),
        changed(status="failed"),
        changed(evaluations={}),
        changed(id="another"),
    ],
    ids=["last bit", "pseudo", "n", "fact", "status", "evaluations", "id"],
)
def test_any_value_changes_it(other):
    assert values_digest(other, ARRAYS) != values_digest(RECORD, ARRAYS)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {**ARRAYS, "logits": ARRAYS["logits"].T},
        {**ARRAYS, "logits": ARRAYS["logits"].reshape(3, 2)},
        {**ARRAYS, "logits": ARRAYS["logits"].astype(np.float32)},
        {"other": ARRAYS["logits"], "privacy-1/scores": ARRAYS["privacy-1/scores"]},
        {**ARRAYS, "logits": np.nextafter(ARRAYS["logits"], 9.0)},
    ],
    ids=["none", "order of items", "shape", "type", "name", "last bit"],
)
def test_any_array_changes_it(arrays):
    assert values_digest(RECORD, arrays) != values_digest(RECORD, ARRAYS)


def test_a_record_that_no_json_can_hold_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        values_digest(changed(facts={**RECORD.facts, "epsilon": float("nan")}), ARRAYS)
