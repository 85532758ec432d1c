"""Readers of files, one per format: arrays as they are, before any check of their content."""

from __future__ import annotations

import errno
import gzip
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadData
from hpsearch.text import either

TABLES = (".csv", ".parquet")
_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NPZ_NAMES = {"x": ("x", "images"), "labels": ("y", "labels")}  # of each array in an .npz file, the first one counts
# Both spellings are about: train-images-idx3-ubyte (LeCun) and train-images.idx3-ubyte (many re-uploads).
_IDX_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx\d+-\w+(\.gz)?")


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Arrays as they were read."""

    x: npt.NDArray[Any]  # (N, ...) features
    labels: npt.NDArray[Any] | None  # (N,) label values; None where the file has none
    x_test: npt.NDArray[Any] | None = None  # (M, ...) features of a test part of its own, or None
    labels_test: npt.NDArray[Any] | None = None  # (M,) its label values, or None
    columns: tuple[str, ...] = ()  # the D names of the features of a table, for messages


def kind_of(path: Path, endings: Sequence[str], *also: str, folder: bool = True) -> str:
    """Return a file's ending, one of ``endings``, or ``folder`` for a folder, where one is allowed.

    BadData, which names the endings and what is ``also`` allowed, is raised for any other, for what is not there or may
    not be read, and for an empty file; nothing is read.
    """
    allowed = either([*endings, *also])
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # also for a name that is too long, or has a NUL byte
        raise BadData(f"cannot read {path}: {first_line(error)}; give {allowed}") from error
    if not os.access(path, os.R_OK):
        raise BadData(f"cannot read {path}: {os.strerror(errno.EACCES)}")
    if stat.S_ISDIR(status.st_mode) and folder:
        return "folder"
    kind = path.suffix.lower()
    if not stat.S_ISREG(status.st_mode) or kind not in endings:
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no file that can be read"
        raise BadData(f"{path} is {what}; give {allowed}")
    if not status.st_size:
        raise BadData(f"{path} is empty")
    return kind


def read(path: Path, *, label: str | None = None, labelled: bool = True) -> Arrays:
    """Read a file by its ending: .npz, .csv or .parquet (with a column ``label``), or a folder of IDX files.

    Raises:
        BadData: Not there, of another kind, damaged, or without labels where it must be ``labelled``.
        MissingExtra: A .parquet file without pyarrow installed.
    """
    kind = kind_of(path, (".npz", *TABLES), "a folder of IDX files")
    if kind in TABLES:
        from hpsearch.data import tables  # loads pandas, and a worker must start without it

        return tables.read_table(path, label=label, labelled=labelled)
    if label is not None:
        raise BadData(f"label = {label!r} names a column, and {path} has none; leave label out")
    return read_npz(path, labelled=labelled) if kind == ".npz" else read_idx_folder(path)


def first_line(error: Exception) -> str:
    """Return the reason of a library's error as one line of at most 160 characters."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0].strip()[:160]


# IDX, MNIST's own format: two zero bytes, one byte for the type, one for the number of dimensions, each dimension as a
# big-endian uint32, then the array in C order and nothing else.


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Read one IDX file, gzipped (by its first two bytes) or plain, as an array in native byte order."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"cannot read {path}: {first_line(error)}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_DTYPES:
        raise BadData(
            f"{path} is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, "
            "IDX begins with 00 00 and a type from 08 09 0b 0c 0d 0e"
        )
    dtype, dimensions = np.dtype(_IDX_DTYPES[content[2]]), content[3]
    try:
        shape = np.frombuffer(content, ">u4", dimensions, offset=4)
        values = np.frombuffer(content, dtype, offset=4 + shape.nbytes).reshape(shape.tolist())
    except ValueError as error:
        raise BadData(f"{path} is cut off or damaged: its size is not what its header says ({error})") from error
    return values.astype(dtype.newbyteorder("="))  # the copy is writeable and native


def find_idx(folder: Path) -> dict[str, Path]:
    """Return the IDX files directly in a folder by role (``train-images``, ``t10k-labels``); none for no folder."""
    try:
        # Descending, so that of a file and its .gz the plain one comes last and stays.
        files = sorted((file for file in folder.iterdir() if file.is_file()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadData(f"cannot look into {folder}: {error.strerror}") from error
    return {f"{match[1]}-{match[2]}": file for file in files if (match := _IDX_NAME.fullmatch(file.name))}


def read_idx_folder(folder: Path) -> Arrays:
    """Read a folder with MNIST's file names: train-images and train-labels, and the t10k pair where it has one."""
    files = find_idx(folder)
    arrays: list[Any] = []
    for part in ("train", "t10k"):
        missing = [role for role in (f"{part}-images", f"{part}-labels") if role not in files]
        if len(missing) == 1 or (missing and part == "train"):
            raise BadData(
                f"{folder} holds no {' and no '.join(missing)}; a folder of data has IDX files: "
                "train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz, and t10k's for a test part"
            )
        arrays += [None, None] if missing else [read_idx(files[f"{part}-images"]), read_idx(files[f"{part}-labels"])]
    return Arrays(*arrays)


def read_npz(path: Path, *, labelled: bool = True) -> Arrays:
    """Read a NumPy archive with ``x`` and ``y``, or ``images`` and ``labels``; it has labels if ``labelled``."""
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is not a whole .npz file: NumPy's archives are zip files, this is none or cut off")
    try:
        # Opened here, because np.load leaves its own file open where the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            there = archive.files
            given = {role: next((name for name in names if name in there), None) for role, names in _NPZ_NAMES.items()}
            arrays = {role: np.asarray(archive[name]) for role, name in given.items() if name is not None}
    # zipfile, zlib and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise BadData(f"cannot read {path}: {first_line(error)}; save whole arrays of numbers or strings") from error
    for role, names in _NPZ_NAMES.items():
        if role not in arrays and (labelled or role == "x"):
            has = ", ".join(there) or "(none)"
            raise BadData(f"{path} has no array {' or '.join(map(repr, names))}; it has: {has}")
    return Arrays(arrays["x"], arrays.get("labels"))
