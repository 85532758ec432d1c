"""One law: the same numbers mean the same whatever file and type they come in."""

from __future__ import annotations

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
    "divide 255": RNG.integers(0, 256, (N, D)),
    "divide 16": RNG.integers(0, 17, (N, D)),
    "none 1": RNG.integers(0, 2, (N, D)),
    "standardize": RNG.integers(0, [[2, 30, 40_000, 3_000_000]], (N, 4)),
}
FORMS: list[tuple[str, str, dict[str, str]]] = [
    *(("npz", dtype, {}) for dtype in ("int64", "float64", "int32", "float32")),
    *(("csv", "int64", {}), ("csv.gz", "int64", {}), ("tsv", "int64", {"sep": "\t"})),
    *(("csv", "float64", {"sep": ";", "decimal": ","}), ("parquet", "int64", {}), ("parquet", "float64", {})),
    ("idx", "float64", {}),
]
GREY: list[tuple[str, str, dict[str, str]]] = [
    *((form, "uint8", {}) for form in ("npz", "images.npz", "idx", "parquet")),
    ("images.npz", "float64", {}),
]


def written(folder: Path, x: npt.NDArray[Any], form: str, options: dict[str, Any]) -> Path:
    path = folder / f"a.{form}"
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])]).assign(label=LABELS)
    match form:
        case "npz":
            np.savez(path, x=x, y=LABELS)
        case "images.npz":
            np.savez(path, x=x.reshape(N, 8, -1), y=LABELS)
        case "parquet":
            frame.to_parquet(path)
        case "idx":
            (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(x))
            (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(LABELS.astype("u1")))
            return folder
        case _:
            frame.to_csv(path, index=False, **options)
    return path


def results(path: Path) -> tuple[Any, ...]:
    """The scaled arrays' fingerprint, the scaling, and the scores and curves of two trials."""
    study = tiny.study("same", data={"name": None, "path": str(path)})
    split = runtime.load(study.sections)
    objective = runtime.objective(study.sections, split, seed=0, space=study.space)
    trials = [Trial(number, number, {"lr": lr, "weight_decay": 1e-6}) for number, lr in enumerate((0.01, 0.3))]
    outcomes, _ = tiny.evaluated(objective, trials)
    how, scale = split.preprocessing.method, split.preprocessing.scale
    how += f" {scale[0]:g}" * (len(scale) == 1)
    return split.fingerprint, how, [tiny.lasting(outcomes[number]) for number in outcomes]


@pytest.mark.parametrize("method", DATA)
def test_the_same_numbers_mean_the_same_in_every_format(method: str, tmp_path: Path) -> None:
    expected = None
    for i, (form, dtype, options) in enumerate(FORMS + GREY * (method != "standardize")):
        (folder := tmp_path / str(i)).mkdir()
        read = results(written(folder, DATA[method].astype(dtype), form, options))
        expected = expected or read
        assert read == expected, (form, dtype)
        assert read[1] == method
