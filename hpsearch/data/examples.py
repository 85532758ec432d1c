"""Examples for a trained network, with or without labels, from archives, tables and pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from hpsearch.data import datasets, formats
from hpsearch.errors import BadArgument, BadData, MissingExtra

PICTURES = (".png", ".jpg", ".jpeg")
_ALLOWED = "allowed: .npz, .csv, .parquet, .png, .jpg, a folder of pictures"


@dataclass(frozen=True, slots=True)
class Adjustments:
    """Changes to a picture before a network sees it, in this order."""

    invert: bool = False  # make dark light and light dark: for dark ink on white paper
    # cut out what stands out from its ground and place it as MNIST's digits are: the longer side fills 20 of 28 parts,
    # and the centre of mass is in the middle. The ground becomes black and the brightest ink white.
    crop: bool = False
    resize: bool = False  # scale a picture of another size, keeping its proportions, and fill up with black


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Some rows of one file."""

    source: str  # the file, for people
    x: npt.NDArray[Any]  # (N, ...) uint8 or floats, finite
    labels: npt.NDArray[Any] | None = None  # (N,) whole numbers or strings, or None
    picture: bool = False  # True where the file is one picture, whose values are grey levels whatever they are


def read_examples(
    path: Path,
    shape: Sequence[int],
    *,
    label: str | None = None,
    adjustments: Adjustments = Adjustments(),
) -> list[Examples]:
    """Read the examples of a file by its ending.

    Args:
        path: A .npz, .csv, .parquet, .png or .jpg file, or a folder of pictures (itself only, by name).
        shape: Of an example that the network takes, for pictures.
        label: The column of the labels in a table; without it, the one called ``label`` where there is one.
        adjustments: Changes to pictures.

    Raises:
        BadData: Not there, of another kind, damaged, or of another size.
        BadArgument: An option that means nothing for such a file.
        MissingExtra: A library is needed that is not installed.
    """
    files = _files(path)
    kind = files[0].suffix.lower()
    if label is not None and kind not in (".csv", ".parquet"):
        raise BadArgument("label", label, f"it names a column, and {path} has none", "leave it out")
    if kind in PICTURES:
        try:
            from hpsearch.data.pictures import read_picture  # loads Pillow, an extra
        except ImportError as error:
            raise MissingExtra(f"reading {path} needs Pillow; pip install 'hpsearch[predict]'") from error
        return [Examples(str(file), read_picture(file, shape, adjustments), picture=True) for file in files]
    for name, given in dataclasses.asdict(adjustments).items():
        if given:
            raise BadArgument(name, None, f"it is for pictures, and {path} is none", "leave it out")
    if kind == ".npz":
        arrays = formats.read_npz(path, labelled=False)
    else:
        arrays = formats.read_table(path, label=label, labelled=False)
    x = datasets.features(arrays.x, str(path), columns=arrays.columns)
    labels = None if arrays.labels is None else datasets.labels(arrays.labels, str(path), examples=len(x))
    return [Examples(str(path), x, labels)]


def _files(path: Path) -> list[Path]:
    """Return the file itself, or the pictures in a folder."""
    try:
        if path.is_dir():
            pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
            if not pictures:
                raise BadData(f"{path} is a folder without pictures; give one with {', '.join(PICTURES)} files")
            return pictures
        if not path.exists():
            raise BadData(f"no file or folder {path}; {_ALLOWED}")
        if not path.is_file():
            raise BadData(f"{path} is no file; {_ALLOWED}")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    if path.suffix.lower() not in (".npz", ".csv", ".parquet", *PICTURES):
        raise BadData(f"{path} holds no examples that can be read; {_ALLOWED}")
    return [path]
