"""Runs one arm or a sweep, from overrides to records."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trustbench import tracking
from trustbench.api.lookup import table_at
from trustbench.api.own_tables import keep_table
from trustbench.api.records import Records
from trustbench.api.sweeps import keep_manifest, publish, records_of, results_of
from trustbench.config.arm_labels import label_of
from trustbench.config.arms import Arm
from trustbench.config.compose import RunRequest, RunStart, hydra_run, quoted
from trustbench.errors import ConfigError, TrustbenchError, Unsupported, UserError, warn
from trustbench.execution import job
from trustbench.execution.job import ArmOutcome
from trustbench.execution.problems import problem_of
from trustbench.execution.progress import arm_progress
from trustbench.launching.fetching import with_records
from trustbench.store.manifests import manifest_digest
from trustbench.store.records import Store

if TYPE_CHECKING:
    import pandas as pd


def run(
    *overrides: str | Mapping[str, object],
    output_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
    config_dir: str | Path | None = None,
    multirun: bool = False,
    table: "pd.DataFrame | None" = None,
) -> Records:
    """Trains, measures and stores what the overrides describe; returns the records.

    `overrides` are those of `trustbench run`: `"dataset=adult"`, `"+experiment=dp_vs_fairness"`. A
    mapping stands for several, `{"dataset": "adult", "protocol.replicates": 4}`; its values are
    Python's, and text means what it means on the command line. `output_dir` is where records are
    written and searched, `data_dir` the location of data files, `config_dir` a folder with your own
    options; their defaults are those of the command line. `multirun` runs every combination of
    `key=a,b`; an experiment that lists its arms needs no flag. `table` is a DataFrame to use as the
    data, as `dataset=table` uses a file: its rows are kept in `output_dir`, where all processes
    read them, and what it holds is declared by overrides: `"dataset.target=approved"`.

    Finished results are not computed again. Each arm reports on standard error how it ended. An arm
    that fails does not affect the others, and its record says `status="failed"` and why.

    Raises:
        UserError: the configuration is wrong, or an arm was refused; the other arms are kept.
        Unsupported: a single arm cannot be measured; the message is the reason.
        TrustbenchError: an arm failed before it had a record.

    >>> arms = {"intervention": "none,dpsgd", "evaluator": ["utility", "fairness"]}
    >>> small = {"protocol.replicates": 4, "hydra/launcher": "basic"}
    >>> records = run(arms, small, multirun=True, output_dir="outputs")
    >>> [record.status for record in records]
    ['ok', 'ok']
    >>> run("dataset=digts")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    trustbench.errors.ConfigError: dataset=digts does not exist; did you mean 'digits'? ...
    """
    folders = {"output_dir": output_dir, "data_dir": data_dir}
    given = {k: Path(v).expanduser() for k, v in folders.items() if v is not None}
    words = list(_words(overrides))
    args = [*words, *_words([given])]
    if table is not None:
        where = given.get("output_dir") or _output_dir(words)
        path = keep_table(table, where.absolute())
        args = ["dataset=table", *_words([{"dataset.path": path}]), *args]
    flags = ["-m"] if multirun else []
    flags += ["--config-dir", str(config_dir)] if config_dir is not None else []
    done = hydra_run([*flags, *args], begin, work)
    assert done is not None, "no flag was given that only prints"
    request, outcomes = done
    records = _swept(request, outcomes) if request.sweep else _single(request, outcomes[0])
    _raise_for(outcomes)
    return records


def begin(request: RunRequest) -> RunStart:
    """Checks what all arms share, and creates what workers must not race to create.

    A single arm, or a sweep without a server, has no run on a server.
    """
    table_at(request.table, request.metrics)
    arm = request.first
    _check_own_data(request)
    try:
        arm.output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output_dir cannot be made ({error}); give another folder.") from error
    if not os.access(arm.output_dir, os.W_OK):
        raise ConfigError(f"output_dir {arm.output_dir} cannot be written to; give another folder.")
    manifest = manifest_digest(Store(arm.output_dir), request.experiment)
    request.warm_up()
    finished = _finished_before(request) if request.sweep else ()
    if finished:
        return RunStart(
            finished=finished, manifest=manifest
        )  # no upload is due, and connecting takes seconds
    try:
        run = tracking.prepare(
            Store(arm.output_dir), arm.tracking_uri, request.experiment, sweep=request.sweep
        )
    except tracking.TrackingError as error:
        warn(f"{error} Records are kept; `trustbench sync` uploads them later.")
        return RunStart(manifest=manifest)
    return RunStart(run, manifest=manifest)


def _check_own_data(request: RunRequest) -> None:
    """Reads each own file once, so that a fault is reported once and not by each arm.

    Prints what a careful reader of the data would ask about.

    Raises:
        DataError: a file cannot be used as it is declared.
    """
    told: dict[str, None] = {}
    for arm in request.arms.values():
        if arm.dataset.plugin.paths:
            told |= dict.fromkeys(problem_of(arm).warnings)
    for text in told:
        warn(text)


def _finished_before(request: RunRequest) -> tuple[ArmOutcome, ...]:
    """The arms' outcomes, if an earlier run finished this sweep and uploaded every record."""
    if not Store(request.first.output_dir).sweep_file(request.experiment).exists():
        return ()
    found = []
    for arm in request.arms.values():
        outcome = job.find_finished(arm)
        if outcome is None:
            return ()
        found.append(outcome)
    return tuple(found)


def work(arm: Arm) -> ArmOutcome:
    """Runs one arm, in the process that the launcher chose, and reports at once how it ended."""
    with arm_progress(label_of(arm), arm.protocol.replicates) as progress:
        outcome = job.run(arm, progress, progress.identified)
    print(outcome.line(), file=sys.stderr)  # noqa: T201
    for line in (outcome.warning or "").splitlines():
        warn(line)
    return outcome


def _swept(request: RunRequest, outcomes: Sequence[ArmOutcome]) -> Records:
    """The results of a sweep in the store, with its tables written beside them."""
    store = Store(request.first.output_dir)
    outcomes = with_records(outcomes, request.first.output_dir, request.first.tracking_uri)
    sweep = keep_manifest(request, outcomes)
    if any(o.status == "interrupted" for o in outcomes):
        raise KeyboardInterrupt
    kept = records_of(request, sweep) if sweep else []
    if sweep is not None and kept:
        try:
            for warning in publish(request, sweep, kept, results_of(request, sweep, kept)):
                warn(warning)
        except UserError as error:
            warn(f"no table: {error}")
    return Records(store, tuple(kept), sweep)


def _single(request: RunRequest, outcome: ArmOutcome) -> Records:
    store = Store(request.first.output_dir)
    record = store.read(outcome.arm_id) if outcome.arm_id else None
    if record is None and outcome.status == "unsupported":
        raise Unsupported(outcome.reason)
    chosen = tuple(k for k in outcome.evaluations if record is not None and k in record.evaluations)
    return Records(store, () if record is None else (record,), None, chosen=chosen)


def _raise_for(outcomes: Sequence[ArmOutcome]) -> None:
    """Raises for arms without a record of how they ended."""
    refused = [o for o in outcomes if o.user_error]
    if refused:
        raise UserError("\n".join(f"{o.label}: {o.reason}" for o in refused))
    lost = [o for o in outcomes if o.arm_id is None and o.status not in ("ok", "unsupported")]
    if lost:
        raise TrustbenchError("\n".join(f"{o.label} {o.status}: {o.first_line}" for o in lost))


def _output_dir(words: Sequence[str]) -> Path:
    """The folder that overrides name for results, else the default.

    >>> _output_dir(["dataset=table", "output_dir='/data/out'"])
    PosixPath('/data/out')
    """
    default = os.environ.get("TRUSTBENCH_OUTPUTS", "outputs")
    named = [w.partition("=")[2].strip("'\"") for w in words if w.startswith("output_dir=")]
    return Path([default, *named][-1]).expanduser()


def _words(overrides: Sequence[str | Mapping[str, object]]) -> Iterator[str]:
    """The overrides in the form of the command line."""
    for given in overrides:
        if isinstance(given, str):
            if given.startswith("-"):
                raise ConfigError(
                    f"{given} is a flag of the command line; run(...) takes key=value, and "
                    "multirun=True or config_dir=FOLDER beside them."
                )
            yield given
        else:
            yield from (f"{key}={_value(value)}" for key, value in given.items())


def _value(value: object) -> str:
    r"""A value in the grammar of overrides; text stays as it is, a path is quoted.

    >>> _value(None), _value(True), _value([1, "dpsgd"]), _value({"points": 60})
    ('null', 'true', '[1,dpsgd]', '{points:60}')
    >>> print(_value(Path("it's here")))
    'it\'s here'
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Path):
        return quoted(str(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_value, value)) + "]"
    return str(value)
