"""Readers: what is written is read, and what is damaged is refused in one line, whatever its bytes."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from data_files import idx_bytes, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hpsearch.data import load, read_idx
from hpsearch.errors import BadData, MissingExtra

X = np.arange(12.0).reshape(6, 2)
Y = np.array([0, 1, 2, 0, 1, 2])


def read_or_refused(read: Callable[[], object]) -> None:
    """Assert that a reader gives arrays or refuses in one line, and nothing else."""
    message = ""
    try:
        read()
    except BadData as error:
        message = str(error)
    assert "\n" not in message


def npz(folder: Path, **arrays: Any) -> Path:
    path = folder / "some.npz"
    np.savez(path, **arrays)
    return path


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "some.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
def test_npz(names: tuple[str, str], tmp_path: Path) -> None:
    path = npz(tmp_path, **dict(zip(names, (X, Y), strict=True)))
    dataset = load(path=path)
    np.testing.assert_array_equal(dataset.x, X)
    np.testing.assert_array_equal(dataset.labels, Y)
    assert (dataset.name, dataset.source, dataset.class_names) == ("some", str(path), ("0", "1", "2"))
    assert (dataset.x_test, dataset.labels_test) == (None, None)


@pytest.mark.parametrize(
    ("given", "codes", "names"),
    [
        ([10, 9, 10, 100, 9, 9], [1, 0, 1, 2, 0, 0], ("9", "10", "100")),
        (["10", "9", "10", "100", "9", "9"], [1, 0, 1, 2, 0, 0], ("9", "10", "100")),
        (["b", "9", "b", "10", "9", "9"], [2, 1, 2, 0, 1, 1], ("10", "9", "b")),
        ([b"b", b"a", b"b", b"a", b"a", b"a"], [1, 0, 1, 0, 0, 0], ("a", "b")),
        ([1.0, -1.0, 1.0, -1.0, 1.0, 1.0], [1, 0, 1, 0, 1, 1], ("-1", "1")),
        ([True, False, True, False, True, True], [1, 0, 1, 0, 1, 1], ("False", "True")),
    ],
)
def test_labels_become_classes(given: list[Any], codes: list[int], names: tuple[str, ...], tmp_path: Path) -> None:
    dataset = load(path=npz(tmp_path, x=X, y=np.array(given)))
    assert dataset.class_names == names
    assert dataset.labels.dtype == np.int64
    assert dataset.labels.tolist() == codes


def test_uint8_stays_and_other_whole_numbers_become_floats(tmp_path: Path) -> None:
    assert load(path=npz(tmp_path, x=X.astype(np.uint8), y=Y)).x.dtype == np.uint8
    assert load(path=npz(tmp_path, x=X.astype(np.int16), y=Y)).x.dtype == np.float64
    assert load(path=npz(tmp_path, x=X.astype(np.float16), y=Y)).x.dtype == np.float16


@pytest.mark.parametrize(
    ("arrays", "fragments"),
    [
        ({"x": X}, ["no array 'y' or 'labels'", "it has: x"]),
        ({"a": X, "y": Y}, ["no array 'x' or 'images'", "it has: a, y"]),
        ({}, ["no array 'x'", "(none)"]),
        ({"x": X, "y": Y[:5]}, ["labels have shape (5,)", "shape (6,)"]),
        ({"x": X, "y": np.eye(3)[Y]}, ["labels have shape (6, 3)"]),
        ({"x": X, "y": np.zeros(6)}, ["every label is '0'", "at least two classes"]),
        ({"x": X, "y": np.array([0, 1, np.nan, 1, np.nan, 0])}, ["label nan at position 2", "needs a label"]),
        ({"x": X, "y": np.array([0, 1, 1.5, 0, 1, 0])}, ["label 1.5 at position 2"]),
        ({"x": X, "y": np.array([0, 1, np.inf, 0, 1, 0])}, ["label inf at position 2"]),
        ({"x": X, "y": Y.astype(complex)}, ["labels hold complex128"]),
        ({"x": X, "y": np.array([None] * 6)}, ["save whole arrays of numbers or strings"]),
        ({"x": np.where(X > 8, np.nan, X), "y": Y}, ["3 of 12 features", "x[4, 1] = nan"]),
        ({"x": np.where(X == 10, 1e39, X), "y": Y}, ["too large for float32", "x[5, 0] = 1e+39"]),
        ({"x": np.where(X == 4, -np.inf, X).astype(np.float16), "y": Y}, ["x[2, 0] = -inf"]),
        ({"x": X[:, 0], "y": Y}, ["x has shape (6,)"]),
        ({"x": X[:0], "y": Y[:0]}, ["x has shape (0, 2)"]),
        ({"x": X.astype(str), "y": Y}, ["features are numbers"]),
    ],
)
def test_bad_arrays(arrays: dict[str, Any], fragments: list[str], tmp_path: Path) -> None:
    path = npz(tmp_path, **arrays)
    refused(lambda: load(path=path), "some", *fragments)


def test_npz_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    path.write_bytes(b"")
    refused(lambda: load(path=path), "is empty")
    path.write_bytes(pickle.dumps({"x": 1}))
    refused(lambda: load(path=path), "not a whole .npz")
    whole = npz(tmp_path, x=X, y=Y).read_bytes()
    path.write_bytes(whole[:-30])
    refused(lambda: load(path=path), "not a whole .npz")
    for at in range(0, len(whole) - 30, 7):  # flipped bytes anywhere: read or refused, nothing else
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        read_or_refused(lambda: load(path=path))


CSV = "a,Label,b\n1,cat,2.5\n3,dog,-4\n5,cat,1e3\n"


def test_csv(tmp_path: Path) -> None:
    dataset = load(path=table(tmp_path, CSV))
    assert dataset.x.tolist() == [[1, 2.5], [3, -4], [5, 1000]]
    assert dataset.x.dtype == np.float64
    assert (dataset.class_names, dataset.labels.tolist()) == (("cat", "dog"), [0, 1, 0])
    refused(lambda: load(path=table(tmp_path, CSV), label="kind"), "no column 'kind'", "a, Label, b")
    # With a named label and a byte order mark; NA is missing among numbers, a name among labels.
    dataset = load(path=table(tmp_path, "\ufeffa,label,b\n1,0,x\n2,1,NA\n3,10,x\n"), label="B")
    assert (dataset.class_names, dataset.x.tolist()) == (("NA", "x"), [[1, 0], [2, 1], [3, 10]])


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["is empty"]),
        ("\n\n", ["no regular csv table"]),
        ("a,b,label\n", ["no rows"]),
        ("label\n1\n2\n", ["no column of features"]),
        ("a,b,c\n1,2,3\n", ["has no column 'label'", "columns: a, b, c"]),
        ("a,LABEL,Label\n1,2,3\n", ["has 2 columns 'label'"]),
        ("a,label,label\n1,2,3\n", ["'label' occurs twice"]),
        ("a,a,label\n1,2,3\n", ["'a' occurs twice"]),
        ("0,0,5\n1,2,3\n", ["'0' occurs twice", "is there a header?"]),
        ("a,b,label\n1,2,x\n3,oops,y\n", ["'oops' in row 2, column 'b'"]),
        ("a,b,label\n1,2,x\n3,,y\n", ["1 of 4 features are missing", "row 2, column 'b'"]),
        ("a,b,label\n1,2,x\n-inf,1e400,y\n", ["2 of 4 features", "infinite", "row 2, column 'a'"]),
        ("a,b,label\n1,2,x\n3,4,\n5,6,nan\n", ["2 labels are missing in column 'label'", "in row 2"]),
        ("a,b,label\n1,2,x\n3,4,y,5\n", ["no regular csv table", "line 3"]),
        ("a,b,label\n1,2,x,9\n3,4,y,5\n", ["ragged", "first row"]),
        ("label,a,b\nx,1,2\ny,3\n", ["features are missing", "row 2, column 'b'"]),
        ("a,b,label\n1,2\n3,4,y\n", ["labels are missing", "row 1"]),
        ('a,b,label\n1,"2,x\n3,4,y\n', ["no regular csv table"]),
        (b"a,label\n1,caf\xe9\n", ["not UTF-8"]),
        (bytes(range(256)) * 3, []),
    ],
)
def test_bad_csv(text: str | bytes, fragments: list[str], tmp_path: Path) -> None:
    path = table(tmp_path, text)
    refused(lambda: load(path=path), "some", *fragments)


def test_parquet_which_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.parquet"
    frame = pd.DataFrame({"a": [1, 2, 3], "b": [0.5, 1.5, 2.5], "c": [True, False, True], "label": [7, 11, 7]})
    frame.to_parquet(path)
    dataset = load(path=path)
    assert dataset.x.tolist() == [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]]
    assert dataset.class_names == ("7", "11")
    frame.astype({"a": "Int64", "label": "category"}).to_parquet(path)
    assert load(path=path).x.tolist() == dataset.x.tolist()
    assert load(path=path).class_names == ("7", "11")
    frame.astype({"label": "Int64"}).to_parquet(path)
    assert load(path=path).class_names == ("7", "11")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r'pip install "hpsearch\[data\]"'):
        load(path=path)


def test_bad_parquet(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    path.write_bytes(b"PAR1 but not really PAR1")
    refused(lambda: load(path=path), "not a whole .parquet file")
    path.write_bytes(b"")
    refused(lambda: load(path=path), "is empty")
    labels = {"label": [0, 1]}
    frames: list[tuple[dict[str, Any], list[str]]] = [
        ({"a": ["1", "two"], **labels}, ["'two' in row 2, column 'a'"]),
        ({"a": pd.to_datetime(["2020-01-01", "2020-01-02"]), **labels}, ["'2020-01-01 00:00:00' in row 1"]),
        ({"a": [[1], [2]], **labels}, ["'[1]' in row 1, column 'a'"]),
        ({"a": pd.array([1, None], dtype="Int64"), **labels}, ["1 of 2 features are missing", "row 2, column 'a'"]),
        ({"a": ["1", None], **labels}, ["1 of 2 features are missing", "row 2, column 'a'"]),
        ({"a": [1, 2], "label": [0, None]}, ["1 labels are missing"]),
    ]
    for columns, fragments in frames:
        pd.DataFrame(columns).to_parquet(path)
        refused(lambda: load(path=path), *fragments)


def test_paths_that_are_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(lambda: read_idx(tmp_path / "none"), "cannot read", "No such file")
    refused(lambda: read_idx(tmp_path), "cannot read", "Is a directory")
    refused(lambda: load(path=tmp_path / "none.npz"), "No such file")
    refused(lambda: load(path=tmp_path / ("x" * 300 + ".npz")), "cannot read")
    (tmp_path / "some.txt").write_text("hello")
    refused(lambda: load(path=tmp_path / "some.txt"), "give .npz, .csv, .parquet or a folder of IDX files")
    os.mkfifo(tmp_path / "pipe.csv")  # nobody writes into it: a reader would wait for ever
    refused(lambda: load(path=tmp_path / "pipe.csv"), "no file that can be read")
    refused(lambda: load(path=tmp_path), "holds no train-images")
    whole = npz(tmp_path, x=X, y=Y)
    refused(lambda: load(path=whole, label="y"), "names a column")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    refused(lambda: load(path=whole), f"cannot read {whole}: Permission denied")


HEADER = struct.pack(">BBBBI", 0, 0, 0x08, 1, 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    ),
    zipped=st.booleans(),
)
def test_what_is_written_is_read(array: npt.NDArray[Any], zipped: bool, tmp_path: Path) -> None:
    content = idx_bytes(array)
    path = tmp_path / "array-idx"  # no ending: gzip is told by the content
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    read = read_idx(path)
    assert (read.dtype, read.dtype.isnative, read.shape) == (array.dtype, True, array.shape)
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["is not an IDX file: it begins with nothing"]),
        (b"\0\0\x08", ["is not an IDX file", "00 00 08"]),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), ["is not an IDX file", "89 50 4e 47"]),
        (b"\0\0\x0a\x01" + bytes(8), ["is not an IDX file", "00 00 0a 01"]),
        (b"\0\0\x08\x03\0\0", ["is cut off or damaged"]),
        (HEADER + b"12", ["is cut off or damaged", "size 2 into shape (3,)"]),
        (HEADER + b"1234", ["is cut off or damaged", "size 4 into shape (3,)"]),
        (b"\0\0\x08\xff" + bytes(4 * 255), ["is cut off or damaged"]),
        (struct.pack(">BBBB4I", 0, 0, 0x0E, 4, 0, *[2**32 - 1] * 3), ["is cut off or damaged"]),
        (gzip.compress(HEADER + b"123" * 50, mtime=0)[:-12], ["cannot read", "file ended before"]),
        (gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20, ["cannot read"]),  # a good header, a bad stream
        (gzip.compress(HEADER + b"123", mtime=0)[:-8] + bytes(8), ["cannot read", "CRC"]),
    ],
)
def test_damaged_files_are_refused_in_one_line(content: bytes, fragments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    refused(lambda: read_idx(path), str(path), *fragments)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60), magic=st.sampled_from([b"", b"\0\0", b"\0\0\x08\x02", b"\x1f\x8b"]))
def test_no_bytes_whatever_bring_a_traceback(content: bytes, magic: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any"
    path.write_bytes(magic + content)
    read_or_refused(lambda: read_idx(path))
