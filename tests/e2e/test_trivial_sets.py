"""Sets that hold every label, from the command line: no cell claims an effect or its absence."""

import json

from trustbench.methods.conformal import rows_needed

RUN = (
    *("run", "-m", "hydra/launcher=basic", "intervention=none,conformal,mondrian"),
    *("intervention.conformal.alpha=0.001", "intervention.mondrian.alpha=0.001"),
    *("training=tuned,memorising", "training.epochs=12", "protocol.replicates=4"),
    "evaluator=[utility,set_size_gap,set_attack,released_sets,attacker_views,explaining_uncertainty]",
    *("evaluator.set_attack.points=20", "evaluator.set_attack.steps=1"),
    *("evaluator.attacker_views.points=60", "evaluator.attacker_views.iterations=2"),
    *("evaluator.explaining_uncertainty.points=5", "evaluator.explaining_uncertainty.samples=40"),
)


def test_alpha_below_what_126_rows_can_give_is_not_applicable_with_the_number(tb, tmp_path):
    """These cells printed `+0.000 no material effect`."""
    done = tb(*RUN, f"output_dir={tmp_path}")
    assert done.code == 0, done.err
    table = json.loads(tb("summarize", "--from", tmp_path, "--format", "json").out)
    cells = {(c["source"], c["target"]): c for c in table["cells"]}
    needed = (
        f"alpha=0.001 needs at least {rows_needed(0.001)} calibration rows, there are 126: every "
        "set holds every label"
    )
    concerned = [("uncertainty", t) for t in ("fairness", "privacy", "robustness")]
    concerned += [("uncertainty", t) for t in ("explainability", "uncertainty")]
    for place in (*concerned, ("fairness", "uncertainty")):
        cell = cells[place]
        assert cell["effect"] is None, place
        assert cell["verdict_kind"] == "not applicable", place
        assert needed in cell["reason"] or "999 are needed in each of" in cell["reason"], place
    assert "no effect" not in done.out.split("reseed control")[0].split("method")[-1]
    words = " ".join(done.out.split())
    for beside in ("gap_lac - gap_lac_permuted", "size_inflated_aps - size_clean_aps"):
        assert beside in words.split("Secondary metrics")[1], "listed, with the reason"
