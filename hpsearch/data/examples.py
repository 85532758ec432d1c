"""What a trained network is to look at: examples with or without labels, from archives, tables and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from hpsearch.data import checks, pictures
from hpsearch.data.formats import read_npz_examples
from hpsearch.data.tables import read_table_examples
from hpsearch.errors import BadData, BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

_ALLOWED = "allowed: .npz, .csv, .parquet, .png, .jpg, a folder of pictures"


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Some rows of one file.

    Args:
        source: The file, for people.
        x: (N, ...) uint8 or floats, finite.
        labels: (N,) whole numbers or strings, or None.
        picture: Whether the file is one picture, whose values are grey levels whatever they are.
    """

    source: str
    x: npt.NDArray[Any]
    labels: npt.NDArray[Any] | None = None
    picture: bool = False


def read_examples(
    path: Path, shape: Sequence[int], *, label: str | None = None, resize: bool = False, invert: bool = False
) -> list[Examples]:
    """What a path holds, read by its ending.

    Args:
        path: A .npz, .csv, .parquet, .png or .jpg file, or a folder of pictures (itself only, by name).
        shape: Of an example that the network takes, for pictures.
        label: The column of the labels in a table; without it, the one called ``label`` where there is one.
        resize: For pictures, as `hpsearch.data.pictures.read_picture` says.
        invert: Likewise.

    Raises:
        BadData: Not there, of another kind, damaged, or of another size.
        BadInput: An option that means nothing for such a file.
        MissingExtra: A library is needed that is not installed.
    """
    files = _files(path)
    if files[0].suffix.lower() in pictures.ENDINGS:
        if label is not None:
            raise BadInput(f"--label {label} names a column, and {path} has none; leave it out")
        return [
            Examples(str(file), pictures.read_picture(file, shape, resize=resize, invert=invert), picture=True)
            for file in files
        ]
    if resize or invert:
        raise BadInput(f"{'--resize' if resize else '--invert'} is for pictures, and {path} is none; leave it out")
    if path.suffix.lower() == ".npz":
        if label is not None:
            raise BadInput(f"--label {label} names a column, and {path} has none; leave it out")
        x, labels = read_npz_examples(path)
    else:
        x, labels = read_table_examples(path, label=label)
    x = checks.features(x, str(path))
    return [Examples(str(path), x, None if labels is None else checks.labels(labels, str(path), examples=len(x)))]


def _files(path: Path) -> list[Path]:
    """The file itself, or the pictures in a folder."""
    try:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.suffix.lower() in pictures.ENDINGS)
            if not found:
                raise BadData(f"{path} is a folder without pictures; give one with {', '.join(pictures.ENDINGS)} files")
            return found
        if not path.exists():
            raise BadData(f"no file or folder {path}; {_ALLOWED}")
        if not path.is_file():
            raise BadData(f"{path} is no file; {_ALLOWED}")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadData(f"cannot read {path}: {error.strerror}") from error
    if path.suffix.lower() not in (".npz", ".csv", ".parquet", *pictures.ENDINGS):
        raise BadData(f"{path} holds no examples that can be read; {_ALLOWED}")
    return [path]
