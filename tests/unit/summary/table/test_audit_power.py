"""What an audit says that it would detect, against what simulated audits detect."""

import numpy as np
import pytest

from tests.unit.summary.builder import CRESSWELL, full_table, method, record
from tests.unit.summary.render.test_single_arm import printed
from trustbench.summary.cards.card import card
from trustbench.summary.cards.card_text import markdown
from trustbench.summary.render.single_arm import single_arm
from trustbench.summary.stats.effects import paired_effect
from trustbench.summary.table.audit_power import audits, detectable, power_text
from trustbench.summary.table.table import summarize

STUDIES = 2000


@pytest.mark.parametrize(("replicates", "sd"), [(4, 0.03), (16, 0.02), (64, 0.05)])
def test_an_audit_detects_what_it_says_in_four_of_five_studies(replicates, sd):
    rng = np.random.default_rng([replicates, 1])
    spread = rng.normal(size=replicates)
    spread = sd * (spread - spread.mean()) / spread.std(ddof=1)
    smallest = detectable(paired_effect(0.5 + spread))
    assert smallest is not None
    studies = rng.normal(smallest, sd, size=(STUDIES, replicates))
    found = np.mean([paired_effect(values).low > 0.5 for values in studies])
    assert found == pytest.approx(0.8, abs=3 * np.sqrt(0.8 * 0.2 / STUDIES))


def test_dependent_replicates_detect_less_than_independent_ones():
    rec = record(replicates=16)
    privacy = rec.evaluations["privacy-s1"]
    plain = privacy.measurements["lira_auc"]
    centred = np.array(plain.values) - np.mean(plain.values)
    together = plain.model_copy(update={"shadowing": (0.5 * centred).tolist()})
    moved = privacy.model_copy(update={"measurements": {"lira_auc": together}})
    wider = rec.model_copy(update={"evaluations": {"privacy-s1": moved}})
    [(_, alone)], [(_, dependent)] = audits(rec), audits(wider)
    assert float(dependent.split(" of ")[1].split()[0]) > float(alone.split(" of ")[1].split()[0])


def test_nothing_is_promised_without_spread_or_beyond_an_auc_of_one():
    still, wild = (paired_effect(np.array(values)) for values in ([0.7] * 3, [0.1, 0.9]))
    assert detectable(still) is None
    assert "unknown, as its values do not vary" in str(power_text([(still, 14)]))
    assert "too small to detect any AUC at 14 shadows (n = 2" in str(power_text([(wild, 14)]))
    assert power_text([]) is None


def test_the_weakest_audit_speaks_for_several():
    sharp, blunt = (paired_effect(np.array([0.5, 0.5 + x, 0.5 - x])) for x in (0.01, 0.03))
    assert power_text([(sharp, 30), (blunt, 14)]) == power_text([(blunt, 14)])


def test_single_arm_card_and_table_print_the_power_of_the_privacy_audit():
    records = full_table()
    arm = next(r for r in records if r.arm.training["regime"] == "memorising" and not
               r.arm.interventions and r.arm.control == "none")  # fmt: skip
    [(metric, said)] = audits(arm)
    assert metric == "privacy/lira_auc"
    assert "at 14 shadows (n = 16, power 0.8, level 0.05)" in said
    assert f"Audit by {metric}: {said}" in " ".join(printed(single_arm(arm), 400).split())
    assert said in markdown(card(arm, {}, records, CRESSWELL), CRESSWELL).replace("\\", "")
    [result] = summarize(records, CRESSWELL)
    [note] = [n for n in result.notes if "would detect" in n]
    assert note.startswith(
        "privacy/lira_auc (memorising), in the weakest arm: this audit would detect"
    )


def test_a_record_without_an_audit_says_nothing_of_power():
    assert list(audits(record(method("dpsgd", epsilon=3.0), drop=("privacy",)))) == []
    assert list(audits(record(replicates=1))) == []
