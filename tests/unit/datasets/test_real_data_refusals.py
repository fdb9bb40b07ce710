"""What wrong settings and broken files get of the loaders of real files."""

import csv
import shutil

import pandas as pd
import pytest

from tests.unit.datasets.real_data import loader
from trustbench.contracts.seeding import Streams
from trustbench.datasets.acs_income import ACSIncome
from trustbench.datasets.adult import Adult
from trustbench.datasets.compas import Compas
from trustbench.datasets.digits import Digits
from trustbench.datasets.german import German
from trustbench.datasets.mnist import Mnist
from trustbench.errors import DataError


@pytest.fixture
def load(shared_data):
    return loader(shared_data)


@pytest.mark.parametrize(
    ("dataset", "says"),
    [
        (Adult(sensitive="sexx"), r"sensitive=sexx is unknown; did you mean 'sex'\?"),
        (Compas(sensitive="age"), "sensitive=age is unknown; .*race, sex"),
        (German(sensitive="race"), "Available: age, sex"),
        (ACSIncome(sensitive="sex"), "Available: RAC1P, SEX"),
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
        (lambda t: t.replace("39, State-gov", "x, State-gov", 1), "column age of .* 'x' in 1 row"),
        (lambda t: t.replace("39, State-gov", "16, State-gov", 1), "'16' in .* from 17 to 120"),
        (lambda t: t.replace("39, State-gov", "?, State-gov", 1), "'\\?' in 1 row .* a number"),
        (lambda t: t.replace("White", "?", 1), "column race of .*: '\\?' in 1 row"),
        (lambda t: t.replace("<=50K", "<=60K", 1), "column income of .*: '<=60K' in 1 row"),
        (lambda t: t[: len(t) // 10], "have .* rows, but|has .* fields"),
        (lambda t: "", "holds no rows"),
    ],
)
def test_a_broken_adult_file_gets_a_sentence(shared_data, tmp_path, change, says):
    path = copied(shared_data, tmp_path, "adult") / "adult.data"
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=says):
        Adult().load(tmp_path, Streams(0))


def test_a_renamed_race_in_compas_is_refused_and_never_counted_as_other(shared_data, tmp_path):
    """42 people used to move into `Other` silently."""
    path = copied(shared_data, tmp_path, "compas") / "compas-scores-two-years.csv"
    lines = path.read_text().splitlines(keepends=True)
    theirs = [i for i, line in enumerate(lines) if ",Caucasian," in line][:42]
    for i in theirs:
        lines[i] = lines[i].replace(",Caucasian,", ",White,")
    path.write_text("".join(lines))
    with pytest.raises(DataError) as caught:
        Compas().load(tmp_path, Streams(0))
    assert str(caught.value) == (
        f"dataset compas: column race of {path} holds unknown codes: 'White' in 42 "
        f"rows (first on line {theirs[0] + 1}); known: African-American, Asian, Caucasian, "
        "Hispanic, Native American, Other; correct the file, or delete it and run `trustbench "
        "data fetch compas`."
    )


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("days_b_screening_arrest", "soon", "'soon' in 1 row .* where a number belongs"),
        ("is_recid", "2", "known: -1, 0, 1"),
        ("score_text", "n/a", "known: Low, Medium, High, N/A"),
        ("priors_count", "-1", "priors_count' 2 times, and they differ"),
        ("juv_fel_count", "-1", "outside of what is possible, at least 0"),
        ("two_year_recid", "", "known: 1, 0"),
    ],
)
def test_what_compas_filters_by_is_known_too(shared_data, tmp_path, column, value, says):
    """A code that the filter does not know would drop its row, or silently keep it."""
    path = copied(shared_data, tmp_path, "compas") / "compas-scores-two-years.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[5][rows[0].index(column)] = value
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(DataError, match=says):
        Compas().load(tmp_path, Streams(0))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("SEX", 0.0, "column SEX of .*: '0' in 1 row .*known: 1, 2"),
        ("SEX", float("nan"), "column SEX of .*: no value in 1 row"),
        ("RAC1P", 9, "column RAC1P of .*: '9' in 1 row .*known: 0, 1, 2, 3, 4, 5, 6, 7, 8;"),
        ("OCCP", 5.0, "column OCCP of .*: '5' in 1 row .*known: 10 to 440 .MGR."),
        ("OCCP", 99999.0, "column OCCP"),
        ("POBP", 999.0, "column POBP of .*: '999' in 1 row .*500 to 554 .Oceania."),
        ("PINCP", 2, "column PINCP of .*: '2' in 1 row .first on row 4.; known: 0, 1;"),
        ("MAR", 1.5, "column MAR of .*: '1.5' in 1 row"),
        ("AGEP", 16.0, "outside of what is possible, from 17 to 120"),
        ("WKHP", float("nan"), "column WKHP of .* no value in 1 row .* where a number belongs"),
    ],
)
def test_acs_income_merges_clips_and_guesses_no_code(shared_data, tmp_path, column, value, says):
    frame = pd.read_parquet(shared_data / "acs_income" / "ACSIncome.test.parquet").iloc[:50]
    frame[column] = frame[column].astype(float)
    frame.iloc[3, frame.columns.get_loc(column)] = value
    (tmp_path / "acs_income").mkdir()
    frame.to_parquet(tmp_path / "acs_income" / "ACSIncome.test.parquet")
    with pytest.raises(DataError, match=says):
        ACSIncome(subsample=None).load(tmp_path, Streams(0))


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
    with pytest.raises(DataError, match="cannot be read as parquet"):
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
