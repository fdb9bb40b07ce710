"""A training that diverges is one sentence and a failed arm; the other arms go on."""

from trustbench.store.records import Store

RUN = (
    *("run", "-m", "hydra/launcher=basic", "training.epochs=2", "protocol.replicates=2"),
    *("evaluator=[utility,discrepancy_attack]", "training.lr=1e35", "intervention=none,dpsgd"),
    *("intervention.dpsgd.epochs=2", "intervention.dpsgd.epsilon=20"),
)


def test_a_diverged_arm_fails_in_one_sentence_and_the_others_go_on(tb, tmp_path):
    """DP-SGD has a learning rate of its own; one of its evaluators needs the baseline."""
    done = tb(*RUN, f"output_dir={tmp_path}")
    assert done.code == 1, done.err
    assert "Traceback" not in done.err
    said = (
        "2 of 2 replicates diverged (a validation loss that is not finite in epoch 1; replicates: "
        "all); give a training.lr below 1e+35."
    )
    assert said in done.err
    records = {len(r.arm.interventions): r for r in Store(tmp_path).records()}
    assert (records[0].status, records[0].reason) == ("failed", said)
    assert (records[0].traceback, records[0].facts["diverged"]) == (None, 2)
    assert records[1].status == "ok"
    by_name = {e.evaluator.name: e for e in records[1].evaluations.values()}
    assert by_name["utility"].status == "ok"
    assert by_name["discrepancy_attack"].reason == f"needs the baseline, of which {said}"
    assert f"failed (2 of 2): the baseline arm (intervention=none): {said}" in " ".join(
        done.out.split()
    )
