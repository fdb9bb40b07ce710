"""What a table says of learning rates that pilots chose, and that it never pairs two of them."""

import pytest

from tests.unit.summary.builder import CRESSWELL, method, record
from trustbench.errors import UserError
from trustbench.store.records import Pilot, Tried
from trustbench.summary.cards.card import card
from trustbench.summary.cards.card_text import markdown
from trustbench.summary.table.grouping import group_records
from trustbench.tracking.run_content import params

DP = method("dpsgd", epsilon=3.0)
AUTO = {"regime": "tuned", "epochs": 40, "lr": "auto", "lr_grid": [0.01, 0.1]}


def piloted(*methods, rate=0.1, seed=0, **more):
    tried = (Tried(rate=0.01, loss=0.5), Tried(rate=0.1, loss=0.25))
    pilot = Pilot(rate=rate, tried=tried, replicates=4, epochs=10)
    made = record(*methods, training=AUTO, seed=seed, **more)
    return made.model_copy(update={"pilot": pilot})


def test_one_note_says_what_was_chosen_from_what():
    [group] = group_records([piloted(), piloted(DP)])
    [note] = group.notes
    assert note == (
        "learning rate (tuned): 0.1, chosen from 0.01, 0.1 by a pilot of the baseline on "
        "validation rows; all arms share it, but for methods that bring their own."
    )
    assert group_records([record(), record(DP)])[0].notes == ()


def test_every_seed_may_have_its_own_rate():
    seeds = [
        piloted(*m, rate=r, seed=s) for s, r in enumerate((0.1, 0.01, 0.1)) for m in ((), (DP,))
    ]
    [group] = group_records(seeds)
    [note] = group.notes
    assert note.startswith("learning rate (tuned): 0.01 (seed 1), 0.1 (seeds 0, 2), chosen from")


def test_two_rates_are_never_paired():
    with pytest.raises(
        UserError, match=r"at learning rates 0\.01 and 0\.1, as two runs of the pil"
    ):
        group_records([piloted(), piloted(DP, rate=0.01)])
    with pytest.raises(UserError, match=r"\(tuned, seed 0\) were trained at learning rates"):
        group_records([piloted(), piloted(rate=0.01, ident="again")])


def test_a_record_says_how_its_rate_was_chosen_wherever_it_is_shown():
    made = piloted()
    assert type(made).model_validate_json(made.model_dump_json()) == made
    line = "0.1, chosen by a pilot (4 replicates, 10 epochs) for the lowest validation loss"
    shown = params(made)
    assert shown["training.lr_chosen"] == "0.1"
    assert shown["training.pilot"].startswith(line)
    text = markdown(card(made, {}, [made], CRESSWELL), CRESSWELL)
    assert f"- Learning rate: {line}" in text.replace("\\", "")
    assert not any("pilot" in key or "lr_chosen" in key for key in params(record()))
