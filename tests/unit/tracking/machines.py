"""What machines put on a tracking server."""

import numpy as np

from tests.unit.tracking.test_tracking import make_record
from trustbench import tracking
from trustbench.tracking import runs, server

FAIRNESS = "fairness-12345678"


def evaluations(*names):
    one = make_record().evaluations[FAIRNESS]
    return {
        f"{n}-12345678": one.model_copy(
            update={"evaluator": one.evaluator.model_copy(update={"name": n}), "arrays": ["right"]}
        )
        for n in names
    }


def finished(store, arm, *names, status="ok", seed=0):
    """A record of `names`, written with its arrays."""
    rng = np.random.default_rng(seed)
    record = make_record(arm, status=status, evaluations=evaluations(*names))
    arrays = {f"{n}-12345678/right": rng.random(3) for n in names}
    return store.write(record, {"logits": rng.random(3), **arrays})


def upload_of(store, uri, record, experiment="exp"):
    return tracking.log_record(store, uri, experiment, record)


def the_runs(store, uri, arm):
    made = server.TrackingServer(store, uri)
    return list(runs.search(made, runs.experiments(made), runs.of_arm(arm)))
