"""Reading .npz files from anybody: arrays of numbers and texts come out, or a refusal; nothing is run or unpickled.

NumPy's archives are zip files of .npy members. What `hpsearch.nn.saving` writes is not compressed, and only that is
read, so that no member is larger in memory than it is in the file, and the file's own size bounds all of them.
"""

from __future__ import annotations

import io
import math
import os
import stat
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.errors import BadInput

_MOST_MEMBERS = 10_000
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Damaged(ValueError):
    """A file that is no archive of the kind that is read here; says why."""


def write(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write arrays as an uncompressed .npz; the same arrays give the same bytes.

    Args:
        path: The file.
        arrays: Numbers and texts by name.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            # A ZipInfo of a name alone has no time of day in it, as one that np.savez makes has.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def read(path: Path) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an uncompressed .npz by name: floating-point numbers, read-only, and texts of no dimension.

    Args:
        path: The file.

    Raises:
        BadInput: It cannot be read.
        Damaged: It is something else, or broken.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for its writer
            raise BadInput(f"cannot read {path}: it is {'a folder' if path.is_dir() else 'no file'}")
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            with zipfile.ZipFile(stream) as archive:
                return _members(archive, size)
    except OSError as error:
        if error.errno is None:
            raise Damaged(str(error)) from error
        raise BadInput(f"cannot read {path}: {error.strerror}") from error
    except (BadInput, Damaged):
        raise
    # zipfile and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {' '.join(str(error).split())[:160]}") from error


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, npt.NDArray[Any]]:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise Damaged(f"{len(members)} members; at most {_MOST_MEMBERS:,} are read")
    if len({member.filename for member in members}) < len(members):
        raise Damaged("two members have one name")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
            raise Damaged(f"{member.filename!r} is compressed, which a saved network is not")
    # Members may overlap in a file that was made to deceive.
    if sum(member.file_size for member in members) > size:
        raise Damaged(f"its members have more bytes than its own {size}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy warns of headers by Python 2; Python warns of odd text in them
        return {_name(member): _array(archive.read(member), member.filename) for member in members}


def _name(member: zipfile.ZipInfo) -> str:
    name, dot, ending = member.filename.rpartition(".")
    if (dot, ending) != (".", "npy"):
        raise Damaged(f"{member.filename!r} is no array")
    return name


def _array(payload: bytes, name: str) -> npt.NDArray[Any]:
    stream = io.BytesIO(payload)
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise Damaged(f"{name!r} has version {version} of the .npy format")
    shape, by_column, dtype = _HEADERS[version](stream)
    if dtype.kind not in "fU" or (dtype.kind == "U" and shape != ()):
        raise Damaged(f"{name!r} holds {dtype} of shape {shape}; a saved network holds floats and texts")
    rest = memoryview(payload)[stream.tell() :]
    # Before anything of that size is made.
    if min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != len(rest):
        raise Damaged(f"{name!r} says {dtype} of shape {shape} and has {len(rest)} bytes")
    if by_column and len(shape) > 1:
        raise Damaged(f"{name!r} lies by columns")
    return np.frombuffer(rest, dtype).reshape(shape)


def text(array: npt.NDArray[Any]) -> str:
    """The text in an array of no dimension.

    Raises:
        Damaged: It holds something else.
    """
    if array.dtype.kind != "U":
        raise Damaged(f"{array.dtype} in place of text")
    order = "be" if array.dtype.str[0] == ">" else "le"
    try:
        return array.tobytes().decode(f"utf-32-{order}").rstrip("\0")
    except UnicodeDecodeError as error:
        raise Damaged("its text is no Unicode") from error
