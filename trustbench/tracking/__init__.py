"""Transfers records to MLflow and back; the only importer of mlflow.

The record on disk is the truth and is written first. Here a finished record becomes one run with
the record and its arrays as artifacts. A table can therefore be rebuilt from a server, and a
machine without the disk finds what another machine has finished.

database.py  a database in a file: made once, and whole
server.py    an address: reaching it, asking it, what its errors mean
models.py    exported models -> MLflow models, and the registry
runs.py      which runs there are: searches, and who uploads them
upload.py    records and sweeps -> server
download.py  server -> records and sweeps
audits.py    audits of given models -> server, and back
reaping.py   runs whose uploader died

dataset_input.py and evaluation_tables.py are what MLflow shows of a run's data and groups.
"""

from trustbench.tracking.audits import fetch_audits, log_audit, logged_audits
from trustbench.tracking.download import (
    bring,
    fetch_arrays,
    fetch_records,
    fetch_sweep,
    fetch_sweeps,
)
from trustbench.tracking.models import ModelEvidence, SignatureSample, register, write_model
from trustbench.tracking.reaping import UnfinishedRun, reap, unfinished
from trustbench.tracking.server import TrackingError, is_own_database, resolve, shown
from trustbench.tracking.upload import (
    log_record,
    log_sweep,
    logged,
    prepare,
    sweep_uploaded,
    uploaded,
)

__all__ = [
    "ModelEvidence",
    "SignatureSample",
    "TrackingError",
    "UnfinishedRun",
    "bring",
    "fetch_arrays",
    "fetch_audits",
    "fetch_records",
    "fetch_sweep",
    "fetch_sweeps",
    "is_own_database",
    "log_audit",
    "log_record",
    "log_sweep",
    "logged",
    "logged_audits",
    "prepare",
    "reap",
    "register",
    "resolve",
    "shown",
    "sweep_uploaded",
    "unfinished",
    "uploaded",
    "write_model",
]
