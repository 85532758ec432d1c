"""Pictures through Pillow: grey levels or colours, and folders of them as a data set."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch import files
from hpsearch.data import formats
from hpsearch.errors import BadData, MissingExtra
from hpsearch.records import Sentence
from hpsearch.text import either, listed

PICTURES = (".png", ".jpg", ".jpeg")
_OTHER_PICTURES = (".bmp", ".gif", ".heic", ".jfif", ".tif", ".tiff", ".webp")  # not read, which is said
_MAX_PIXELS = 5 * 10**7
_MAX_INPUTS = 10**6  # numbers of a picture that is an example of a data set


def pillow(path: Path) -> Any:
    """Return Pillow with its modules ``Image`` and ``ImageOps``, which a file needs."""
    try:
        import PIL.ImageOps  # an extra
    except ImportError as error:
        raise MissingExtra(f"reading {path} needs Pillow; pip install 'hpsearch[predict]'") from error
    return PIL


def decoded(path: Path, encoded: bytes | None = None) -> Any:
    """Return the pixels of a picture, upright: of a file, or of bytes from one."""
    pil = pillow(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            source = path if encoded is None else io.BytesIO(encoded)
            with pil.Image.open(source, formats=("PNG", "JPEG")) as opened:
                pixels = opened.width * opened.height
                if pixels <= _MAX_PIXELS:  # known before any pixel is read
                    return pil.ImageOps.exif_transpose(opened)
    # A damaged picture raises some ten kinds of exception, of zlib and struct among others.
    except Exception as error:
        raise BadData(f"{path} is no whole .png or .jpg picture: {files.first_line(error)}") from error
    raise BadData(f"{path} has {pixels:,} pixels; at most {_MAX_PIXELS:,} are read")


def flat(image: Any, mode: str, *, white: bool = False) -> Any:
    """Return a picture without transparency, in bytes of that mode; its ground is black unless ``white``."""
    pil = pillow(Path())
    if image.mode.startswith("I"):  # 16 bits a pixel, which a conversion would cut off at 255
        return pil.Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        ground = pil.Image.new("RGBA", image.size, "white" if white else "black")
        image = pil.Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert(mode)


def padded(image: Any, width: int, height: int) -> Any:
    """Return a picture scaled to a size; its proportions stay, and the rest is black."""
    pil = pillow(Path())
    return pil.ImageOps.pad(image, (width, height), method=pil.Image.Resampling.BICUBIC, color=0)


def stacked(pictures: Iterable[tuple[Path, bytes | None]], resize: int | None = None) -> npt.NDArray[np.uint8]:
    """Return pictures of one size, `padded` to ``resize``: (N, H, W), or (N, H, W, 3) where any has colours."""
    arrays: list[npt.NDArray[np.uint8]] = []
    first, size = Path(), 0
    for path, encoded in pictures:
        picture = flat(decoded(path, encoded), "RGB")
        image = np.asarray(picture if resize is None else padded(picture, resize, resize))  # (H, W, 3)
        if (image == image[:, :, :1]).all():
            image = image[:, :, :1]
        if not arrays:
            first = path
        elif image.shape[:2] != arrays[0].shape[:2]:
            sizes = ["x".join(map(str, shape[1::-1])) for shape in (arrays[0].shape, image.shape)]
            raise BadData(
                f"{first} is {sizes[0]} pixels, {path} is {sizes[1]}; resize = {min(arrays[0].shape[:2])} scales all"
            )
        if image.size > _MAX_INPUTS:
            raise BadData(
                f"{path} has {image.size:,} numbers; at most {_MAX_INPUTS:,} are read; resize = 64 scales all"
            )
        arrays.append(image)
        size += image.size
        files.check_size(path, size, packed=size)
    channels = max(image.shape[2] for image in arrays)
    every = np.stack([np.broadcast_to(image, (*image.shape[:2], channels)) for image in arrays])
    return every if channels > 1 else every[..., 0]


def files_in(folder: Path) -> list[Path]:
    """Return the pictures directly in a folder, by name, without hidden ones (macOS has a ._1.png beside 1.png)."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in PICTURES and file.is_file())
    return sorted(file for file in files if not file.name.startswith("."))


def parts_in(folder: Path) -> dict[str, Path]:
    """Return the folders directly in a folder that hold one of `formats.PARTS`."""
    return {
        part: path for path in folders_in(folder) for part, names in formats.PARTS.items() if path.name.lower() in names
    }


def read_folder(folder: Path, resize: int | None = None) -> formats.Arrays:
    """Read a folder of pictures by class: a subfolder a class, or such subfolders below each of `formats.PARTS`."""
    while len(below := folders_in(folder)) == 1 and not files_in(below[0]):  # as some archives unpack
        folder = below[0]
    parts = {part: {path: files_in(path) for path in folders_in(of)} for part, of in parts_in(folder).items()}
    if not any(parts.get("training", {}).values()):
        parts = {"training": {path: files_in(path) for path in below}}
    classes = {part: {path.name: files for path, files in of.items() if files} for part, of in parts.items()}
    if not classes["training"]:
        raise BadData(
            f"{folder} holds no data: give a folder with a subfolder of {', '.join(PICTURES)} pictures for each class "
            "(or with train and test, which hold them), or with IDX files"
        )
    arrays: dict[tuple[str, str], npt.NDArray[Any]] = {}
    for part, of_class in classes.items():
        if of_class:
            arrays[part, "x"] = stacked(((file, None) for files in of_class.values() for file in files), resize)
            arrays[part, "labels"] = np.repeat(list(of_class), [len(files) for files in of_class.values()])
    read = formats.joined(folder, arrays, labelled=True)
    found = {path: files for of in parts.values() for path, files in of.items()}
    others = [file.name for path in found for file in path.iterdir() if file.suffix.lower() in _OTHER_PICTURES]
    left = {
        "without pictures": [path.name for path, files in found.items() if not files],
        "without classes": [part for part, of_class in classes.items() if not of_class],
        f"no {either(PICTURES)}": sorted(others),
    }
    notes = [Sentence(f"left out, {why}: {listed(names)}") for why, names in left.items() if names]
    return formats.Arrays(read.x, read.labels, read.x_test, read.labels_test, notes=(*read.notes, *notes))


def folders_in(folder: Path) -> Sequence[Path]:
    """Return the folders directly in a folder, by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))
