"""One arm as a job: it never raises, so a failure never costs another arm its result."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from threadpoolctl import threadpool_limits

from trustbench import tracking
from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.config.identity import evaluation_id
from trustbench.errors import (
    StorageError,
    TrainingDiverged,
    TrustbenchError,
    Unsupported,
    UserError,
)
from trustbench.execution.arm import run_arm
from trustbench.execution.fit import Progress
from trustbench.execution.measure import finished
from trustbench.execution.pilot import settled
from trustbench.execution.plan import Plan, plan, resolve_device
from trustbench.execution.record import impossible, record_failure
from trustbench.store.records import Record, Status, Store
from trustbench.store.redaction import redact
from trustbench.training.memory import LIMITS, lacks_memory


@dataclass(frozen=True)
class ArmOutcome:
    """The result of an arm, for the sweep's closing list and its exit code."""

    arm_id: str | None
    label: str
    status: str  # ok | failed | timeout | unsupported | refused | skipped | interrupted
    reason: str | None = None
    evaluations: tuple[str, ...] = ()
    seconds: float = 0.0
    reused: bool = False
    warning: str | None = None
    log: str | None = None
    """The file with the output of its processes, if it may explain a failure."""

    @property
    def status_text(self) -> str:
        """The status as worded in the closing list."""
        return "kept" if self.reused else self.status

    @property
    def first_line(self) -> str:
        """The first line of the error, and where to read more; empty without either."""
        reason = (self.reason or "").strip().split("\n")[0]
        return f"{reason} (log: {self.log})" if self.log else reason

    def line(self) -> str:
        """How the arm ended, in one line."""
        why = f": {self.first_line}" if self.first_line else ""
        return f"{self.status_text:<11} {self.seconds:7.1f} s  {self.label}{why}"

    def warnings(self) -> list[str]:
        """Problems that did not affect the arm, one per line."""
        return [f"trustbench: warning: {text}" for text in (self.warning or "").splitlines()]

    @property
    def user_error(self) -> bool:
        """Whether the arm was refused because its input is wrong (exit code 2)."""
        return self.status == "refused"


def run(arm: Arm, progress: Progress, identified: Callable[[str], object] = str) -> ArmOutcome:
    """Runs an arm, writes its record, then tells the tracking server; never raises an Exception.

    `identified` receives the arm's id, once its data has been read and its pilot, if any, has
    chosen the learning rate.
    """
    started = time.monotonic()
    notes: list[str] = []
    store = Store(arm.output_dir, warn=notes.append)
    planned: Plan | None = None
    record: Record | None = None
    reused = False
    error: BaseException | None = None
    status: Status | str = "ok"

    def known(made: Plan) -> None:
        nonlocal planned
        planned = made
        identified(made.arm_id)

    try:
        prepare_torch(arm)
        record, reused = run_arm(arm, store, progress, known)
        if not (reused and tracking.uploaded(store, arm.tracking_uri, record)):
            notes += _track(arm, store, record)
    except UserError as e:
        status, error = "refused", e
    except Unsupported as e:
        status, error = "unsupported", e
    except TrustbenchError as e:
        status, error = "failed", e
    except (Exception, SystemExit) as e:  # noqa: BLE001  # the one broad except: around an arm
        status, error = "failed", e
        print(redact(traceback.format_exc()), end="", file=sys.stderr)  # noqa: T201
    # A finished record is never overwritten by a later failure.
    if error is not None and planned is not None and record is None:
        notes += _record_failure(planned, store, str(status), error)
    return ArmOutcome(
        arm_id=planned.arm_id if planned else None,
        label=label_of(arm),
        status=str(status),
        reason=None if error is None else _sentence(error),
        evaluations=tuple(evaluation_id(e) for e in arm.evaluators),
        seconds=time.monotonic() - started,
        reused=reused,
        warning="\n".join(dict.fromkeys(notes)) or None,
    )


def find_finished(arm: Arm) -> ArmOutcome | None:
    """The outcome of an arm that an earlier run has finished and uploaded, else None.

    An arm whose parts do not fit each other is finished once its record says so. Any other problem
    is left for the run to report.
    """
    started = time.monotonic()
    try:
        store = Store(arm.output_dir, warn=list[str]().append)
        if not store.used:
            return None
        planned = settled(plan(arm), store)
        record = (finished(planned, store) or impossible(planned, store)) if planned else None
        if (
            planned is None
            or record is None
            or not tracking.uploaded(store, arm.tracking_uri, record)
        ):
            return None
    except (Exception, SystemExit):  # noqa: BLE001  # around an arm, as in `run`
        return None
    return ArmOutcome(
        arm_id=planned.arm_id,
        label=label_of(arm),
        status=record.status,
        reason=record.reason,
        evaluations=tuple(evaluation_id(e) for e in arm.evaluators),
        seconds=time.monotonic() - started,
        reused=record.status == "ok",
    )


def record_death(
    arm: Arm,
    reason: str,
    arm_id: str | None = None,
    status: Literal["failed", "timeout"] = "failed",
    seconds: float = 0.0,
) -> ArmOutcome:
    """Completes and tracks the record of an arm whose process died.

    Without `arm_id` the process died before there was a record. The content of the record is kept.
    A finished record is not changed, and neither is one that another process works on.
    """
    notes: list[str] = []
    store = Store(arm.output_dir, warn=notes.append)
    outcome = unfinished(arm, status, reason, arm_id, seconds)
    if arm_id is not None:
        try:
            with store.exclusive(arm_id, waiting=_raise_busy):
                known = store.read(arm_id)
                if known is not None and known.status == "ok":
                    notes.append("its process died after the record was written.")
                    outcome = replace(outcome, status="ok", reason=None)
                elif known is not None:
                    changed = {"status": status, "reason": reason, "traceback": None}
                    notes += _track(arm, store, store.write(known.model_copy(update=changed)))
        except _Busy:
            pass
        except StorageError as error:
            notes.append(str(error))
    return replace(outcome, warning="\n".join(dict.fromkeys(notes)) or None)


class _Busy(Exception):  # another process works on the arm
    pass


def _raise_busy() -> None:
    raise _Busy


def unfinished(
    arm: Arm, status: str, reason: str, arm_id: str | None = None, seconds: float = 0.0
) -> ArmOutcome:
    """The outcome of an arm that was not started, or did not end."""
    return ArmOutcome(
        arm_id=arm_id,
        label=label_of(arm),
        status=status,
        reason=reason,
        evaluations=tuple(evaluation_id(e) for e in arm.evaluators),
        seconds=seconds,
    )


def prepare_torch(arm: Arm) -> None:
    """Sets threads, memory and determinism of this process.

    Results are bit-identical on one CPU thread. On a GPU they repeat if `deterministic` is set;
    cuBLAS reads its setting when CUDA starts.
    """
    LIMITS.start(arm.activation_gb)
    torch.set_num_threads(arm.threads)
    threadpool_limits(arm.threads)  # libraries of numpy and scikit-learn
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    repeats = arm.deterministic and resolve_device(arm.device).type == "cuda"
    torch.use_deterministic_algorithms(repeats)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.deterministic = repeats
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def upload(arm: Arm, arm_id: str) -> list[str]:
    """Uploads the record of an arm whose own process does not; as in `_track`."""
    store = Store(arm.output_dir, warn=list[str]().append)
    record = store.read(arm_id)
    if record is None or tracking.uploaded(store, arm.tracking_uri, record):
        return []
    return _track(arm, store, record)


def _track(arm: Arm, store: Store, record: Record) -> list[str]:
    """Updates the tracking server. Returns why it still lacks the record, if it does."""
    if not arm.uploads:
        return []
    try:
        tracking.log_record(
            store,
            arm.tracking_uri,
            arm.experiment,
            record,
            parent=arm.sweep_run,
            label=label_of(arm),
            declared=arm.metrics,
        )
    except tracking.TrackingError as e:
        kept = f"{e} The record is kept; `trustbench sync` uploads it later."
        return [] if e.repeated else [kept]
    return []


def _record_failure(planned: Plan, store: Store, status: str, error: BaseException) -> list[str]:
    """Writes and tracks the record of an arm without a full set of measurements.

    An arm that was refused before it began gets no record. One that had begun must not stay
    `started`, as if it still ran. If even that cannot be written (a full disk), the arm stays as it
    was and is tried again.
    """
    if status == "refused" and not _begun(store, planned.arm_id):
        return []
    expected = isinstance(error, TrustbenchError)
    try:
        record = record_failure(
            planned,
            store,
            "unsupported" if status == "unsupported" else "failed",
            _sentence(error),
            None if expected else redact("".join(traceback.format_exception(error))),
            {"diverged": len(error.failed)} if isinstance(error, TrainingDiverged) else None,
        )
    except StorageError as second:
        return [] if isinstance(error, StorageError) else [str(second)]
    return _track(planned.arm, store, record)


def _begun(store: Store, arm_id: str) -> bool:
    record = store.read(arm_id)
    return record is not None and record.status == "started"


def _sentence(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    if lacks_memory(error):
        return redact(f"it ran out of memory ({type(error).__name__}: {text})")
    if "does not have a deterministic implementation" in text:
        advice = "deterministic=false permits an operation whose last digits differ each time"
        return redact(f"a GPU cannot repeat this model's numbers; {advice} ({text})")
    return redact(text if isinstance(error, TrustbenchError) else f"{type(error).__name__}: {text}")
