"""Data from files (.npz, .csv, .parquet, folders of IDX files), as arrays before any check of content."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.files import first_line, refuse_empty
from hpsearch.data.idx import find_idx, read_idx_part
from hpsearch.data.tables import read_table
from hpsearch.errors import BadData


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Arrays as they were read.

    Args:
        x: (N, ...) features.
        labels: (N,) label values.
        x_test: (M, ...) features of a test part of its own, or None.
        labels_test: (M,) its label values, or None.
    """

    x: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    x_test: npt.NDArray[Any] | None = None
    labels_test: npt.NDArray[Any] | None = None


def read(path: Path, *, label: str | None = None) -> Raw:
    """What a path holds, read by its ending: .npz, .csv, .parquet, or a folder of IDX files.

    Args:
        path: A file or a folder.
        label: The column of the labels in a .csv or .parquet file; without it, the one called ``label``.

    Raises:
        BadData: Not there, of another kind, or damaged.
        MissingExtra: A .parquet file without pyarrow installed.
    """
    try:
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            raise BadData(f"no file or folder {path}; give a .npz, .csv or .parquet file or a folder of IDX files")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    kind = "folder" if is_folder else path.suffix.lower()
    if kind not in ("folder", ".npz", ".csv", ".parquet"):
        raise BadData(f"{path} is no data that can be read; allowed: .npz, .csv, .parquet, a folder of IDX files")
    if label is not None and kind not in (".csv", ".parquet"):
        raise BadData(f"label = {label!r} names a column, and {path} has none; leave label out")
    match kind:
        case "folder":
            return read_idx_folder(path)
        case ".npz":
            return read_npz(path)
        case _:
            return Raw(*read_table(path, label=label))


def read_idx_folder(folder: Path, found: dict[str, Path] | None = None) -> Raw:
    """A folder with MNIST's file names: train-images and train-labels, and the t10k pair where it is there.

    Args:
        folder: The folder.
        found: What `find_idx` found in it, where that is known already.

    Raises:
        BadData: No training part, or a damaged file.
    """
    files = find_idx(folder) if found is None else found
    train = read_idx_part(files, "train")
    if train is None:
        raise BadData(
            f"{folder} holds no train-images-idx3-ubyte and train-labels-idx1-ubyte (plain or .gz); "
            "a folder of data is a folder of IDX files"
        )
    return Raw(*train, *(read_idx_part(files, "t10k") or (None, None)))


def read_npz(path: Path) -> Raw:
    """A NumPy archive with ``x`` and ``y``, or ``images`` and ``labels``.

    Raises:
        BadData: Damaged, without these arrays, or with arrays of Python objects.
    """
    x, labels = _npz(path, labelled=True)
    assert labels is not None
    return Raw(x, labels)


def read_npz_examples(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    """The examples of a NumPy archive, and their labels where it has any.

    Args:
        path: With ``x`` or ``images``, and perhaps ``y`` or ``labels``.

    Raises:
        BadData: Damaged, without examples, or with arrays of Python objects.
    """
    return _npz(path, labelled=False)


def _npz(path: Path, *, labelled: bool) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None]:
    refuse_empty(path)
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is not a whole .npz file: NumPy's archives are zip files, this is none or cut off")
    try:
        # Opened here, because np.load leaves its own file open where the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = archive.files
            x_name = _pick(path, names, "x", "images")
            y_name = _pick(path, names, "y", "labels") if labelled or {"y", "labels"} & set(names) else None
            return _array(path, archive, x_name), None if y_name is None else _array(path, archive, y_name)
    except BadData:
        raise
    # zipfile, zlib and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise BadData(f"{path} is damaged: {first_line(error)}") from error


def _pick(path: Path, names: list[str], *wanted: str) -> str:
    for name in wanted:
        if name in names:
            return name
    raise BadData(f"{path} has no array {' or '.join(map(repr, wanted))}; it has: {', '.join(names) or '(none)'}")


def _array(path: Path, archive: Any, name: str) -> npt.NDArray[Any]:
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise BadData(
                f"{path}: {name} is an array of Python objects, which is never loaded (that could run code); "
                "save numbers or strings"
            ) from error
        raise
