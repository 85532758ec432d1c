"""Pictures (.png, .jpg) as grey levels, or as colours for networks that saw colours."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.files import first_line, refuse_empty
from hpsearch.errors import BadData, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg")
_MOST_PIXELS = 10**8


def read_picture(
    path: Path, shape: Sequence[int], *, resize: bool = False, invert: bool = False
) -> npt.NDArray[np.uint8]:
    """One picture as an example of the shape that a network takes.

    What is transparent counts as black, as the digits' ground is; with ``invert`` as white paper.

    Args:
        path: A .png or .jpg file.
        shape: Of an example: (H, W), (H, W, 3) for colours, either with further sizes of 1, or (D,), which any picture
            of D pixels fits.
        resize: Scale a picture of another size, keeping its proportions, and fill up with black.
        invert: Make dark light and light dark, before anything is filled up: for dark ink on white paper.

    Returns:
        (1, ...) grey levels or colours, an example of this shape.

    Raises:
        BadData: No picture, of another size, or a shape that no picture has.
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra(f"reading {path} needs Pillow; pip install 'hpsearch[predict]'") from error
    refuse_empty(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG", "JPEG")) as opened:
                return _example(path, opened, tuple(shape), resize=resize, invert=invert)
    except BadData:
        raise
    # A damaged picture raises some ten kinds of exception, of zlib and struct among others.
    except Exception as error:
        raise BadData(f"{path} is no whole .png or .jpg picture: {first_line(error)}") from error


def _example(path: Path, opened: Image, shape: tuple[int, ...], *, resize: bool, invert: bool) -> npt.NDArray[np.uint8]:
    from PIL import ImageOps

    if opened.width * opened.height > _MOST_PIXELS:  # known before any pixel is read
        raise BadData(f"{path} is {opened.width}x{opened.height} pixels; at most {_MOST_PIXELS:,} are read")
    upright = ImageOps.exif_transpose(opened)
    height, width, colours = _wanted(path, upright, shape)
    image = _flat(upright, "RGB" if colours else "L", white=invert)
    if invert:
        image = ImageOps.invert(image)
    if image.size != (width, height):
        if not resize:
            raise BadData(
                f"{path} is {image.width}x{image.height} pixels, the network takes {width}x{height} (width x height); "
                "scale it, or use --resize"
            )
        image = ImageOps.pad(image, (width, height), method=3, color=0)  # 3 is bicubic
    pixels: npt.NDArray[np.uint8] = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(1, *shape)


def _wanted(path: Path, image: Image, shape: tuple[int, ...]) -> tuple[int, int, bool]:
    """Height, width, and whether in colour."""
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


def _flat(image: Image, mode: str, *, white: bool) -> Any:
    """A picture without transparency, in bytes of that mode."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits a pixel, which a conversion would cut off at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white" if white else "black")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert(mode)
