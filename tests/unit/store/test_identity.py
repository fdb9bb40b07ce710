"""A record is named by its content: the arm, the data, the pilot's rate, and each evaluation."""

import pytest

from tests.unit.summary.builder import record, truly_named
from trustbench.store.identity import arm_content, digest, wrong_name
from trustbench.store.schema import Pilot

MADE = truly_named(record())


def changed(**update):
    return MADE.model_copy(update=update)


def test_the_names_of_a_whole_record_fit():
    assert wrong_name(MADE) is None


def test_a_record_without_data_names_nothing():
    assert wrong_name(changed(problem=None)) == "it does not say which data it is about"


@pytest.mark.parametrize("reseeds", [0, 2])
def test_only_the_arms_own_draw_has_a_record(reseeds):
    content = arm_content(
        MADE.arm, MADE.problem.fingerprint, reseeds=reseeds, part="replicates", rate=None
    )
    other = digest(content)
    assert wrong_name(changed(id=other)) == f"it describes arm {MADE.id}, not {other}"


def test_the_rate_that_a_pilot_chose_is_part_of_the_name():
    pilot = Pilot(rate=0.25, tried=(), replicates=2, epochs=3)
    said = wrong_name(changed(pilot=pilot))
    content = arm_content(
        MADE.arm, MADE.problem.fingerprint, reseeds=1, part="replicates", rate=0.25
    )
    assert said == f"it describes arm {digest(content)}, not {MADE.id}"
    assert wrong_name(changed(pilot=pilot, id=digest(content))) is None


def test_the_first_evaluation_of_another_name_is_told():
    kept, *moved = MADE.evaluations.values()
    (key, *_) = MADE.evaluations
    found = {key: kept, **{f"other-{k}": e for k, e in enumerate(moved)}}
    assert wrong_name(changed(evaluations=found)) == (
        "its evaluation other-0 is of another evaluator or other settings"
    )
    one = {key: kept, "other-0": moved[0]}
    assert "other-0" in wrong_name(changed(evaluations=one))


def test_content_that_no_json_can_hold_has_no_digest():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest({"rate": float("nan")})
