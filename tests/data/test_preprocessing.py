"""What becomes of raw values: by the values, fitted to training examples alone, the same wherever it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from data_files import refused
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpsearch.data import Split, columns, load, split
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadInput

RNG = np.random.default_rng(0)
ROWS = 40
IMAGES = RNG.integers(0, 256, (ROWS, 8, 9))
TABLE = pd.DataFrame(
    {
        "sex": RNG.permutation(np.repeat(["m", "f"], ROWS // 2)),
        "age": np.where(np.arange(ROWS) % 5, RNG.normal(30, 9, ROWS), np.nan),
        "fare": RNG.exponential(30, ROWS),
        "member": RNG.permutation(np.arange(ROWS) % 2 == 0),
    }
)
LABELS = np.arange(ROWS) % 2


def written(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    path = folder / name
    frame = frame.assign(label=LABELS)
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def parts(path: Path, **options: Any) -> Split:
    of_split = {name: options.pop(name) for name in ("scale", "text") if name in options}
    return split(load(path=path, **options), train=20, validation=10, seed=1, **of_split)


@pytest.mark.parametrize(
    ("raw", "method", "scale"),
    [
        (IMAGES, "divide", 255),
        (IMAGES.astype(np.uint8), "divide", 255),
        (IMAGES // 16, "divide", 15),  # as the digits of scikit-learn
        (IMAGES // 128, "none", 1),  # 0/1 bytes
        (IMAGES / 255, "none", 1),
        (IMAGES * 256, "standardize", None),
        (IMAGES[:, 0, :5], "standardize", None),  # a few columns are no images
        (np.where(np.arange(72) < 60, IMAGES.reshape(ROWS, -1) // 200, IMAGES.reshape(ROWS, -1)), "standardize", None),
        (RNG.random((ROWS, 3)), "none", 1),
        (RNG.random((ROWS, 3)) * [1, 1, 0.01], "standardize", None),  # of one range, but not of one size
        (RNG.random((ROWS, 3)) - 0.5, "standardize", None),
        (RNG.normal(size=(ROWS, 3)) * [0.01, 1, 1e5], "standardize", None),
    ],
)
def test_auto(raw: npt.NDArray[Any], method: str, scale: float | None) -> None:
    fitted = Preprocessing.fit(raw)
    assert fitted.method == method
    assert scale is None or fitted.scale == (scale,)


def test_bytes_of_few_values_are_not_said_to_reach_255() -> None:
    said = [str(*Preprocessing.fit((IMAGES // by).astype(np.uint8)).sentences()) for by in (1, 16, 128)]
    assert [words.partition("numbers ")[2] for words in said] == [
        "from 0 to 255: divided by 255",
        "in bytes: divided by 15",
        "in bytes: as they are",
    ]


def test_an_image_s_bytes_are_divided_in_float32() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 4, 4)
    inputs = Preprocessing.fit(every).apply(every)
    np.testing.assert_array_equal(inputs.ravel(), np.arange(256, dtype=np.float32) / np.float32(255))


@given(
    x=hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2), elements=st.floats(-1e6, 1e6)),
    scale=st.sampled_from(["standardize", "minmax"]),
)
def test_columns_have_one_size(x: npt.NDArray[np.float64], scale: str) -> None:
    fitted = Preprocessing.fit(x, scale=scale, constants=True)
    inputs = fitted.apply(x).astype(np.float64)
    if scale == "minmax":
        assert (inputs.min(), inputs.max() <= 1) == (0, True)
        return
    varies = np.array(fitted.scale) != 1
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(inputs.std(axis=0)[varies], 1, atol=1e-3)


def test_texts_and_missing_values_are_those_of_the_training_part() -> None:
    fitted = Preprocessing.fit(TABLE)
    assert fitted.table is not None
    numbers, median = ["age", "fare", "member"], float(TABLE["age"].median())
    new = pd.DataFrame({"fare": [1.0, 2.0], "more": 0, "sex": ["x", "f"], "member": [True, False], "age": [np.nan, 5]})
    inputs = fitted.apply(new)
    raw = np.column_stack([new[name].fillna(median).to_numpy(dtype=float) for name in numbers])
    expected = (raw - np.array(fitted.centre)) / np.array(fitted.scale)
    # Numbers, then f and m, neither of which is x, then age's missing values.
    np.testing.assert_allclose(inputs, np.hstack([expected, [[0, 0, 1], [1, 0, 0]]]), rtol=1e-6)
    np.testing.assert_allclose(fitted.centre, TABLE[numbers].fillna(median).astype(float).mean())
    ordinal = Preprocessing.fit(TABLE, text="ordinal")
    assert (ordinal.inputs, fitted.inputs) == (5, 6)
    refused(lambda: fitted.apply(new.drop(columns="age")), "no column 'age'", "takes age, fare, member, sex")
    refused(lambda: fitted.apply(new.assign(fare="dear")), "column 'fare' holds texts such as 'dear'")


@pytest.mark.parametrize("x", [IMAGES, IMAGES[:, :, 0], TABLE, RNG.normal(size=(ROWS, 3))], ids=lambda x: str(x.shape))
def test_it_comes_back_from_json(x: Any) -> None:
    fitted = Preprocessing.fit(x, left_out={0: "because"} if x.ndim == 2 else {})
    again = Preprocessing.from_plain(json.loads(json.dumps(fitted.plain())))
    assert again == fitted
    np.testing.assert_array_equal(again.apply(x), fitted.apply(x))


@pytest.mark.parametrize(("divisor", "method"), [(255.0, "divide"), (1.0, "none")])
def test_records_of_0_2_are_read(divisor: float, method: str) -> None:
    plain = {"shape": [8, 9], "dtype": "uint8", "divisor": divisor, "low": 0.0, "high": 255.0}
    old = Preprocessing.from_plain(plain)
    assert (old.method, old.table) == (method, None)
    np.testing.assert_array_equal(old.apply(IMAGES), IMAGES.reshape(ROWS, -1).astype(np.float32) / np.float32(divisor))


TABLES = Preprocessing.fit(TABLE).plain()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("numbers", [1, 2, 2]),
        ("numbers", [1, 2, 10**12]),
        ("names", ["a"]),
        ("fill", [1.0]),
        ("fill", [float("nan")] * 3),
        ("missing", [7]),
        ("texts", [[0, "ab"], 3]),
        ("left_out", None),
    ],
)
def test_records_that_make_no_sense_are_refused(key: str, value: object) -> None:
    Preprocessing.from_plain(TABLES)
    with pytest.raises(BadInput):
        Preprocessing.from_plain({**TABLES, "table": {**TABLES["table"], key: value}})
    with pytest.raises(BadInput):
        Preprocessing.from_plain({**TABLES, "shape": [10**12]})


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("Unnamed: 0", RNG.integers(0, 3, ROWS), "it has no name"),
        ("Id", np.arange(1, ROWS + 1), "it numbers the rows"),
        ("n", RNG.permutation(ROWS) + 7.0, "it numbers the rows"),
        ("n", np.arange(ROWS) * 3, "it numbers the rows"),  # after rows were taken out
        ("PassengerId", RNG.permutation(ROWS) * 13, "it identifies the rows"),
        ("customer_id", [f"c{i}" for i in range(ROWS)], "it identifies the rows"),
        ("when", pd.date_range("2026-01-01", periods=ROWS), "it holds dates"),
        ("when", ["2026-01-01", "2026-02-01"] * (ROWS // 2), "it holds dates"),
        ("when", ["31-Jan-2020", "01-Feb-20"] * (ROWS // 2), "it holds dates"),
        ("when", ["1/31/2020", "13.1.2021 12:00"] * (ROWS // 2), "it holds dates"),
        ("name", [f"n{i}" for i in range(ROWS)], "its texts are different"),
        ("const", np.ones(ROWS), "it is constant"),
        ("nothing", [np.nan] * ROWS, "it is constant"),
        ("alive", np.where(LABELS, "yes", "no"), "it is the label in other words"),
        ("alive", np.where(LABELS, "yes", np.arange(ROWS) % 4), None),  # a text for a part of a class
        ("one", LABELS, None),  # a number of two values may happen to fit
        ("income", RNG.permutation(ROWS) * 1013, None),  # all different, but no name of an id
        ("measured", RNG.normal(size=ROWS), None),
        ("valid", RNG.integers(0, 2, ROWS), None),
        ("colour", ["red", "blue", "red", None] * (ROWS // 4), None),
    ],
)
def test_columns_that_are_no_features(name: str, cells: Any, why: str | None, tmp_path: Path) -> None:
    frame = pd.DataFrame({name: cells, "x": RNG.normal(size=ROWS)})
    out = columns.left_out(frame, [*map(str, frame)], LABELS[: len(frame)])
    words = " ".join(map(str, Preprocessing.fit(frame, left_out=out).sentences()))
    assert (why is None) == ("left out" not in words)
    assert why is None or f"left out, as {why}" in words
    assert columns.left_out(frame, [*map(str, frame)], LABELS[: len(frame)], keep=[name, "x"]) == {}


def test_columns_by_name_in_files(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", TABLE.assign(n=range(ROWS)))
    assert parts(path).x_train.shape[1] == 6
    assert parts(path, columns=["fare", "n"]).x_train.shape[1] == 2
    assert parts(path, drop=["sex", "age"]).x_train.shape[1] == 2
    refused(lambda: parts(path, drop=["sexx"]), "drop: no column 'sexx'", "did you mean 'sex'?")
    refused(lambda: parts(path, columns=["n"], drop=["n"]), "no column is left", "drop names it")
    refused(lambda: parts(path, missing="error"), "8 of 40 features are missing", "column 'age'")
    np.savez(tmp_path / "t.npz", x=np.column_stack([np.arange(ROWS), RNG.normal(size=ROWS)]), y=LABELS)
    assert parts(tmp_path / "t.npz").x_train.shape[1] == 1
    assert parts(tmp_path / "t.npz", columns=["0", "1"]).x_train.shape[1] == 2
    refused(lambda: load("mnist-10k", drop=["a"]), "drop = ['a'] is for a file")


def test_of_a_few_rows_no_rule_speaks() -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["a", "b", "c"]})
    assert columns.left_out(frame, [*map(str, frame)], LABELS[: len(frame)]) == {}


def test_more_texts_than_inputs_can_stand_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.data.preprocessing.MOST_CATEGORIES", 1)
    assert "'sex'" in str(Preprocessing.fit(TABLE).sentences()[-1])
    assert Preprocessing.fit(TABLE, text="ordinal").inputs == 5


@pytest.mark.parametrize("change", [lambda x: x + 1e5, lambda x: -x, lambda x: x * np.nan])
def test_values_outside_the_training_part_change_nothing_of_it(change: Callable[..., Any], tmp_path: Path) -> None:
    numbers = TABLE[["age", "fare"]]
    path = written(tmp_path, "t.csv", numbers)
    first = parts(path)
    train = np.random.default_rng(1).permutation(ROWS)[:20]
    other = change(numbers)
    other.iloc[train] = numbers.iloc[train]
    assert parts(written(tmp_path, "t.csv", other)).preprocessing == first.preprocessing


def test_by_type_it_is_as_in_0_2(tmp_path: Path) -> None:
    path = written(tmp_path, "t.csv", TABLE[["fare"]].assign(n=range(ROWS)))
    inputs = parts(path, scale="type", missing="error").x_train
    rows = np.random.default_rng(1).permutation(ROWS)[:20]
    np.testing.assert_array_equal(inputs[:, 1], rows.astype(np.float32))
    assert Preprocessing.fit((IMAGES // 128).astype(np.uint8), scale="type").scale == (255,)
