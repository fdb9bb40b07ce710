"""Arms that were trained apart and agree in every replicate are pointed out."""

from tests.unit.summary.builder import record
from trustbench.summary.table.equal_arms import equal_notes


def trained(fit, **more):
    return record(ident=fit, **more).model_copy(update={"fit": fit})


def test_arms_of_two_fits_that_measure_the_same_are_named():
    same = [("a", trained("f1")), ("b", trained("f2"))]
    [note] = equal_notes([*same, ("c", trained("f3", shift={"fairness/acc_gap": 0.1}))])
    assert note.startswith("a and b were trained apart and are equal in every replicate of all ")
    assert "the files of the other" in note


def test_one_changed_replicate_or_one_shared_fit_is_no_warning():
    a, b = trained("f1"), trained("f2")
    evaluation = next(iter(b.evaluations.values()))
    some = next(iter(evaluation.measurements.values()))
    some.values[0] += 1e-12
    assert not list(equal_notes([("a", a), ("b", b)]))
    shared = trained("f1")
    assert not list(equal_notes([("a", a), ("lime", shared)]))
    assert not list(equal_notes([("a", a.model_copy(update={"evaluations": {}}))] * 2))
