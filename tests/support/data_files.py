"""IDX files, written from the format's definition, and errors of data that must be one line."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from hpsearch.errors import BadData

_TYPE_BYTES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: npt.NDArray[Any]) -> bytes:
    """Return an array in the IDX format: the inverse of `hpsearch.data.read_idx`."""
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _TYPE_BYTES[kind], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_part(folder: Path, part: str = "train", *, n: int = 20, zipped: bool = True, grey: int = 0) -> None:
    """Write images and labels of one part into a folder, with MNIST's file names."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.full((n, 3, 2), grey, dtype=np.uint8)
    labels = (np.arange(n) % 4).astype(np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        content = idx_bytes(array)
        path = folder / f"{part}-{name}-ubyte{'.gz' if zipped else ''}"
        path.write_bytes(gzip.compress(content) if zipped else content)


def refused(call: Callable[[], object], *fragments: str) -> None:
    """Assert that a call raises BadData with a message of one line that holds all the fragments."""
    with pytest.raises(BadData) as caught:
        call()
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    for fragment in fragments:
        assert fragment in message
