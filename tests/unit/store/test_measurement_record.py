"""A stored measurement is the contract's, field by field."""

import dataclasses

import numpy as np

from trustbench.contracts import Measurement
from trustbench.store.records import MeasurementRecord

FULL = Measurement(
    "gap", np.array([0.25, 0.5]), False, "fraction", 7,
    lower=0.0, upper=1.0, diagnostic=True, pseudo=np.array([0.3, 0.4]), common_sd=0.1,
    shadowing=np.array([0.0, 0.1]), null="gap_permuted", permuted=np.float32([0.5, 0.25, 0.125]),
    trivial="at a bound",
)  # fmt: skip


def test_both_have_the_same_fields_in_the_same_order_and_the_same_defaults():
    _, *fields = dataclasses.fields(Measurement)  # the first is the name, which is the record's key
    stored = MeasurementRecord.model_fields
    assert [f.name for f in fields] == list(stored)
    for f in fields:
        required = f.default is dataclasses.MISSING
        assert required == stored[f.name].is_required()
        assert required or f.default == stored[f.name].default


def test_every_field_is_stored_and_read_back():
    stored = MeasurementRecord.of(FULL)
    for f in dataclasses.fields(Measurement)[1:]:
        given = getattr(FULL, f.name)
        assert given is not f.default, f"the test gives {f.name} no value of its own"
        np.testing.assert_array_equal(getattr(stored, f.name), given)
    assert MeasurementRecord.model_validate_json(stored.model_dump_json()) == stored
