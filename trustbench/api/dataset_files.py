"""Lists, downloads and checks the files of datasets, for `trustbench data`."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from trustbench.config.plugins import build, discover
from trustbench.config.yaml_file import read_yaml
from trustbench.contracts import Dataset
from trustbench.datasets.loading.download import download
from trustbench.datasets.loading.files import FileDataset, FileState
from trustbench.datasets.loading.torchvision_sets import TorchvisionDataset
from trustbench.errors import DataError, did_you_mean

EMBEDDED = "embedded"
OWN = "your own"


class DataState(NamedTuple):
    """A dataset: `embedded` (it needs no file), `present`, `incomplete` or `missing`.

    `your own`: a setting names the file.
    """

    name: str
    state: str
    files: tuple[FileState, ...]


def datasets(conf_dirs: Iterable[Path], modules: Iterable[str] = ()) -> dict[str, Dataset]:
    """Every dataset that has a YAML file, {name: dataset with the file's settings}, sorted.

    `modules` are modules outside trustbench whose classes the files may name.
    """
    found = {}
    for name, path in discover("dataset", conf_dirs).items():
        node = read_yaml(path, "the option")
        made = build("dataset", name, node, f"dataset {name}", tuple(modules))
        assert isinstance(made, Dataset)
        found[name] = made
    return found


def list_data(data_dir: Path, known: Mapping[str, Dataset]) -> list[DataState]:
    """The state of every dataset below `data_dir`; opens no file."""
    return [_state(name, dataset, data_dir, verify=False) for name, dataset in known.items()]


def check(name: str, data_dir: Path, known: Mapping[str, Dataset]) -> DataState:
    """The state of one dataset; reads its files and compares their checksums.

    A file that differs still loads: its fingerprint then keeps its numbers apart.

    Raises:
        DataError: the name is unknown.
    """
    return _state(name, _known(name, known), data_dir, verify=True)


def fetch(
    name: str, data_dir: Path, known: Mapping[str, Dataset], mirror: str | None = None
) -> list[Path]:
    """Downloads the missing files of a dataset into `data_dir/<its folder>`; returns its files.

    Every file is downloaded to a temporary file, compared with its declared checksum, and only then
    moved into place. An existing file that differs is replaced. `mirror` is another address with
    the same last part of the path (not for the sets that torchvision downloads).

    Raises:
        DataError: unknown name, no address, no network, a broken or unsafe file; one sentence.
    """
    dataset = _known(name, known)
    if isinstance(dataset, TorchvisionDataset):
        return [dataset.download(data_dir)]
    if not isinstance(dataset, FileDataset):
        return []
    states = dataset.states(data_dir, verify=True)
    needed = tuple(
        file
        for file, found in zip(dataset.files, states, strict=True)
        if found.state == "missing" or found.state.startswith("differs")
    )
    download(name, needed, data_dir / dataset.folder, mirror)
    return [found.path for found in dataset.states(data_dir)]


def _known(name: str, known: Mapping[str, Dataset]) -> Dataset:
    if name not in known:
        raise DataError(f"{name!r} is not a dataset; {did_you_mean(name, known)}")
    return known[name]


def _state(name: str, dataset: Dataset, data_dir: Path, verify: bool) -> DataState:
    if dataset.paths:
        return DataState(name, OWN, ())
    if not isinstance(dataset, FileDataset | TorchvisionDataset):
        return DataState(name, EMBEDDED, ())
    files = tuple(dataset.states(data_dir, verify))
    missing = sum(f.state == "missing" for f in files)
    state = "missing" if missing == len(files) else "incomplete" if missing else "present"
    if any(f.state.startswith("differs") for f in files):
        state = "differs"
    return DataState(name, state, files)
