"""The digits are those of scikit-learn, bit for bit, though it is not imported for them."""

import gzip
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from trustbench.datasets.digits import _embedded, _images_and_labels
from trustbench.errors import DataError


def test_images_and_labels_are_scikit_learns():
    images, y = _images_and_labels()
    expected, labels = load_digits(return_X_y=True)
    assert np.array_equal(images, expected)
    assert images.dtype == expected.dtype
    assert np.array_equal(y, labels)


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (-1, 10, "column digit of .*: '10' in 1 row .first on line 3.; known: 0, 1,"),
        (7, 17, "column pixel of .* '17' in 1 row .first on line 3.* from 0 to 16; install"),
    ],
)
def test_an_embedded_file_that_was_changed_is_refused(tmp_path, place, value, says):
    with gzip.open(_embedded(), "rt", encoding="latin1") as file:
        lines = file.read().splitlines()
    fields = lines[2].split(",")
    fields[place] = str(value)
    lines[2] = ",".join(fields)
    path = tmp_path / "digits.csv.gz"
    with gzip.open(path, "wt", encoding="latin1") as file:
        file.write("\n".join(lines))
    with pytest.raises(DataError, match=says):
        _images_and_labels(path)


def test_scikit_learn_is_not_imported():
    code = (
        "import sys; from pathlib import Path; from trustbench.datasets.digits import Digits; "
        "from trustbench.contracts.seeding import Streams; Digits().load(Path(), Streams(0)); "
        "assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
