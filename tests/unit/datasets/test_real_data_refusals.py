"""What wrong settings and broken files get of the loaders of real files."""

import shutil

import pandas as pd
import pytest

from tests.unit.datasets.real_data import loader
from trustbench.datasets.acs_income import ACSIncome
from trustbench.datasets.adult import Adult
from trustbench.datasets.compas import Compas
from trustbench.datasets.digits import Digits
from trustbench.datasets.german import German
from trustbench.datasets.mnist import Mnist
from trustbench.errors import DataError
from trustbench.seeding import Streams


@pytest.fixture
def load(shared_data):
    return loader(shared_data)


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        (Adult(sensitive="sexx"), r"sensitive=sexx is unknown; did you mean 'sex'\?"),
        (Compas(sensitive="age"), "sensitive=age is unknown; .*race, sex"),
        (German(sensitive="race"), "Allowed: age, sex"),
        (ACSIncome(sensitive="sex"), "Allowed: RAC1P, SEX"),
        (Adult(subsample=48_843), "subsample=48843 .* from 326 to 48842"),
        (Adult(subsample=100), "subsample=100 cannot be drawn"),
        (ACSIncome(subsample=10**6), "cannot be drawn from 332900 rows"),
        (Mnist(folder="mnist10k", subsample=11_000), "cannot be drawn from 10000 rows"),
        (Digits(keep=0.01), "leaves 1 of the .* class 8"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_impossible_settings_get_one_sentence(shared_data, dataset, says):
    with pytest.raises(DataError, match=says) as caught:
        dataset.load(shared_data, Streams(0))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dataset", [Adult(), Compas(), German(), ACSIncome(), Mnist()], ids=repr)
def test_missing_files_say_where_and_what_to_do(tmp_path, dataset):
    with pytest.raises(DataError, match=r"trustbench data fetch \w+.*data_dir=FOLDER") as caught:
        dataset.load(tmp_path, Streams(0))
    assert str(tmp_path) in str(caught.value)


def copied(shared_data, tmp_path, folder):
    shutil.copytree(shared_data / folder, tmp_path / folder)
    for path in (tmp_path / folder).iterdir():
        path.chmod(0o644)
    return tmp_path / folder


def test_a_changed_file_loads_under_another_fingerprint(shared_data, tmp_path, load):
    path = copied(shared_data, tmp_path, "german") / "german.data"
    path.write_text(path.read_text().replace("A11 6 A34", "A11 7 A34", 1))
    changed = German().load(tmp_path, Streams(0))
    assert changed.fingerprint != load("german").fingerprint


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.replace("39, State-gov", "x, State-gov", 1), "column age holds 'x'"),
        (lambda t: t.replace("<=50K", "<=60K", 1), "column income holds '<=60K'; allowed"),
        (lambda t: t.replace("White", "Green", 1), None),
        (lambda t: t.replace(", Male", ", M", 1), "column sex holds 'M'; allowed: Male, Female"),
        (lambda t: t[: len(t) // 10], "have .* rows, but|has .* fields"),
        (lambda t: "", "holds no rows"),
    ],
)
def test_a_broken_adult_file_gets_a_sentence(shared_data, tmp_path, change, says):
    path = copied(shared_data, tmp_path, "adult") / "adult.data"
    path.write_text(change(path.read_text()))
    if says is None:  # an unknown race is a new level, unless race makes the groups
        Adult().load(tmp_path, Streams(0))
        with pytest.raises(DataError, match="column race holds 'Green'"):
            Adult(sensitive="race").load(tmp_path, Streams(0))
        return
    with pytest.raises(DataError, match=says):
        Adult().load(tmp_path, Streams(0))


def test_a_group_without_test_rows_is_named(shared_data, tmp_path):
    path = copied(shared_data, tmp_path, "adult") / "adult.test"
    path.write_text(path.read_text().replace(" Other,", " White,"))
    with pytest.raises(DataError, match=r"group Other \(race\) has no row in the test split"):
        Adult(sensitive="race").load(tmp_path, Streams(0))


def test_compas_without_a_column_is_refused(shared_data, tmp_path):
    path = copied(shared_data, tmp_path, "compas") / "compas-scores-two-years.csv"
    path.write_text(path.read_text().replace("c_charge_degree", "charge_degree", 1))
    with pytest.raises(DataError, match=r"no column 'c_charge_degree'; did you mean"):
        Compas().load(tmp_path, Streams(0))


def test_acs_income_of_another_shape_is_refused(tmp_path):
    folder = tmp_path / "acs_income"
    folder.mkdir()
    (folder / "ACSIncome.test.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="is no parquet file"):
        ACSIncome().load(tmp_path, Streams(0))
    pd.DataFrame({"AGEP": [1.0]}).to_parquet(folder / "ACSIncome.test.parquet")
    with pytest.raises(DataError, match="has no column 'COW'"):
        ACSIncome().load(tmp_path, Streams(0))


def test_a_cut_off_mnist_file_is_refused(shared_data, tmp_path):
    shutil.copytree(shared_data / "mnist10k", tmp_path / "mnist")
    path = tmp_path / "mnist/MNIST/raw/train-images-idx3-ubyte"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match=r"torchvision cannot read .*trustbench data fetch mnist"):
        Mnist().load(tmp_path, Streams(0))
