"""One arm, read from top to bottom: plan, fit, deploy, measure, record.

`execution/job.py` runs it such that its exceptions do not reach other arms.
"""

from collections.abc import Callable

from trustbench import tracking
from trustbench.config.arms import Arm
from trustbench.config.identity import evaluation_id
from trustbench.execution.deploy import deploy
from trustbench.execution.fit import WAITING, Progress, fit
from trustbench.execution.measure import begin, finish, measure, needs, share, stored
from trustbench.execution.other_systems import with_other_systems
from trustbench.execution.pilot import settle
from trustbench.execution.plan import Plan, plan, refuse_impossible
from trustbench.store.records import Record, Store


def run_arm(
    arm: Arm, store: Store, progress: Progress, planned: Callable[[Plan], object] = bool
) -> tuple[Record, bool]:
    """Returns the arm's record with every listed evaluation, and whether all of it existed before.

    All training happens before the first evaluator runs. What an earlier run finished is kept and
    each new evaluation is stored at once, so a kill loses at most the one in progress. Of two
    processes one computes and the other waits.

    Args:
        arm: what is trained and measured.
        store: the location of its record and its trained replicates.
        progress: receives the stage, and how much of it is done.
        planned: receives the plan once its id is known, before anything is refused.

    Raises:
        UserError: the data or the configuration is wrong.
        Unsupported: the parts of the arm do not fit each other; the message is the reason.
        TrainingDiverged: a replicate stopped being finite.
        StorageError: something cannot be written; what is stored is intact.
    """
    made = settle(plan(arm), store, progress)
    planned(made)
    refuse_impossible(made)
    tracking.bring(store, arm.tracking_uri, made.arm_id, [evaluation_id(e) for e in arm.evaluators])
    with store.exclusive(made.arm_id, lambda: progress(WAITING, 0, 1)):
        found = stored(made, store)
        if found is not None:
            return found, True
        begun = begin(made, store)
        trained = fit(made, store, progress)
        system, changed = deploy(made, trained, store, progress)
        shared = share(begun, changed)
        system = with_other_systems(system, made, needs(begun, shared, system), store, progress)
        measure(begun, shared, system, progress)
        return finish(begun, system), False
