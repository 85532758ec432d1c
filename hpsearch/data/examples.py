"""Examples for a trained network, with or without labels, from archives, tables and pictures."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch import files
from hpsearch.data import datasets, formats
from hpsearch.data.columns import Raw
from hpsearch.data.pictures import PICTURES, decoded, files_in, flat, folders_in, padded, parts_in, pillow
from hpsearch.errors import BadArgument, BadData
from hpsearch.records import Argument, Sentence

if TYPE_CHECKING:
    from PIL.Image import Image

_CROP_PIXELS = 1000  # pixels along a picture's longer side that suffice to find the digit in it
_FAINT = 16  # of 255 grey levels: a smaller difference from the ground is noise


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
    x: Raw  # (N, ...) uint8 or floats, or a frame; see `datasets.features`
    labels: npt.NDArray[Any] | None = None  # (N,) whole numbers or strings, or None
    picture: bool = False  # True where the file is one picture, whose values are grey levels whatever they are
    notes: tuple[Sentence, ...] = ()  # what was decided in reading it


def read_examples(
    path: Path,
    shape: Sequence[int],
    *,
    label: str | None = None,
    columns: Collection[str] = (),
    header: bool | None = None,
    encoding: str | None = None,
    adjustments: Adjustments = Adjustments(),
) -> list[Examples]:
    """Read the examples of an .npz file, a table, a picture, or a folder of IDX files or of pictures, by name.

    Of what has a test part that is read. Where a folder has no pictures but subfolders of them, these are called after
    their labels.

    Args:
        path: The file or folder; ``header`` and ``encoding`` are those of `datasets.load`.
        shape: Of an example that the network takes, for pictures.
        label: The column of the labels in a table; without it, one of a usual name (`tables.LABELS`), if any.
        columns: Those of a table that the network takes: none of them is guessed to hold the labels.
        adjustments: Changes to pictures.

    BadArgument is raised for an option that means nothing for such a file, else the errors of `formats.read`.
    """
    kind = files.kind_of(path, (".npz", *formats.TABLES, *PICTURES), "a folder of pictures")
    if label is not None and kind not in formats.TABLES:
        raise BadArgument("label", label, f"it names a column, and {path} has none", "leave it out")
    if kind in PICTURES:
        return [Examples(str(path), _read_picture(path, shape, adjustments), picture=True)]
    if kind == "folder" and not formats.find_idx_folder(path):
        of_part = parts_in(path).get("test", path)
        notes = (Sentence(f"{path}: its test part is taken"),) if of_part != path else ()
        pictures: list[tuple[Path, Any]] = [(file, None) for file in files_in(of_part)] or [
            (file, np.array([folder.name])) for folder in folders_in(of_part) for file in files_in(folder)
        ]
        if not pictures:
            raise BadData(f"{path} is a folder without pictures; give one with {', '.join(PICTURES)} files")
        return [
            Examples(str(file), _read_picture(file, shape, adjustments), label_of, True, notes)
            for file, label_of in pictures
        ]
    if adjustments.crop or adjustments.invert:
        name = "crop" if adjustments.crop else "invert"
        raise BadArgument(name, None, f"it is for pictures, and {path} is none", "leave it out")
    of_table: dict[str, Any] = {"label": label, "header": header, "encoding": encoding, "columns": columns}
    arrays = formats.read(path, labelled=False, **(of_table if kind in formats.TABLES else {}))
    x = datasets.features(arrays.x, str(path), columns=arrays.columns)
    labels = None if arrays.labels is None else datasets.labels(arrays.labels, str(path), examples=len(x))
    return [Examples(str(path), x, labels, notes=arrays.notes)]


def _read_picture(path: Path, shape: Sequence[int], adjustments: Adjustments) -> npt.NDArray[np.uint8]:
    """Read one picture as an example (1, ...) of the shape that a network takes, in grey levels or colours.

    Such a shape is (H, W), (H, W, 3) for colours, either with further sizes of 1, or (D,), which any picture of D
    pixels fits. Transparent pixels count as black, as the digits' ground is; to be inverted they count as white paper.
    """
    pil, upright = pillow(path), decoded(path)
    height, width, colours = _wanted(path, upright, tuple(shape))
    image = flat(upright, "RGB" if colours else "L", white=adjustments.invert)
    if adjustments.invert:
        image = pil.ImageOps.invert(image)
    if adjustments.crop:
        if colours:
            raise BadArgument("crop", None, f"{path} goes to a network of colours", "leave it out")
        longest = max(_CROP_PIXELS, height, width)
        image.thumbnail((longest, longest))  # a photograph has more pixels than a digit needs, and noise in each
        return _placed(pil, path, np.asarray(image, dtype=np.float64), height, width).reshape(1, *shape)
    if image.size != (width, height):
        if not adjustments.resize:
            raise BadData(
                f"{path} is {image.width}x{image.height} pixels, the network takes {width}x{height} (width x height); "
                "scale it, or use {} or {}",
                Argument("resize"),
                Argument("crop"),
            )
        image = padded(image, width, height)
    pixels: npt.NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(1, *shape)


def _placed(pil: Any, path: Path, levels: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Cut out the ink and place it as MNIST's digits are (LeCun et al. 1998, section III.A)."""
    levels = levels - np.median(levels)  # the ground is most of a picture
    if levels.max() < _FAINT:
        raise BadData(f"{path}: nothing in it is lighter than its ground; try {{}}", Argument("invert"))
    ink = pil.Image.fromarray((np.clip(levels / levels.max(), 0, 1) * 255).astype(np.uint8))
    margin = max(len(levels) // 100, 1)  # strokes fade out beyond what is half as light as the lightest
    left, top, right, bottom = ink.point(lambda level: 255 * (level > 127)).getbbox()
    part = ink.crop((left - margin, top - margin, right + margin, bottom + margin))  # black beyond the edges
    scale = min(height, width) * 20 / 28 / max(part.size)
    digit = part.resize([max(round(n * scale), 1) for n in part.size], pil.Image.Resampling.BICUBIC)
    levels = np.asarray(digit, dtype=np.float64)
    corner = []
    for whole, n, mass in zip((width, height), digit.size, (levels.sum(axis=0), levels.sum(axis=1)), strict=True):
        centre = (np.arange(n) + 0.5) @ mass / mass.sum()
        corner.append(min(max(round(whole / 2 - centre), 0), whole - n))
    placed = pil.Image.new("L", (width, height))
    placed.paste(digit, corner)
    return np.asarray(placed)


def _wanted(path: Path, image: Image, shape: tuple[int, ...]) -> tuple[int, int, bool]:
    """Return the height and width that the network takes, and True for colours."""
    sizes = tuple(size for size in shape if size > 1) or (1,)
    match sizes:
        case (height, width):
            return height, width, False
        case (height, width, 3):
            return height, width, True
        case (inputs,) if inputs == image.width * image.height and len(shape) == 1:
            return image.height, image.width, False
        case (inputs,) if math.isqrt(inputs) ** 2 == inputs:
            return math.isqrt(inputs), math.isqrt(inputs), False
    takes = "x".join(map(str, shape))
    raise BadData(f"{path} is a picture of {image.width}x{image.height} pixels, the network takes {takes} numbers")
