"""Readers: what is written is read, and what is damaged is refused in one line, whatever its bytes."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import sys
from collections.abc import Callable
from functools import partial
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

from hpsearch import files
from hpsearch.data import formats, load, read_idx
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


@pytest.mark.parametrize(
    "names",
    [
        ("x", "y"),
        ("images", "labels"),
        ("data", "target"),
        ("X", "Y"),
        ("train_images", "train_labels"),
        ("trainX", "trainy"),
        ("arr_0", "arr_1"),
    ],
)
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


@pytest.mark.parametrize("form", ["{}_{}", "{1}_{0}"])
def test_npz_with_parts(form: str, tmp_path: Path) -> None:
    """Keras' mnist.npz and MedMNIST's: the test part is kept, a validation part joins the training part."""
    parts = {"train": slice(0, 3), "val": slice(3, 5), "test": slice(5, 6)}
    arrays = {form.format(name, part): a[rows] for part, rows in parts.items() for name, a in (("x", X), ("y", Y))}
    dataset = load(path=npz(tmp_path, **arrays))
    assert dataset.x_test is not None
    np.testing.assert_array_equal(dataset.x, X[:5])
    np.testing.assert_array_equal(dataset.x_test, X[5:])
    assert "its validation part (2) joins the training part" in " ".join(map(str, dataset.notes))
    assert dataset.labels.tolist() == Y[:5].tolist()


@pytest.mark.parametrize("labels", [Y[:, None], np.eye(3)[Y], np.eye(3, dtype=bool)[Y], np.eye(3, dtype=np.uint8)[Y]])
def test_labels_of_two_dimensions(labels: npt.NDArray[Any], tmp_path: Path) -> None:
    dataset = load(path=npz(tmp_path, x=X, y=labels))
    assert (dataset.labels.tolist(), dataset.class_names) == (Y.tolist(), ("0", "1", "2"))


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (RNG.normal(size=500).round(3), 0),  # a price
        (RNG.normal(size=15), 0),
        (RNG.integers(25, 346, 442), 0),  # the diabetes table's target: whole numbers
        (RNG.integers(0, 977, 10_000), 0),  # counts
        ([f"No. {i}" for i in range(100)], 0),  # names
        ([f"No. {i % 10_001}" for i in range(20_002)], 0),
        (np.arange(60) % 5 / 2, 5),  # half stars: 0, 0.5, 1, 1.5, 2
        (np.arange(60) % 5 / np.float32(10), 5),
        (np.arange(60) % 12 * 1.0, 12),
        (np.arange(60) % 2 == 1, 2),
        (np.arange(130) % 26, 26),
        (np.arange(400) % 40, 40),
        (np.arange(2000) % 100, 100),
        ([f"face {i % 40}" for i in range(80)], 40),
    ],
)
def test_a_continuous_target_is_refused_in_every_format(values: Any, classes: int, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=len(values)), "label": values})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_parquet(tmp_path / "a.parquet")
    np.savez(tmp_path / "a.npz", x=frame[["a"]], y=np.array(values))
    names = set()
    for ending in ("csv", "parquet", "npz"):
        path = tmp_path / f"a.{ending}"
        if classes:
            names.add(load(path=path).class_names)
            assert [*map(len, names)] == [classes]
        else:
            refused(partial(load, path=path), str(tmp_path / "a") if ending != "npz" else "a: ")


def test_uint8_stays_and_other_whole_numbers_become_floats(tmp_path: Path) -> None:
    assert load(path=npz(tmp_path, x=X.astype(np.uint8), y=Y)).x.dtype == np.uint8
    assert load(path=npz(tmp_path, x=X.astype(np.int16), y=Y)).x.dtype == np.float64
    assert load(path=npz(tmp_path, x=X.astype(np.float16), y=Y)).x.dtype == np.float16


@pytest.mark.parametrize(
    ("arrays", "fragments"),
    [
        ({"x": X}, ["no array 'y', 'labels'", "it has: x"]),
        ({"a": X, "y": Y}, ["no array 'x', 'images'", "it has: a, y"]),
        (
            {"x": X, "y": Y, "x_val": X[:, :1], "y_val": Y},
            ["training part has shape (6, 2), its validation part (6, 1)"],
        ),
        ({}, ["no array 'x'", "(none)"]),
        ({"x": X, "y": Y[:5]}, ["labels have shape (5,)", "shape (6,)"]),
        ({"x": X, "y": np.eye(3)[Y] * 2}, ["labels have shape (6, 3)"]),
        ({"x": X, "y": np.tile(Y, (2, 1)).T}, ["labels have shape (6, 2)"]),
        ({"x": X, "y": np.zeros(6)}, ["every label is '0'", "at least two classes"]),
        ({"x": X, "y": np.array([0, 1, np.nan, 1, np.nan, 0])}, ["label nan at position 2", "needs a class"]),
        ({"x": X, "y": np.array([0, 1, np.inf, 0, 1, 0])}, ["label inf at position 2"]),
        ({"x": X, "y": Y.astype(complex)}, ["labels hold complex128"]),
        ({"x": X, "y": np.array([None] * 6)}, ["save whole arrays of numbers or strings"]),
        ({"x": np.where(X > 8, np.nan, X)[:, None], "y": Y}, ["3 of 12 features", "x[4, 0, 1] = nan"]),
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


def frame_of(path: Path, **options: Any) -> tuple[pd.DataFrame, list[str], str]:
    """Return a table's features, labels and notes."""
    arrays = formats.read(path, **options)
    assert isinstance(arrays.x, pd.DataFrame)
    assert arrays.labels is not None
    assert list(arrays.x.columns) == list(arrays.columns)
    return arrays.x, arrays.labels.tolist(), " ".join(map(str, arrays.notes))


TEXTS = [
    ("a.csv", CSV),
    ("a.csv", "\ufeff" + CSV),
    ("a.tsv", CSV.replace(",", "\t")),
    ("a.txt", CSV.replace(",", " ")),
    ("a.data", CSV.replace(",", "  ")),
    ("a.csv", CSV.replace(",", ", ")),
    ("a.csv", CSV.replace(",", "|")),
    ("a.csv", CSV.replace(",", ";").replace(".", ",")),
    ("a.csv", CSV.replace(",", "\t").replace(".", ",")),
    ("a.csv", CSV.replace("\n", "\r\n")),
    ("a.csv", CSV.replace("\n", "\r")),
    ("a.csv", "#" + CSV),
    ("a.csv", "# made by hand, in spring\n# " + CSV),
    ("a.csv", "# made by hand\n" + CSV),
    ("a.csv", "a;Label;b\n1;cat;2,5\n3;dog;-4\n5;cat;1.000,0\n"),
    ("a.csv", 'a,Label,b\n1,cat,2.5\n3,dog,-4\n5,cat,"1,000"\n'),
    ("a.csv", "sep=;\n" + CSV.replace(",", ";")),
    ("a.csv", "a;Label;b\n1;cat;2,50\n3;dog;-4,00\n5;cat;1.000,00\n"),
    ("a.csv", "a,Label,b\n1,cat,2.5%\n3,dog,\u22124 %\n5,cat,1000%\n"),
    ("a.csv", 'a,Label,b\n1,cat,$2.5\n3,dog,-$4\n5,cat,"$1,000"\n'),
    *(("a.csv", f"a,Label,b\n1,cat,2.5\n3,dog,-4\n5,cat,1{mark}000\n") for mark in "'\u2019 \xa0"),
    ("a.csv", CSV + ",,\n,,\n"),
    ("a.csv", CSV.replace("\n", ",\n")),
    ("a.csv", CSV.replace("\n", ",\n").replace(",\n", "\n", 1)),
    ("a.csv", '"a";"Label";"b"\n"1";"cat";"2,5"\n"3";"dog";"-4,0"\n"5";"cat";"1000"\n'),
]


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        (name, text, encoding)
        for name, text in TEXTS
        for encoding in ("utf-8", "utf-16", "gzip")
        if encoding != "utf-16" or not text.startswith(("#", "sep="))  # neither NumPy nor Excel writes those
    ],
)
def test_tables_of_text(name: str, text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / (f"{name}.gz" if encoding == "gzip" else name)
    content = text.encode("utf-8" if encoding == "gzip" else encoding)
    path.write_bytes(gzip.compress(content) if encoding == "gzip" else content)
    x, labels, notes = frame_of(path)
    assert x.to_numpy().tolist() == [[1, 2.5], [3, -4], [5, 1000]]
    assert labels == ["cat", "dog", "cat"]
    assert notes == "labels: column 'Label'; label names another"


def test_cells_are_numbers_booleans_or_texts(tmp_path: Path) -> None:
    text = "n,m,b,o,t,mixed,label\n1,,True,True,red,7,x\n2,?,False,, blue,A5,y\n3,2.5,True,False,NA,8,x\n"
    x, _, _ = frame_of(table(tmp_path, text))
    assert [x[name].dtype.kind for name in "nmbo"] == ["i", "f", "b", "f"]
    assert x["m"].tolist()[2] == 2.5
    assert x.isna().sum().tolist() == [0, 2, 0, 1, 1, 0]
    assert (x["t"].tolist()[:2], x["mixed"].tolist()) == (["red", "blue"], ["7", "A5", "8"])
    # R's write.table has no name for the names of the rows, which may have a space.
    text = '"a" "kind"\n' + "".join(f'"row {i}" {i % 4} "{"xy"[i % 2]}"\n' for i in range(12))
    dataset = load(path=table(tmp_path, text))
    assert (dataset.columns, [*dataset.left_out], dataset.class_names) == (("Unnamed: 0", "a"), [0], ("x", "y"))
    assert load(path=table(tmp_path, text.replace(" 0 ", " NA "))).columns == dataset.columns
    for missing in ("-", ".", "n/a", "NAN", "n.a.", "#DIV/0!"):
        assert frame_of(table(tmp_path, f"a,label\n1,x\n{missing},y\n"))[0]["a"].isna().tolist() == [False, True]
    for cells in (("1193,20 €", "7,5 €"), ("1.193,20€", "7,5€"), ("€ 1193,20", "€ 7,5"), ("1193.20 €", "7.5 €")):
        text = f"a;label\n{cells[0]};x\n{cells[1]};y\n"
        assert frame_of(table(tmp_path, text))[0]["a"].tolist() == [1193.2, 7.5], cells
    assert [*frame_of(table(tmp_path, "<b>lr</b>,label\n1,x\n2,y\n"))[0]] == ["<b>lr</b>"]
    assert "'No', 'no'" in " ".join(map(str, load(path=table(tmp_path, "a,label\n1,No\n2,no\n3,Yes\n")).notes))
    refused(lambda: load(path=table(tmp_path, "a,label\n1,x\n2,?\n3,y\n")), "1 of 3 labels are missing")
    # NA is missing among features, a name among labels.
    assert frame_of(table(tmp_path, "a,b\n1,x\n2,NA\n3,x\n"), label="B")[1] == ["x", "NA", "x"]
    many = "".join(f"{i * 7 % 13},{'oops' if i == 17 else i},{i % 2}\n" for i in range(30))
    refused(lambda: load(path=table(tmp_path, "a,b,label\n" + many)), "'oops' in row 18, column 'b' is not a number")
    assert load(path=table(tmp_path, "a,b,label\n" + many), drop=["b"]).left_out == {1: "drop names it"}
    refused(lambda: load(path=table(tmp_path, CSV), label="kind"), "no column 'kind'", "a, Label, b")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a,Target,b\n1,0,2\n2,1,3\n", "Target"),
        ("class,a,target\n1,0,2\n2,1,3\n", "target"),
        ("label,red,blue\n1,0,1\n2,1,0\n", "label"),
        ("x,y,kind\n1,2,red\n2,3,blue\n", "kind"),  # coordinates
        ("a,y,b\n1,2,3\n2,3,4\n", "y"),
        ("a,b,quality\n1,2,3\n2,4,5\n", "quality"),
        ("digit,p0,p1\n1,2,0\n2,4,0\n", "digit"),  # the last is constant
        ("p,x,p\ne,x,q\ne,y,p\n", "3"),
        ("".join(f"{i % 3},{i},{i * 7 % 1000}\n" for i in range(200)), "1"),  # as UCI's wine: the last is continuous
        ("0,1,2\n1.5,2.5,1\n2.5,1.5,3\n", "2"),  # pandas numbers the columns of an array
        ("0,0.1,0.2\n4,0,0\n5,0,0\n", "0"),  # pandas counts copies of a name
        ("150,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n6,3,1,0.5,1\n", "virginica"),  # scikit-learn's iris
    ],
)
def test_labels_are_guessed_by_name_then_by_place_and_it_is_said(text: str, label: str, tmp_path: Path) -> None:
    rows = text.count("\n") - (label != "3" and label != "1")
    x, labels, notes = frame_of(table(tmp_path, text))
    assert (label in x.columns, len(labels)) == (False, rows)
    assert (f"labels: column {label!r}" in notes) == (label != "label")
    assert ("its first row looks like data" in notes) == (label in "13")


def test_rows_that_a_quote_may_have_taken_are_said(tmp_path: Path) -> None:
    text = 'a,b,label\n1,"u,x\n2,v,y\n3,u,x\n4,u",y\n5,v,x\n'
    assert "row 1, column 'b' has a text of several lines" in frame_of(table(tmp_path, text))[2]
    assert "lines" not in frame_of(table(tmp_path, text.replace("2,v,y\n3,u,x\n4,u", "v")))[2]  # an address


def test_a_header_may_be_denied_or_affirmed(tmp_path: Path) -> None:
    path = table(tmp_path, "5,x\n6,y\n7,x\n")
    assert frame_of(path)[0].columns.tolist() == ["1"]
    x, labels, notes = frame_of(path, header=True, label="x")
    assert (x.columns.tolist(), labels, notes) == (["5"], ["y", "x"], "")
    path = table(tmp_path, "a,b\nc,d\ne,f\n")
    assert frame_of(path, header=False, label="2")[1] == ["b", "d", "f"]
    refused(lambda: load(path=npz(tmp_path, x=X, y=Y), header=True), "is for tables")
    # The target of a regression stands last: the first column is not taken instead.
    text = "rooms,price\n" + "".join(f"{i % 5},{i * 1.5}\n" for i in range(100))
    refused(lambda: load(path=table(tmp_path, text)), "'price'", "a continuous target")


def test_other_encodings_are_read_where_they_are_named(tmp_path: Path) -> None:
    path = table(tmp_path, "길이,분류\n1,개\n2,고양이\n".encode("cp949"))
    refused(lambda: load(path=path), "not UTF-8 text", 'encoding = "cp949"')
    assert frame_of(path, encoding="cp949")[1] == ["개", "고양이"]
    for name in ("klingon", "base64"):
        refused(partial(load, path=path, encoding=name), f"no encoding {name!r}")


def test_limits_hold_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ",".join(f"c{i}" for i in range(20_001))
    refused(lambda: load(path=table(tmp_path, f"{wide}\n{wide}\n")), "20,001 columns or more; at most 20,000")
    monkeypatch.setattr(formats, "MAX_COLUMNS", 2)
    pd.DataFrame({"a": [1], "b": [2], "label": [3]}).to_parquet(tmp_path / "a.parquet")
    refused(lambda: load(path=tmp_path / "a.parquet"), "3 columns or more; at most 2")
    monkeypatch.setattr(files, "SMALL", 10_000)
    zeros = np.zeros(10**6, dtype=np.uint8)
    np.savez_compressed(tmp_path / "bomb.npz", x=zeros, y=zeros)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(bytes(10**6)))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx_bytes(zeros)))
    pd.DataFrame({"a": zeros, "label": zeros}).to_parquet(tmp_path / "bomb.parquet")
    refused(lambda: read_idx(tmp_path / "train-images-idx3-ubyte.gz"), "200 times the file's own size")
    pd.DataFrame({"a": ["x" * 10_000] * 1000, "label": [0, 1] * 500}).to_parquet(tmp_path / "texts.parquet")
    for name in ("bomb.npz", "bomb.csv.gz", "bomb.parquet", "texts.parquet"):
        refused(partial(formats.read, tmp_path / name), "200 times the file's own size")
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    refused(lambda: load(path=table(tmp_path, CSV * 10)), "at most 100 are read")


@pytest.mark.parametrize(
    ("text", "fragments"),
    [
        ("", ["is empty"]),
        ("\n\n", ["no regular csv table"]),
        ("a,b,label\n", ["no rows"]),
        ("label\n1\n2\n", ["no column of features"]),
        ("a,LABEL,Label\n1,2,3\n", ["has 2 columns 'label'"]),
        ("a,label,label\n1,2,3\n", ["'label' occurs twice"]),
        ("a,a,label\n1,2,3\n", ["'a' occurs twice"]),
        ("a,b,label\n1,2,x\n-inf,1e400,y\n", ["infinite", "row 2, column 'a'"]),
        ("a,b,label\n1,2,x\n3,4,\n5,6,nan\n", ["2 of 3 labels are missing in column 'label', the first in row 2"]),
        ("1,2,x\n3,4,x\n5,6,\n5,6,y\n", ["in column '3' (a guess: no header was found), the first in row 3"]),
        (
            "a,b,label\n" + "".join(f"u{i},2024-01-{i},{i % 2}\n" for i in range(10, 30)),
            ["row: 'a'; it holds dates: 'b'"],
        ),
        ("a,b,label\n1,2,x\n3,4,y,5\n", ["no regular csv table", "line 3"]),
        ("a,b,label\n1,2,x,9\n1,4,y,5\n", ["ragged", "first row"]),
        ("a,b,label\n1,2\n3,4,y\n", ["ragged: row 1 has 2 fields of 3"]),
        ("label,a,b\nx,1,2\ny,3\n", ["ragged: row 2 has 2 fields of 3"]),
        ('a,b,label\n1,"2,x\n3,4,y\n', ["no regular csv table"]),
        ("a,b,label\n1,2,x\n3,4,y\na,b,label\n5,6,x\n", ["row 3 repeats the header"]),
        ("a,b,label\nu,v,x\na,b,label\nw,v,y\n", ["row 2 repeats the header"]),
        (b"a,label\n1,caf\xe9\n", ["not UTF-8"]),
        (b"a,b,label\n1,\x00,x\n3,4,y\n", ["no table of text", "UTF-16 needs its byte order mark"]),
        ("a,label\n1,x\n".encode("utf-16-le"), ["UTF-16 needs its byte order mark"]),
        ("% iris\n@RELATION iris\n@ATTRIBUTE a REAL\n", ["looks like ARFF"]),
        ('[{"a": 1, "label": 2}]', ["looks like JSON"]),
        ("1 1:0.5 2:0.7\n0 2:-0.1\n", ["looks like LIBSVM's format"]),
        ("a,is_x,is_y,is_z\n1,0,1,0\n2,1,0,0\n3,0,0,1\n", ["is_x, is_y, is_z have one 1 in every row together"]),
        ("a,no,yes\n1,True,False\n2,False,True\n", ["no, yes have one 1 in every row"]),
        ("<!DOCTYPE html>\n<p>404</p>\n", ["no table of text: it begins with '<!DOCTYPE html>"]),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", ["git lfs pull"]),
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
    assert frame_of(path)[0].to_numpy(float).tolist() == [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]]
    assert load(path=path).class_names == ("7", "11")
    frame.astype({"a": "Int64", "label": "category"}).to_parquet(path)
    assert frame_of(path)[0].to_numpy(float).tolist() == [[1, 0.5, 1], [2, 1.5, 0], [3, 2.5, 1]]
    assert load(path=path).class_names == ("7", "11")
    frame.astype({"label": "Int64"}).to_parquet(path)
    assert load(path=path).class_names == ("7", "11")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r'pip install "hpsearch\[data\]"'):
        load(path=path)


def test_lists_in_a_parquet_file_are_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"a": [[1], [2]], "b": [1.5, 2.5], "c": ["x", "y"], "label": [0, 1], "d": [{"k": 1}, {"k": 2}]}
    )
    frame.to_parquet(tmp_path / "some.parquet")
    x, labels, notes = frame_of(tmp_path / "some.parquet")
    assert ([*map(str, x)], [*map(int, labels)], "'a', 'd'" in notes) == (["b", "c"], [0, 1], True)


def test_bad_parquet(tmp_path: Path) -> None:
    path = tmp_path / "some.parquet"
    path.write_bytes(b"PAR1 but not really PAR1")
    refused(lambda: load(path=path), "not a whole .parquet file")
    path.write_bytes(b"")
    refused(lambda: load(path=path), "is empty")
    pd.DataFrame({"a": [1, 2], "label": [0, None]}).to_parquet(path)
    refused(lambda: load(path=path), "1 of 2 labels are missing")


def test_paths_that_are_no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(lambda: read_idx(tmp_path / "none"), "cannot read", "No such file")
    refused(lambda: read_idx(tmp_path), "cannot read", "Is a directory")
    refused(lambda: load(path=tmp_path / "none.npz"), "No such file")
    refused(lambda: load(path=tmp_path / ("x" * 300 + ".npz")), "cannot read")
    (tmp_path / "some.txt").write_text("hello")
    refused(lambda: load(path=tmp_path / "some.txt"), "has no rows")
    (tmp_path / "some.xlsx").write_text("hello")
    refused(lambda: load(path=tmp_path / "some.xlsx"), "save it as CSV UTF-8, or give .npz, .csv")
    os.mkfifo(tmp_path / "pipe.csv")  # not "is empty"
    refused(lambda: load(path=tmp_path / "pipe.csv"), "no file that can be read")
    refused(lambda: load(path=tmp_path), "holds no data")
    refused(lambda: load(path=npz(tmp_path, x=X, y=Y), label="y"), "is for tables")
    whole = npz(tmp_path, x=X, y=Y)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read everything
    refused(lambda: load(path=whole), f"cannot read {whole}: Permission denied")


@pytest.mark.parametrize("folder", [".", "raw", "MNIST/raw", "gzip"])
@pytest.mark.parametrize("form", ["{}-{}-idx3-ubyte.gz", "{}-{}.idx3-ubyte", "emnist-letters-{}-{}-idx3-ubyte"])
def test_folders_of_idx_files(folder: str, form: str, tmp_path: Path) -> None:
    place = tmp_path / folder
    place.mkdir(parents=True, exist_ok=True)
    for part, x in (("train", X), ("test" if "emnist" in form else "t10k", X[:3])):
        content = {"images": idx_bytes(x.astype(np.uint8)), "labels": idx_bytes(Y[: len(x)].astype(np.uint8) + 1)}
        for role, data in content.items():
            zipped = form.endswith(".gz")
            (place / form.format(part, role)).write_bytes(gzip.compress(data) if zipped else data)
    for path in (tmp_path, place / form.format("train", "labels")):
        dataset = load(path=path)
        assert (dataset.labels.tolist(), dataset.class_names) == (Y.tolist(), ("1", "2", "3"))
        np.testing.assert_array_equal(dataset.x, X)
        np.testing.assert_array_equal(dataset.x_test, X[:3])
        assert dataset.labels_test is not None
        assert dataset.labels_test.tolist() == Y[:3].tolist()
    if "emnist" in form:
        (place / "emnist-digits-train-images-idx3-ubyte").write_bytes(b"")
        refused(lambda: load(path=tmp_path), "holds 2 data sets: emnist-digits, emnist-letters; give a file of one")
        assert load(path=place / form.format("train", "images")).classes == 3


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
