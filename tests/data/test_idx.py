from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hpsearch.data import read_idx

Writer = Callable[[npt.NDArray[Any]], bytes]
HEADER = struct.pack(">BBBBI", 0, 0, 0x08, 1, 3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    array=st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4))
    ),
    zipped=st.booleans(),
)
def test_what_is_written_is_read(array: npt.NDArray[Any], zipped: bool, idx_bytes: Writer, tmp_path: Path) -> None:
    content = idx_bytes(array)
    path = tmp_path / "array-idx"  # no ending: gzip is told by the content
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    read = read_idx(path)
    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.shape == array.shape
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"", ["is empty"]),
        (b"\0\0\x08", ["is not an IDX file", "3 bytes"]),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), ["is not an IDX file", "89 50 4e 47"]),
        (b"\0\0\x0a\x01" + bytes(8), ["is not an IDX file", "00 00 0a 01"]),
        (b"\0\0\x08\x03\0\0", ["cut off inside its header", "6 of 16 bytes"]),
        (HEADER + b"12", ["is cut off", "says 3 bytes of data, it has 2"]),
        (HEADER + b"1234", ["is too long", "says 3 bytes of data, it has 4"]),
        (b"\0\0\x08\xff" + bytes(4 * 255), ["says 255 dimensions"]),
        (struct.pack(">BBBB4I", 0, 0, 0x0E, 4, 0, *[2**32 - 1] * 3), ["which no array can have"]),
        (gzip.compress(HEADER + b"123" * 50, mtime=0)[:-12], ["is cut off", "gzip stream does not end"]),
        (b"\x1f\x8b" + b"nonsense" * 4, ["is damaged", "gzip"]),
        (gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20, ["is damaged", "gzip"]),  # a good header, a bad stream
        (gzip.compress(HEADER + b"123", mtime=0)[:-8] + bytes(8), ["is damaged", "gzip"]),
        (gzip.compress(b"", mtime=0), ["is not an IDX file", "0 bytes"]),
    ],
)
def test_damaged_files_are_refused_in_one_line(
    content: bytes, fragments: list[str], tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    refused(lambda: read_idx(path), str(path), *fragments)


def test_no_file(tmp_path: Path, refused: Callable[..., str]) -> None:
    refused(lambda: read_idx(tmp_path / "none"), "cannot read", "No such file")
    refused(lambda: read_idx(tmp_path), "cannot read", "Is a directory")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(content=st.binary(max_size=60), magic=st.sampled_from([b"", b"\0\0", b"\0\0\x08\x02", b"\x1f\x8b"]))
def test_no_bytes_whatever_bring_a_traceback(
    content: bytes, magic: bytes, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "any"
    path.write_bytes(magic + content)
    try:
        read_idx(path)
    except Exception:
        refused(lambda: read_idx(path), str(path))
