"""What the data tests share: no data of the machine in sight, IDX files, and errors that must be one line."""

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


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty cache folder; whatever data the machine has is out of sight."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv("HPSEARCH_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("hpsearch.data.datasets.DEBIAN_FOLDER", folder / "debian")
    return folder


@pytest.fixture(scope="session")
def idx_bytes() -> Callable[[npt.NDArray[Any]], bytes]:
    """Writes the IDX format, from its definition: the inverse of what is tested."""

    def write(array: npt.NDArray[Any]) -> bytes:
        kind = f"{array.dtype.kind}{array.dtype.itemsize}"
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, _TYPE_BYTES[kind], array.ndim, *array.shape)
        return header + array.astype(array.dtype.newbyteorder(">")).tobytes()

    return write


@pytest.fixture
def write_part(idx_bytes: Callable[[npt.NDArray[Any]], bytes]) -> Callable[..., None]:
    """Writes images and labels of one part into a folder, with MNIST's file names."""

    def write(folder: Path, part: str = "train", *, n: int = 20, zipped: bool = True, grey: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        images = np.full((n, 3, 2), grey, dtype=np.uint8)
        labels = (np.arange(n) % 4).astype(np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            content = idx_bytes(array)
            path = folder / f"{part}-{name}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(content) if zipped else content)

    return write


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """Asserts that a call raises BadData with a message of one line that holds all the fragments."""

    def check(call: Callable[[], object], *fragments: str) -> str:
        with pytest.raises(BadData) as caught:
            call()
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        for fragment in fragments:
            assert fragment in message
        return message

    return check
