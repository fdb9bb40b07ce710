"""What the tests of awkward tables share."""

import pandas as pd

from trustbench.datasets.loading.frames import Reading, read_frame


def reader(folder):
    """A function of the content of a file, and of how to read it, to its frame."""

    def read(content, reading=Reading(), name="t.csv"):  # noqa: B008
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_frame(path, reading)

    return read


def values(frame):
    """The columns as lists, and None where a value is missing."""
    table = frame.table.astype(object)
    return {c: [None if pd.isna(v) else v for v in table[c]] for c in table}


def one_sentence(text):
    assert text.endswith(".")
    assert "\n" not in text
    assert "fetch" not in text, "only what was downloaded can be fetched again"
