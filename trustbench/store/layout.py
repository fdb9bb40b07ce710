"""Where everything in an outputs folder lies; the only module that builds paths.

outputs/
├── arms/<arm id>/record.json, arrays.npz      everything one arm produced
├── fits/<fit id>/fit.json, *.safetensors      trained replicates, shared by arms
├── pilots/<pilot id>/pilot.json               how training.lr=auto chose, shared by arms
│   in all three: lock                         held by the process that works there
│            journal                           what was computed there, when, by which process
├── sweeps/<experiment>.json                   which arms the last sweep of an experiment asked for
├── signed/<experiment>.json                   what `trustbench sign` wrote
├── audits/<audit id>/audit.json               everything one audit produced
├── given/<digest>.parquet                     tables that were given as DataFrames
├── tables/<experiment>-<dataset>-<model>.{md,csv,json,tex,png}
├── refits/                                    a store of models trained again for export
└── mlflow.db, mlflow-artifacts/
"""

import platform
from pathlib import Path

from trustbench.store.files import inside

GIVEN = "given"
"""The folder of tables that were given as DataFrames, each named after its digest."""


class Layout:
    """The paths below an outputs folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def arm_dir(self, arm: str) -> Path:
        """The folder of an arm."""
        return inside(self.root / "arms", arm)

    def fit_dir(self, fit: str) -> Path:
        """The folder of trained replicates."""
        return inside(self.root / "fits", fit)

    def pilot_dir(self, pilot: str) -> Path:
        """The folder of a pilot that chooses a learning rate."""
        return inside(self.root / "pilots", pilot)

    def sweep_file(self, experiment: str) -> Path:
        """The manifest of an experiment's last sweep."""
        return inside(self.root / "sweeps", f"{experiment}.json")

    def signature_file(self, experiment: str) -> Path:
        """The signature over an experiment's last sweep, its records and its tables."""
        return inside(self.root / "signed", f"{experiment}.json")

    def inside(self, name: str) -> Path:
        """The path of a file that a signature names."""
        return inside(self.root, name)

    def table_file(self, experiment: str, suffix: str) -> Path:
        """The path of a rendered table."""
        return inside(self.root / "tables", f"{experiment}.{suffix}")

    @property
    def used(self) -> bool:
        """Whether an arm was ever started here."""
        return (self.root / "arms").is_dir()

    def given_table(self, digest: str) -> Path:
        """The user's own table that was given as a DataFrame with this digest."""
        return inside(self.root / GIVEN, f"{digest}.parquet")

    def log_file(self, arm: str) -> Path:
        """The output of the processes of an arm, one attempt after another."""
        return self.arm_dir(arm) / "log.txt"

    def early_log(self, process: int) -> Path:
        """The output of an arm's process before the arm's id is known."""
        # process ids are unique on one machine only, and machines may share the folder
        return self.root / "logs" / f"starting-{platform.node()}-{process}.txt"

    @property
    def jobs(self) -> Path:
        """The jobs handed to SLURM, and their output."""
        return self.root / "jobs"

    @property
    def tracking_db(self) -> Path:
        """The default MLflow database."""
        return self.root / "mlflow.db"

    @property
    def tracking_artifacts(self) -> Path:
        """The default MLflow artifact folder."""
        return self.root / "mlflow-artifacts"

    @property
    def tracking_silent(self) -> Path:
        """A marker that the tracking server is silent, until it answers again."""
        return self.root / ".tracking-silent"

    @property
    def tracking_error(self) -> Path:
        """The full text of the last reason that was too long for a warning."""
        return self.root / "tracking-error.txt"

    def tracked_file(self, arm: str) -> Path:
        """Which content of an arm's record the tracking server has, and which server."""
        return self.arm_dir(arm) / "tracked"

    def tracked_sweep_file(self, experiment: str) -> Path:
        """Which manifest and tables of an experiment the tracking server has, and which server."""
        return inside(self.root / "sweeps", f"{experiment}.tracked")
