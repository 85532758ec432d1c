"""One law: the same numbers mean the same whatever file and type they come in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tiny
from data_files import idx_bytes

from hpsearch.objectives.network import runtime
from hpsearch.records import Trial

N, D = 80, 64
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, N)
DATA: dict[str, npt.NDArray[np.int64]] = {  # by the scaling that `auto` decides for them
    "divide": RNG.integers(0, 256, (N, D)),
    "standardize": RNG.integers(0, [[2, 30, 40_000, 3_000_000]], (N, 4)),
}
Numbers = npt.NDArray[np.int64]


def npz(dtype: str) -> Callable[[Path, Numbers], Path]:
    def write(folder: Path, x: Numbers) -> Path:
        np.savez(folder / "a.npz", x=x.astype(dtype), y=LABELS)
        return folder / "a.npz"

    return write


def table(ending: str, dtype: Any = "int64", **options: Any) -> Callable[[Path, Numbers], Path]:
    def write(folder: Path, x: Numbers) -> Path:
        path = folder / f"a.{ending}"
        frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])]).assign(label=LABELS)
        if ending == "parquet":
            frame.to_parquet(path)
        else:
            frame.astype(dtype).to_csv(path, index=False, **options)
        return path

    return write


def idx(dtype: str) -> Callable[[Path, Numbers], Path]:
    def write(folder: Path, x: Numbers) -> Path:
        for what, values in (("images-idx3", x.astype(dtype)), ("labels-idx1", LABELS.astype("u1"))):
            (folder / f"train-{what}-ubyte").write_bytes(idx_bytes(values))
        return folder

    return write


FORMATS: dict[str, Callable[[Path, Numbers], Path]] = {
    **{f"{dtype} npz": npz(dtype) for dtype in ("int64", "float64", "int32", "float32")},
    "csv": table("csv"),
    "csv of floats, semicolons, decimal commas": table("csv", "float64", sep=";", decimal=","),
    "tsv": table("tsv", sep="\t"),
    "gzipped csv": table("csv.gz"),
    "parquet": table("parquet"),
    "IDX": idx("f8"),
}
GREY = {"uint8 npz": npz("uint8"), "IDX of bytes": idx("uint8")}


def results(path: Path) -> tuple[Any, ...]:
    """The scaled arrays' fingerprint, the scaling, and the scores and curves of two trials."""
    study = tiny.study("same", data={"name": None, "path": str(path)})
    split = runtime.load(study.sections)
    objective = runtime.objective(study.sections, split, seed=0, space=study.space)
    trials = [Trial(number, number, {"lr": lr, "weight_decay": 1e-6}) for number, lr in enumerate((0.01, 0.3))]
    outcomes, _ = tiny.evaluated(objective, trials)
    return split.fingerprint, split.preprocessing.method, [tiny.lasting(outcomes[number]) for number in outcomes]


@pytest.mark.parametrize("method", DATA)
def test_the_same_numbers_mean_the_same_in_every_format(method: str, tmp_path: Path) -> None:
    x = DATA[method]
    expected: tuple[Any, ...] | None = None
    for name, write in (FORMATS | (GREY if method == "divide" else {})).items():
        (folder := tmp_path / name).mkdir()
        read = results(write(folder, x))
        expected = expected or read
        assert read == expected, name
    assert expected is not None
    assert expected[1] == method
