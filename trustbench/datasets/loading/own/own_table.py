"""Any file of rows, with a column to predict: what dataset=table and an audit read alike."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from typing_extensions import override

from trustbench.contracts import Dataset, Problem, Read
from trustbench.contracts.seeding import Streams
from trustbench.datasets.loading.files import digest
from trustbench.datasets.loading.frames import Frame, Reading, read_frame
from trustbench.datasets.loading.own.declared import DeclaredTable
from trustbench.datasets.loading.own.names import expanded
from trustbench.datasets.loading.own.prepare import Prepared, prepare
from trustbench.datasets.loading.own.settings import TableError
from trustbench.datasets.loading.own.values import as_written
from trustbench.datasets.loading.tabular import POOL_STATISTICS
from trustbench.errors import DataError
from trustbench.methods.causal.problems import LEARNT

DECLARED = (
    "with dataset.scaling=declared, and the range or levels of each column in dataset.columns, "
    "nothing is learnt from these rows"
)
"""What voids no claim in the place of scales learnt from the training pool."""


@dataclass(frozen=True)
class OwnTable(DeclaredTable, Dataset):
    """The class in column `target` from the other columns of a file, for the groups of `sensitive`.

    `path` is a file: relative to the working folder, or else to `data_dir`. `schema` is a YAML file
    with any of these settings, as `trustbench data check` writes it; what is given beside it wins.
    `reading` is how the file is read; null is sniffed.

    A number is standardised; a column of two values or of words becomes one input for each level,
    where levels with fewer than `min_level` training rows, and those beyond the `max_levels` most
    frequent, are one. `columns` declares what a column is where that is not right, `drop` what is
    not an input, `embedding` the columns that mean something only together. `missing` values are a
    level of their own or get an indicator (own), the median or most frequent level of the training
    rows (impute), or are refused. With `scaling` declared nothing is learnt from rows: a number is
    scaled to [-1, 1] by its declared bounds, a category has its declared levels, every column has
    room for a missing value unless they are refused, and no group is merged. Sensitive columns may
    be dropped from the inputs; their levels, combined, are the groups, and those below `min_group`
    rows are merged. People cannot change `immutable` and sensitive columns, or anything but the
    `actionable` ones.

    `graph` is a causal graph of the inputs, {effect: [its direct causes]}, with the sensitive ones
    among them. The causal model on it is learnt from the training rows: `functions` are networks of
    one layer, or linear.

    `leakage` says what happens if a column is nearly the target, or copies of a row are in two
    parts of the split.
    """

    path: str | None = None
    schema: str | None = None
    reading: Reading = field(default_factory=Reading)

    version: ClassVar[int] = 1
    reference: ClassVar[str] = "the user's own table"
    reads_rows: ClassVar = (
        replace(POOL_STATISTICS, instead=DECLARED),
        Read(
            "pool",
            "frequent levels, medians and the sizes of groups",
            into="inputs",
            instead=DECLARED,
        ),
    )
    paths: ClassVar[frozenset[str]] = frozenset({"path", "schema"})
    settings_file: ClassVar[str | None] = "schema"

    @override
    def declares(self) -> tuple[Read, ...] | None:
        learnt = () if self.scaling == "declared" else self.reads_rows
        return (*learnt, LEARNT) if self.graph else learnt

    @override
    def load(self, data_dir: Path, streams: Streams) -> Problem:
        return self.prepared(data_dir, streams).problem

    @override
    def state(self, data_dir: Path) -> str:
        found = self.locate(data_dir).stat()
        return f"{found.st_size} {found.st_mtime_ns}"

    def prepared(self, data_dir: Path, streams: Streams, frame: Frame | None = None) -> Prepared:
        """The problem, with all that was understood on the way to it.

        `frame` is the table, if it has been read.

        Raises:
            DataError: the file is absent, cannot be read, or does not fit what is declared.
        """
        path = self.locate(data_dir)
        frame = frame or self.read(data_dir)
        needed = {str(c) for c in frame.table.columns} | frame.doubts.keys()
        frame.refuse_doubts(needed - {*expanded(frame.table, "dataset.drop", self.drop)})
        origin = f"{path.name} (sha256 {digest(path)[:12]})"
        table = as_written(frame.table, frame.understood.booleans)
        return prepare(table, self, origin, streams)

    def read(self, data_dir: Path) -> Frame:
        """The table with the types of its columns, and why they were chosen.

        Raises:
            DataError: the file is absent or cannot be read.
        """
        try:
            return read_frame(self.locate(data_dir), self.reading)
        except DataError as error:
            raise TableError(str(error).rstrip(".")) from error

    def locate(self, data_dir: Path) -> Path:
        """Finds the file; raises DataError if none is given, or it is absent."""
        if self.path is None:
            raise TableError("no file is given; name yours with dataset.path=FILE")
        given = Path(self.path).expanduser()
        places = [given] if given.is_absolute() else [Path.cwd() / given, data_dir / given]
        for place in places:
            if place.is_file():
                return place
        raise TableError(f"there is no file {' nor '.join(map(str, places))}; correct dataset.path")
