"""Saved networks that were tampered with, and what comes of loading one."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import Model, load_model

RAW = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
"""Two images."""


def refused(path: Path, says: str = "") -> str:
    """What is said where a file is not loaded, in one line."""
    with pytest.raises(BadInput) as caught:
        load_model(path)
    message = str(caught.value)
    assert str(path) in message
    assert says in message
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert caught.value.exit_code == 2
    return message


def loaded(path: Path) -> Model | None:
    """The network, or None where the file is refused in one line."""
    try:
        return load_model(path)
    except BadInput as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


def answers(model: Model) -> tuple[bytes, Any]:
    """What a model says of some images, and of itself."""
    return model.probabilities(RAW).tobytes(), (model.class_names, model.about, model.preprocessing)


def contents(whole: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(whole), allow_pickle=False) as archive:
        return dict(archive)


def npy(header: str, payload: bytes = b"", *, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy member with this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + payload


def repacked(whole: bytes, path: Path, members: dict[str, bytes]) -> None:
    """The file with some members in place of its own, or besides."""
    with zipfile.ZipFile(io.BytesIO(whole)) as own:
        parts = {name: own.read(name) for name in own.namelist()} | members
    with zipfile.ZipFile(path, "w") as archive:
        for name, payload in parts.items():
            archive.writestr(name, payload)


DESCR = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
"""A .npy header but for the shape."""
WEIGHT = np.zeros((6, 2), np.float32).tobytes()
"""What the first layer of the file has for weights."""
