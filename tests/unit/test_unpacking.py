"""Small files that unpack to very much are refused by what they declare, before they are read."""

import gzip
import io
import tracemalloc
import zipfile
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from trustbench.contracts import unpacking
from trustbench.contracts.given import ModelSource
from trustbench.datasets.loading.frames import read_frame
from trustbench.errors import DataError, UserError
from trustbench.models.given.opening import open_model
from trustbench.store.arrays import unpack
from trustbench.store.reading import Damaged

SIZE = 2**26


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Files of this test are small, so the bounds are."""
    monkeypatch.setattr(unpacking, "SMALL", 2**20)
    monkeypatch.setattr(unpacking, "RATIO", 20)


@contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < SIZE // 4
    finally:
        tracemalloc.stop()


def archive(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def npy(shape, content, kind="<f8"):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return head.getvalue() + content


BOMBS = {
    "zeros": (archive(a=npy((SIZE // 8,), bytes(SIZE))), "bytes unpack to 67"),
    "header": (archive(a=npy((10**12,), bytes(800))), "is not that of its header"),
    "negative": (archive(a=npy((-5,), bytes(800))), "is not that of its header"),
    "objects": (archive(a=npy((1,), bytes(9), "|O")), "is not that of its header"),
    "no header": (archive(a=b"x" * 90), "not a valid file of arrays"),
    "no archive": (b"PK\3\4" * 9, "not a valid file of arrays"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_arrays(name):
    data, says = BOMBS[name]
    with little_memory(), pytest.raises(Damaged, match=says):
        unpack(data)


def test_arrays_as_they_are_written():
    buffer = io.BytesIO()
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(True), "c": np.zeros((0, 4), "i2")}
    np.savez_compressed(buffer, **arrays)
    found = unpack(buffer.getvalue())
    assert {k: (v.dtype, v.shape) for k, v in found.items()} == {
        k: (v.dtype, v.shape) for k, v in arrays.items()
    }


def test_a_model_of_skops(tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(archive(**{"schema.json": b" " * SIZE}))
    with pytest.raises(UserError, match=r"is not opened: its [0-9,]+ bytes unpack to"):
        open_model(ModelSource(path))


@pytest.fixture
def refused(tmp_path):
    """Reads content as a table, and expects the sentence."""

    def check(content):
        path = tmp_path / "table"
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is not read: its [0-9,]+ bytes unpack to"):
            read_frame(path)

    return check


def test_text_in_gzip(refused):
    bomb = gzip.compress(b"a,b\n" + b"1,2\n" * (SIZE // 4))
    with little_memory():
        refused(bomb)


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_typed_tables(refused, kind):
    table, buffer = pa.table({"a": np.zeros(SIZE // 8)}), io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, buffer)
    else:
        new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with new(buffer, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=10_000)
    refused(buffer.getvalue())
