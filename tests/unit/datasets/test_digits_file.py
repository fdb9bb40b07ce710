"""The digits are those of scikit-learn, bit for bit, though it is not imported for them."""

import subprocess
import sys

import numpy as np
from sklearn.datasets import load_digits

from trustbench.datasets.digits import _images_and_labels


def test_images_and_labels_are_scikit_learns():
    images, y = _images_and_labels()
    expected, labels = load_digits(return_X_y=True)
    assert np.array_equal(images, expected)
    assert images.dtype == expected.dtype
    assert np.array_equal(y, labels)


def test_scikit_learn_is_not_imported():
    code = (
        "import sys; from pathlib import Path; from trustbench.datasets.digits import Digits; "
        "from trustbench.seeding import Streams; Digits().load(Path(), Streams(0)); "
        "assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
