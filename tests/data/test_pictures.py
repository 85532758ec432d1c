"""Pictures become the grey levels that a network takes, or are refused in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from hpsearch.data.examples import Adjustments, read_examples
from hpsearch.errors import BadArgument, BadData, MissingExtra

GREY = np.random.default_rng(0).integers(0, 256, (6, 4)).astype(np.uint8)
Bytes = npt.NDArray[np.uint8]


def read_picture(
    path: Path, shape: tuple[int, ...], *, resize: bool = False, crop: bool = False, invert: bool = False
) -> Bytes:
    """Read one picture as an example of this shape."""
    [examples] = read_examples(path, shape, adjustments=Adjustments(resize=resize, crop=crop, invert=invert))
    assert examples.picture
    return examples.x


def digit(height: int = 28, width: int = 28) -> Bytes:
    """A bright 1 that leans, on black, anywhere but in the middle."""
    made = np.zeros((height, width), dtype=np.uint8)
    for row in range(height // 4, height // 2):
        made[row, width // 8 + row // 4 : width // 8 + row // 4 + max(width // 14, 1)] = 255
    return made


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 1), (1, 6, 4), (24,)])
def test_a_png_of_the_right_size_comes_as_it_is(tmp_path: Path, shape: tuple[int, ...]) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", shape)
    assert (found.dtype, found.shape) == (np.dtype(np.uint8), (1, *shape))
    np.testing.assert_array_equal(found.reshape(6, 4), GREY)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Image.fromarray(GREY).convert("RGB"),
        lambda: Image.fromarray(GREY).convert("RGBA"),
        lambda: Image.fromarray(GREY).convert("LA"),
        lambda: Image.fromarray(GREY).convert("P"),
        lambda: Image.fromarray(GREY.astype(np.uint16) * 257),
    ],
)
def test_every_kind_of_png_has_the_same_grey_levels(tmp_path: Path, make: Callable[[], Image.Image]) -> None:
    make().save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", (6, 4))[0], GREY)


def test_colours_stay_where_the_network_takes_them(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", (6, 4, 3))[0], colours)
    with pytest.raises(BadArgument, match="goes to a network of colours"):
        read_picture(tmp_path / "a.png", (6, 4, 3), crop=True)


def test_what_is_transparent_is_black_or_paper(tmp_path: Path) -> None:
    ink = np.zeros((6, 4, 4), dtype=np.uint8)  # transparent black
    ink[2, 1] = (0, 0, 0, 255)
    Image.fromarray(ink).save(tmp_path / "ink.png")
    found = read_picture(tmp_path / "ink.png", (6, 4), invert=True)[0]
    assert (found[2, 1], found.sum()) == (255, 255)
    ink[2, 1] = (255, 255, 255, 255)
    Image.fromarray(ink).save(tmp_path / "ink.png")
    found = read_picture(tmp_path / "ink.png", (6, 4))[0]
    assert (found[2, 1], found.sum()) == (255, 255)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    flat = np.repeat(np.repeat(GREY, 8, 0), 8, 1)  # blocks that JPEG keeps
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the file's left is the picture's top
    Image.fromarray(np.rot90(flat)).save(tmp_path / "a.jpg", quality=100, exif=exif)
    found = read_picture(tmp_path / "a.jpg", (48, 32))[0]
    assert np.abs(found.astype(int) - flat).max() < 4


def test_inverting_twice_is_the_picture(tmp_path: Path) -> None:
    Image.fromarray(255 - GREY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png", (6, 4), invert=True)[0], GREY)


def test_another_size_is_refused_with_both_sizes_or_scaled_and_filled_up(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 60), 200, dtype=np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(BadData, match=r"a\.png is 60x30 pixels, the network takes 20x20 .*resize"):
        read_picture(tmp_path / "a.png", (20, 20))
    found = read_picture(tmp_path / "a.png", (20, 20), resize=True)[0]
    assert (found[:5].max(), found[15:].max()) == (0, 0)  # the proportions stay
    np.testing.assert_array_equal(found[5:15], 200)
    flat = read_picture(tmp_path / "a.png", (400,), resize=True)
    np.testing.assert_array_equal(flat.reshape(20, 20), found)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (280, 280), (300, 200), (90, 400), (2400, 1800)])
@pytest.mark.parametrize("dark", [False, True])
def test_a_cropped_digit_stands_in_the_middle_at_the_size_of_mnist_s(
    tmp_path: Path, height: int, width: int, dark: bool
) -> None:
    drawn = 40 + digit(height, width) // 2  # grey on dark grey, as a photograph is
    Image.fromarray(255 - drawn if dark else drawn).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", (28, 28), crop=True, invert=dark)[0].astype(float)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 in range(16, 23)
    assert abs((np.arange(28) + 0.5) @ found.sum(axis=1) / found.sum() - 14) <= 1
    assert abs((np.arange(28) + 0.5) @ found.sum(axis=0) / found.sum() - 14) <= 1
    assert (found.min(), found.max() > 200) == (0, True)


def test_a_picture_of_nothing_is_not_cropped(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 30), 255, dtype=np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(BadData, match=r"nothing in it is lighter than its ground.*try invert"):
        read_picture(tmp_path / "a.png", (28, 28), crop=True)


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "PNG")
    return stream.getvalue()


def gif() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(GREY).save(stream, "GIF")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"no picture", "is no whole .png or .jpg picture"),
        (png()[:40], "is no whole .png or .jpg picture"),
        (png()[:-30], "is no whole .png or .jpg picture"),
        (png().replace(b"\x00\x00\x00\x04\x00\x00\x00\x06", b"\x7f\xff\xff\xff\x7f\xff\xff\xff"), "no whole"),
        (gif(), "is no whole .png or .jpg picture"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadData) as caught:
        read_picture(tmp_path / "a.png", (6, 4))
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_picture_of_too_many_pixels_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.data.pictures._MAX_PIXELS", 23)
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(BadData, match="has 24 pixels; at most 23 are read"):
        read_picture(tmp_path / "a.png", (6, 4))


@pytest.mark.parametrize("shape", [(23,), (6, 4, 2), (2, 3, 4)])
def test_an_example_that_is_no_picture_is_said(tmp_path: Path, shape: tuple[int, ...]) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    with pytest.raises(BadData, match="is a picture of 4x6 pixels, and the network takes examples of"):
        read_picture(tmp_path / "a.png", shape)


def test_without_pillow_what_to_install_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "hpsearch.data.pictures", raising=False)
    monkeypatch.delattr("hpsearch.data.pictures", raising=False)
    with pytest.raises(MissingExtra, match=r"a\.png needs Pillow; pip install 'hpsearch\[predict\]'"):
        read_picture(tmp_path / "a.png", (6, 4))
