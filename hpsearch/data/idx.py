"""The IDX format: arrays of bytes or numbers, big-endian, with their shape in front (MNIST's own format).

Header: two zero bytes, one byte for the type, one for the number of dimensions, then each dimension as a
big-endian uint32. What follows is the array in C order and nothing else.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadData

DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""The type byte of an IDX header and the NumPy type of what follows."""

_GZIP_MAGIC = b"\x1f\x8b"
_MOST_DIMENSIONS = 64  # NumPy's own limit
# Both spellings are about: train-images-idx3-ubyte (LeCun) and train-images.idx3-ubyte (many re-uploads).
_FILE_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx\d+-\w+(\.gz)?")


def read_idx(path: Path) -> npt.NDArray[Any]:
    """One IDX file as an array in native byte order.

    A file is taken as gzipped by its first two bytes, whatever its name says.

    Args:
        path: The file, gzipped or plain.

    Raises:
        BadData: No such file, or one that is not whole IDX.
    """
    payload = _payload(path)
    if len(payload) < 4:
        raise BadData(f"{path} is not an IDX file: {len(payload)} bytes, an IDX header has at least 4")
    if payload[:2] != b"\0\0" or payload[2] not in DTYPES:
        raise BadData(
            f"{path} is not an IDX file: it begins with {payload[:4].hex(' ')}, "
            "IDX begins with 00 00 and a type from 08 09 0b 0c 0d 0e"
        )
    dtype, dimensions = np.dtype(DTYPES[payload[2]]), payload[3]
    start = 4 + 4 * dimensions
    if dimensions > _MOST_DIMENSIONS:
        raise BadData(f"{path}: its header says {dimensions} dimensions; at most {_MOST_DIMENSIONS} can be read")
    if len(payload) < start:
        raise BadData(f"{path} is cut off inside its header: {len(payload)} of {start} bytes")
    shape = tuple(int(n) for n in np.frombuffer(payload, ">u4", dimensions, offset=4))
    expected, there = math.prod(shape) * dtype.itemsize, len(payload) - start
    if expected != there:
        what = "is cut off" if there < expected else "is too long"
        raise BadData(f"{path} {what}: its header says {expected} bytes of data, it has {there}")
    flat = np.frombuffer(payload, dtype, offset=start)
    try:
        # The copy is writeable and native; frombuffer's view is neither.
        return flat.astype(dtype.newbyteorder("=")).reshape(shape)
    except ValueError as error:  # no bytes, but dimensions that no array can have
        raise BadData(f"{path}: its header says shape {shape}, which no array can have") from error


def _payload(path: Path) -> bytes:
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
    """The IDX files of a folder by role, which is ``train-`` or ``t10k-`` and ``images`` or ``labels``.

    Args:
        folder: Where to look, itself only. A folder that is not there has no files.

    Raises:
        BadData: The folder is there and cannot be read.
    """
    try:
        # Descending, so that of a file and its .gz the plain one is found last and stays.
        files = sorted((file for file in folder.iterdir() if file.is_file()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadData(f"cannot look into {folder}: {error.strerror}") from error
    found: dict[str, Path] = {}
    for file in files:
        if match := _FILE_NAME.fullmatch(file.name):
            found[f"{match[1]}-{match[2]}"] = file
    return found


def read_idx_part(files: dict[str, Path], part: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
    """The images and labels of one part of a folder, or None where neither file is there.

    Args:
        files: What `find_idx` found.
        part: ``train`` or ``t10k``.

    Returns:
        Images (N, ...) and labels (N,).

    Raises:
        BadData: One file without the other, a damaged file, or counts that differ.
    """
    paths = {what: files.get(f"{part}-{what}") for what in ("images", "labels")}
    images_path, labels_path = paths["images"], paths["labels"]
    if images_path is None and labels_path is None:
        return None
    if images_path is None or labels_path is None:
        there, missing = ("labels", "images") if images_path is None else ("images", "labels")
        raise BadData(f"{paths[there]} is there without its {missing} ({part}-{missing}-idx...)")
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim < 1 or labels.ndim != 1:
        raise BadData(f"{labels_path} holds labels of shape {labels.shape}; one label per image is needed")
    if len(images) != len(labels):
        raise BadData(
            f"{images_path} holds {len(images)} images and {labels_path.name} {len(labels)} labels; "
            "the counts must agree"
        )
    return images, labels
