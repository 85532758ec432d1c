"""Readers of files, one per format: arrays as they are, before any check of their content."""

from __future__ import annotations

import gzip
import math
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadData

_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DIMENSIONS = 64  # NumPy's own limit
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


def read(path: Path, *, label: str | None = None) -> Arrays:
    """Read a file by its ending: .npz, .csv or .parquet (with a column ``label``), or a folder of IDX files.

    Raises:
        BadData: Not there, of another kind, damaged, or without labels.
        MissingExtra: A .parquet file without pyarrow installed.
    """
    try:
        is_folder = path.is_dir()
        if not is_folder and not path.exists():
            raise BadData(f"no file or folder {path}; give a .npz, .csv or .parquet file or a folder of IDX files")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    kind = "folder" if is_folder else path.suffix.lower()
    if kind in (".csv", ".parquet"):
        return read_table(path, label=label)
    if kind not in ("folder", ".npz"):
        raise BadData(f"{path} is no data that can be read; allowed: .npz, .csv, .parquet, a folder of IDX files")
    if label is not None:
        raise BadData(f"label = {label!r} names a column, and {path} has none; leave label out")
    return read_idx_folder(path) if is_folder else read_npz(path)


def refuse_empty(path: Path) -> None:
    """Raise BadData for a file that has no byte or cannot be read."""
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadData(f"{path} is empty")
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error


def first_line(error: Exception) -> str:
    """Return the beginning of a library's message as one line of at most 160 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:160]


# IDX, MNIST's own format: two zero bytes, one byte for the type, one for the number of dimensions, each dimension as a
# big-endian uint32, then the array in C order and nothing else.


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Read one IDX file, gzipped (by its first two bytes) or plain, as an array in native byte order."""
    content = _unzipped(path)
    if len(content) < 4:
        raise BadData(f"{path} is not an IDX file: {len(content)} bytes, an IDX header has at least 4")
    if content[:2] != b"\0\0" or content[2] not in _IDX_DTYPES:
        raise BadData(
            f"{path} is not an IDX file: it begins with {content[:4].hex(' ')}, "
            "IDX begins with 00 00 and a type from 08 09 0b 0c 0d 0e"
        )
    dtype, dimensions = np.dtype(_IDX_DTYPES[content[2]]), content[3]
    start = 4 + 4 * dimensions
    if dimensions > _MAX_DIMENSIONS:
        raise BadData(f"{path}: its header says {dimensions} dimensions; at most {_MAX_DIMENSIONS} can be read")
    if len(content) < start:
        raise BadData(f"{path} is cut off inside its header: {len(content)} of {start} bytes")
    shape = tuple(int(n) for n in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected, size = math.prod(shape) * dtype.itemsize, len(content) - start
    if expected != size:
        problem = "is cut off" if size < expected else "is too long"
        raise BadData(f"{path} {problem}: its header says {expected} bytes of data, it has {size}")
    flat = np.frombuffer(content, dtype, offset=start)
    try:
        # The copy is writeable and native; frombuffer's view is neither.
        return flat.astype(dtype.newbyteorder("=")).reshape(shape)
    except ValueError as error:  # no bytes, but dimensions that no array can have
        raise BadData(f"{path}: its header says shape {shape}, which no array can have") from error


def _unzipped(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    if not content:
        raise BadData(f"{path} is empty")
    if content[:2] != _GZIP_MAGIC:
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise BadData(f"{path} is cut off: its gzip stream does not end; fetch it again") from error
    except (OSError, zlib.error) as error:
        raise BadData(f"{path} is damaged: its gzip stream does not unpack ({error})") from error


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
    train = _idx_pair(files, "train")
    if train is None:
        raise BadData(
            f"{folder} holds no train-images-idx3-ubyte and train-labels-idx1-ubyte (plain or .gz); "
            "a folder of data is a folder of IDX files"
        )
    return Arrays(*train, *(_idx_pair(files, "t10k") or (None, None)))


def _idx_pair(files: dict[str, Path], part: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """Read the images (N, ...) and labels (N,) of one part; None where it has neither file."""
    images_path, labels_path = files.get(f"{part}-images"), files.get(f"{part}-labels")
    if images_path is None and labels_path is None:
        return None
    if images_path is None or labels_path is None:
        missing = "images" if images_path is None else "labels"
        raise BadData(f"{images_path or labels_path} is there without its {missing} ({part}-{missing}-idx...)")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim < 1 or labels.ndim != 1:
        raise BadData(f"{labels_path} holds labels of shape {labels.shape}; one label per image is needed")
    if len(images) != len(labels):
        raise BadData(
            f"{images_path} holds {len(images)} images and {labels_path.name} {len(labels)} labels; "
            "the counts must agree"
        )
    return images, labels


def read_npz(path: Path, *, labelled: bool = True) -> Arrays:
    """Read a NumPy archive with ``x`` and ``y``, or ``images`` and ``labels``; it has labels if ``labelled``."""
    refuse_empty(path)
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is not a whole .npz file: NumPy's archives are zip files, this is none or cut off")
    try:
        # Opened here, because np.load leaves its own file open where the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            x = _npz_array(path, archive, "x", "images")
            if labelled or {"y", "labels"} & set(archive.files):
                return Arrays(x, _npz_array(path, archive, "y", "labels"))
            return Arrays(x, None)
    except BadData:
        raise
    # zipfile, zlib and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise BadData(f"{path} is damaged: {first_line(error)}") from error


def _npz_array(path: Path, archive: Any, *names: str) -> npt.NDArray[Any]:
    name = next((name for name in names if name in archive.files), None)
    if name is None:
        has = ", ".join(archive.files) or "(none)"
        raise BadData(f"{path} has no array {' or '.join(map(repr, names))}; it has: {has}")
    try:
        return np.asarray(archive[name])
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise BadData(
                f"{path}: {name} is an array of Python objects, which is never loaded (that could run code); "
                "save numbers or strings"
            ) from error
        raise


def read_table(path: Path, *, label: str | None = None, labelled: bool = True) -> Arrays:
    """Read a .csv or .parquet table; see `hpsearch.data.tables.read_table`."""
    from hpsearch.data import tables  # loads pandas, and a worker must start without it

    return tables.read_table(path, label=label, labelled=labelled)
