"""One arm as a job: it never raises, so one arm's failure never costs another its result."""

import os
import time
import traceback
from dataclasses import dataclass

import torch

from trustbench import runner, tracking
from trustbench.arms import Arm
from trustbench.errors import (
    StorageError,
    TrainingDiverged,
    TrustbenchError,
    Unsupported,
    UserError,
)
from trustbench.fitting import Progress
from trustbench.identity import evaluation_id
from trustbench.planning import Plan, plan, refuse_impossible
from trustbench.records import Record, Status, Store


@dataclass(frozen=True)
class Outcome:
    """What became of an arm, for the sweep's closing list and its exit code."""

    arm_id: str | None
    label: str
    status: str  # ok | failed | unsupported | refused
    reason: str | None = None
    evaluations: tuple[str, ...] = ()
    seconds: float = 0.0
    reused: bool = False
    warning: str | None = None

    @property
    def user_error(self) -> bool:
        """Whether the arm was refused because its input is wrong (exit code 2)."""
        return self.status == "refused"


def run(arm: Arm, progress: Progress) -> Outcome:
    """Runs an arm, writes its record, then tells the tracking server; never raises an Exception."""
    started = time.monotonic()
    notes: list[str] = []
    store = Store(arm.output_dir, warn=notes.append)
    planned: Plan | None = None
    record: Record | None = None
    reused = False
    error: BaseException | None = None
    status: Status | str = "ok"
    try:
        prepare_torch(arm)
        planned = plan(arm)
        refuse_impossible(planned)
        record, reused = runner.run(planned, store, progress)
        if not reused:
            notes += _track(arm, store, record)
    except UserError as e:
        status, error = "refused", e
    except Unsupported as e:
        status, error = "unsupported", e
    except TrustbenchError as e:
        status, error = "failed", e
    except (Exception, SystemExit) as e:  # noqa: BLE001  # the one broad except: around an arm
        status, error = "failed", e
        traceback.print_exc()
    # A finished record is never overwritten by what went wrong after it.
    if error is not None and planned is not None and record is None and status != "refused":
        notes += _record_failure(planned, store, str(status), error)
    return Outcome(
        arm_id=planned.arm_id if planned else None,
        label=label(arm),
        status=str(status),
        reason=None if error is None else _sentence(error),
        evaluations=tuple(evaluation_id(e) for e in arm.evaluators),
        seconds=time.monotonic() - started,
        reused=reused,
        warning="\n".join(dict.fromkeys(notes)) or None,
    )


def label(arm: Arm) -> str:
    """A short name for people: interventions with their dose, control, regime."""
    parts = []
    for chosen in arm.interventions:
        dose = chosen.spec().dose
        parts.append(
            " ".join([chosen.name, *(f"{k}={v}" for k, v in dose.items() if v is not None)])
        )
    text = " + ".join(parts) or "none"
    notes = [n for n in (arm.control, arm.training.regime) if n not in ("none", "tuned")]
    return f"{text} ({', '.join(notes)})" if notes else text


def prepare_torch(arm: Arm) -> None:
    """Threads and determinism of this process; results are bit-identical on one CPU thread."""
    torch.set_num_threads(arm.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def _track(arm: Arm, store: Store, record: Record) -> list[str]:
    """Tells the tracking server; why it does not have the record yet, or nothing."""
    try:
        tracking.log_record(store, arm.tracking_uri, arm.experiment, record, parent=arm.sweep_run)
    except tracking.TrackingError as e:
        return [f"{e} The record is kept; `trustbench sync` uploads it later."]
    return []


def _record_failure(planned: Plan, store: Store, status: str, error: BaseException) -> list[str]:
    """Writes and tracks the record of an arm that has no full set of measurements.

    Where even that cannot be written (a full disk), the arm stays as it was and is tried again.
    """
    expected = isinstance(error, TrustbenchError)
    try:
        record = runner.record_failure(
            planned,
            store,
            "unsupported" if status == "unsupported" else "failed",
            _sentence(error),
            None if expected else "".join(traceback.format_exception(error)),
            {"diverged": len(error.failed)} if isinstance(error, TrainingDiverged) else None,
        )
    except StorageError as second:
        return [] if isinstance(error, StorageError) else [str(second)]
    return _track(planned.arm, store, record)


def _sentence(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return text if isinstance(error, TrustbenchError) else f"{type(error).__name__}: {text}"
