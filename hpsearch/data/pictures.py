"""Pictures (.png, .jpg) as grey levels, or as colours for networks that saw colours."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from hpsearch.data.formats import first_line, refuse_empty
from hpsearch.errors import BadArgument, BadData
from hpsearch.records import Argument

if TYPE_CHECKING:
    from hpsearch.data.examples import Adjustments

_MAX_PIXELS = 5 * 10**7
_CROP_PIXELS = 1000
"""Pixels along a picture's longer side that suffice to find the digit in it."""
_FAINT = 16
"""Of 255 grey levels: a smaller difference from the ground is noise."""


def read_picture(path: Path, shape: Sequence[int], adjustments: Adjustments) -> npt.NDArray[np.uint8]:
    """Read one picture as an example of the shape that a network takes.

    Transparent pixels count as black, as the digits' ground is; to be inverted they count as white paper.

    Args:
        path: A .png or .jpg file.
        shape: Of an example: (H, W), (H, W, 3) for colours, either with further sizes of 1, or (D,), which any picture
            of D pixels fits.
        adjustments: Changes that come first.

    Returns:
        (1, ...) grey levels or colours, an example of this shape.

    Raises:
        BadData: No picture, of another size, or a shape that no picture has.
    """
    upright = _decoded(path)
    height, width, colours = _wanted(path, upright, tuple(shape))
    image = _flat(upright, "RGB" if colours else "L", white=adjustments.invert)
    if adjustments.invert:
        image = ImageOps.invert(image)
    if adjustments.crop:
        if colours:
            raise BadArgument(
                "crop", None, f"{path} goes to a network of colours, crop to one of grey levels", "leave it out"
            )
        longest = max(_CROP_PIXELS, height, width)
        image.thumbnail((longest, longest))  # a photograph has more pixels than a digit needs, and noise in each
        return _placed(path, np.asarray(image, dtype=np.float64), height, width).reshape(1, *shape)
    if image.size != (width, height):
        if not adjustments.resize:
            raise BadData(
                f"{path} is {image.width}x{image.height} pixels, the network takes {width}x{height} (width x height); "
                "scale it, or use {} or {}",
                Argument("resize"),
                Argument("crop"),
            )
        image = ImageOps.pad(image, (width, height), method=3, color=0)  # 3 is bicubic
    pixels: npt.NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(1, *shape)


def _decoded(path: Path) -> Image.Image:
    """Return a picture's pixels, upright."""
    refuse_empty(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(path, formats=("PNG", "JPEG")) as opened:
                pixels = opened.width * opened.height
                if pixels <= _MAX_PIXELS:  # known before any pixel is read
                    return ImageOps.exif_transpose(opened)
    # A damaged picture raises some ten kinds of exception, of zlib and struct among others.
    except Exception as error:
        raise BadData(f"{path} is no whole .png or .jpg picture: {first_line(error)}") from error
    raise BadData(f"{path} has {pixels:,} pixels; at most {_MAX_PIXELS:,} are read")


def _placed(path: Path, levels: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Cut out the ink and place it as MNIST's digits are (LeCun et al. 1998, section III.A)."""
    levels = levels - np.median(levels)  # the ground is most of a picture
    if levels.max() < _FAINT:
        raise BadData(
            f"{path}: nothing in it is lighter than its ground, so there is nothing to crop to; try {{}}",
            Argument("invert"),
        )
    ink = np.clip(levels / levels.max(), 0, 1)
    rows, columns = (np.flatnonzero((ink > 0.5).any(axis=axis)) for axis in (1, 0))
    margin = max(len(levels) // 100, 1)  # strokes fade out beyond what is half as light as the lightest
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    part = ink[top : rows[-1] + 1 + margin, left : columns[-1] + 1 + margin]
    scale = min(height, width) * 20 / 28 / max(part.shape)
    size = max(round(part.shape[1] * scale), 1), max(round(part.shape[0] * scale), 1)
    small = Image.fromarray((part * 255).astype(np.uint8)).resize(size, resample=3)
    digit = np.asarray(small)
    mass = digit.sum(dtype=np.float64)
    centre = [float((np.arange(n) + 0.5) @ digit.sum(axis=1 - axis) / mass) for axis, n in enumerate(digit.shape)]
    corner = [
        min(max(round(whole / 2 - at), 0), whole - n)
        for whole, at, n in zip((height, width), centre, digit.shape, strict=True)
    ]
    placed = np.zeros((height, width), dtype=np.uint8)
    placed[corner[0] : corner[0] + digit.shape[0], corner[1] : corner[1] + digit.shape[1]] = digit
    return placed


def _wanted(path: Path, image: Image.Image, shape: tuple[int, ...]) -> tuple[int, int, bool]:
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
    raise BadData(
        f"{path} is a picture of {image.width}x{image.height} pixels, and the network takes examples of "
        f"{'x'.join(map(str, shape))} numbers"
    )


def _flat(image: Image.Image, mode: str, *, white: bool) -> Image.Image:
    """Return a picture without transparency, in bytes of that mode."""
    if image.mode.startswith("I"):  # 16 bits a pixel, which a conversion would cut off at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white" if white else "black")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert(mode)
