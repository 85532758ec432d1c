"""Pictures become the grey levels that a network takes, or are refused in one line."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from data_files import refused
from PIL import Image

from hpsearch.data import load
from hpsearch.data.examples import Adjustments, read_examples
from hpsearch.errors import BadArgument, MissingExtra

GREY = np.random.default_rng(0).integers(0, 256, (6, 4)).astype(np.uint8)
Bytes = npt.NDArray[np.uint8]
Read = Callable[..., Bytes]


def png(pixels: Bytes, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads a picture of pixels, or of a file's bytes, as an example of a shape."""

    def read(picture: Bytes | bytes, shape: tuple[int, ...] = (6, 4), **adjustments: bool) -> Bytes:
        path = tmp_path / "a.png"
        path.write_bytes(picture if isinstance(picture, bytes) else png(picture))
        [examples] = read_examples(path, shape, adjustments=Adjustments(**adjustments))
        assert examples.picture
        assert isinstance(examples.x, np.ndarray)
        return examples.x

    return read


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 1), (1, 6, 4), (24,)])
def test_a_png_of_the_right_size_comes_as_it_is(read: Read, shape: tuple[int, ...]) -> None:
    x = read(GREY, shape)
    assert (x.dtype, x.shape) == (np.dtype(np.uint8), (1, *shape))
    np.testing.assert_array_equal(x.reshape(6, 4), GREY)
    np.testing.assert_array_equal(read(255 - GREY, shape, invert=True), x)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "I;16"])
def test_every_kind_of_png_has_the_same_grey_levels(read: Read, mode: str) -> None:
    stream = io.BytesIO()
    picture = Image.fromarray(GREY.astype(np.uint16) * 257 if mode == "I;16" else GREY)
    (picture if mode == "I;16" else picture.convert(mode)).save(stream, "PNG")
    np.testing.assert_array_equal(read(stream.getvalue())[0], GREY)


def test_colours_stay_where_the_network_takes_them(read: Read) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)
    np.testing.assert_array_equal(read(colours, (6, 4, 3))[0], colours)
    with pytest.raises(BadArgument, match="goes to a network of colours"):
        read(colours, (6, 4, 3), crop=True)


@pytest.mark.parametrize(("ink", "invert"), [(0, True), (255, False)])
def test_what_is_transparent_is_black_or_paper(read: Read, ink: int, invert: bool) -> None:
    pixels = np.zeros((6, 4, 4), dtype=np.uint8)  # transparent black
    pixels[2, 1] = (ink, ink, ink, 255)
    x = read(pixels, invert=invert)[0]
    assert (x[2, 1], x.sum()) == (255, 255)


def test_a_photograph_is_turned_upright(read: Read) -> None:
    flat = np.repeat(np.repeat(GREY, 8, 0), 8, 1)  # blocks that JPEG keeps
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the file's left is the picture's top
    x = read(png(np.rot90(flat), "JPEG", quality=100, exif=exif), (48, 32))[0]
    assert np.abs(x.astype(int) - flat).max() < 4


def test_another_size_is_refused_with_both_sizes_or_scaled_and_filled_up(read: Read) -> None:
    wide = np.full((30, 60), 200, dtype=np.uint8)
    refused(lambda: read(wide, (20, 20)), "a.png is 60x30 pixels, the network takes 20x20", "resize")
    x = read(wide, (20, 20), resize=True)[0]
    assert (x[:5].max(), x[15:].max()) == (0, 0)  # the proportions stay
    np.testing.assert_array_equal(x[5:15], 200)
    np.testing.assert_array_equal(read(wide, (400,), resize=True).reshape(20, 20), x)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (280, 280), (300, 200), (90, 400), (2400, 1800)])
@pytest.mark.parametrize("dark", [False, True])
def test_a_cropped_digit_stands_in_the_middle_at_the_size_of_mnist_s(
    read: Read, height: int, width: int, dark: bool
) -> None:
    digit = np.full((height, width), 40, dtype=np.uint8)  # grey on dark grey, as a photograph is
    for row in range(height // 4, height // 2):  # a 1 that leans, anywhere but in the middle
        digit[row, width // 8 + row // 4 : width // 8 + row // 4 + max(width // 14, 1)] = 167
    x = read(255 - digit if dark else digit, (28, 28), crop=True, invert=dark)[0].astype(float)
    rows, columns = np.flatnonzero(x.any(axis=1)), np.flatnonzero(x.any(axis=0))
    assert max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1 in range(16, 23)
    for axis in (0, 1):
        assert abs((np.arange(28) + 0.5) @ x.sum(axis=axis) / x.sum() - 14) <= 1
    assert (x.min(), x.max() > 200) == (0, True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"no picture", "is no whole .png or .jpg picture"),
        (png(GREY)[:40], "is no whole .png or .jpg picture"),
        (png(GREY)[:-30], "is no whole .png or .jpg picture"),
        (png(GREY).replace(b"\0\0\0\x04\0\0\0\x06", b"\x7f\xff\xff\xff\x7f\xff\xff\xff"), "is no whole"),
        (png(GREY, "GIF"), "is no whole .png or .jpg picture"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(read: Read, content: bytes, says: str) -> None:
    refused(lambda: read(content), says)


@pytest.mark.parametrize("shape", [(23,), (6, 4, 2), (2, 3, 4)])
def test_an_example_that_is_no_picture_is_refused(read: Read, shape: tuple[int, ...]) -> None:
    refused(lambda: read(GREY, shape), "is a picture of 4x6 pixels, the network takes ")


def test_pictures_that_are_refused_before_they_are_used(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, empty = png(GREY), np.full((30, 30), 255, dtype=np.uint8)
    refused(lambda: read(empty, (28, 28), crop=True), "nothing in it is lighter than its ground", "try invert")
    monkeypatch.setattr("hpsearch.data.pictures._MAX_PIXELS", 23)
    refused(lambda: read(GREY), "has 24 pixels; at most 23 are read")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"a\.png needs Pillow; pip install 'hpsearch\[predict\]'"):
        read(whole)


def write(folder: Path, classes: dict[str, list[Bytes]], parts: Iterable[str] = ("",)) -> Path:
    """Write a folder of pictures by class, once for each part."""
    for part in parts:
        for name, pictures in classes.items():
            (folder / part / name).mkdir(parents=True)
            for i, pixels in enumerate(pictures):
                (folder / part / name / f"{i}.PNG").write_bytes(png(pixels))
    return folder


CLASSES = {"cat": [GREY, 255 - GREY], "dog": [GREY.T.reshape(6, 4)]}


@pytest.mark.parametrize(
    ("parts", "n", "n_test"),
    [([""], 3, 0), (["train", "test"], 3, 3), (["training", "Testing"], 3, 3), (["train", "val", "test"], 6, 3)],
)
def test_a_folder_of_pictures_by_class(parts: list[str], n: int, n_test: int, tmp_path: Path) -> None:
    folder = write(tmp_path, CLASSES, parts)
    (folder / ".DS_Store").touch()
    (folder / parts[0] / "cat" / "._0.PNG").touch()
    (folder / "__MACOSX").mkdir()
    dataset = load(path=folder)
    assert isinstance(dataset.x, np.ndarray)
    assert (dataset.x.shape, dataset.x.dtype, dataset.class_names) == ((n, 6, 4), np.dtype(np.uint8), ("cat", "dog"))
    np.testing.assert_array_equal(dataset.x[0], GREY)
    assert dataset.labels.tolist() == [0, 0, 1] * (n // 3)
    assert (0 if dataset.x_test is None else len(dataset.x_test)) == n_test
    assert ["validation part (3) joins" in str(note) for note in dataset.notes] == [True] * (n == 6)


def test_a_folder_around_the_folder_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    write(tmp_path / "archive" / "flowers", CLASSES, ["train"])
    (tmp_path / "archive" / "flowers" / "test").mkdir()
    (tmp_path / "archive" / "flowers" / "train" / "cat" / "2.webp").touch()
    dataset = load(path=tmp_path)
    words = " ".join(map(str, dataset.notes))
    assert (len(dataset.x), dataset.class_names) == (3, ("cat", "dog"))
    assert "left out, without classes: test" in words
    assert "left out, no .png, .jpg or .jpeg: 2.webp" in words


def test_colours_stay_and_grey_pictures_join_them(tmp_path: Path) -> None:
    colours = np.stack([GREY, GREY.T.reshape(6, 4), GREY], axis=2)
    x = load(path=write(tmp_path, {"a": [colours], "b": [GREY, np.stack([GREY] * 3, axis=2)]})).x
    assert isinstance(x, np.ndarray)
    np.testing.assert_array_equal(x, [colours, np.stack([GREY] * 3, axis=2), np.stack([GREY] * 3, axis=2)])


def test_folders_that_are_refused(tmp_path: Path) -> None:
    write(tmp_path, CLASSES)
    (tmp_path / "none").mkdir()
    (tmp_path / "cat" / "._0.png").write_bytes(b"what macOS puts beside each file")
    assert "left out, without pictures: none" in " ".join(map(str, load(path=tmp_path).notes))
    (tmp_path / "cat" / "9.png").write_bytes(png(GREY[:5]))
    refused(lambda: load(path=tmp_path), "0.PNG is 4x6 pixels", "9.png is 4x5; resize = 4 scales all")
    x = load(path=tmp_path, resize=8).x
    assert isinstance(x, np.ndarray)
    assert x.shape == (4, 8, 8)
    for i, name in enumerate(("cat/0.PNG", "cat/1.PNG")):  # `predict` scales them alike
        np.testing.assert_array_equal(
            read_examples(tmp_path / name, (8, 8), adjustments=Adjustments(resize=True))[0].x[0], x[i]
        )
    refused(
        lambda: load(path=tmp_path, resize=1001),
        "resize = 1001: pictures alone are scaled, to 1 to 1,000 pixels a side",
    )
    (tmp_path / "cat" / "9.png").write_bytes(b"")
    refused(lambda: load(path=tmp_path), "9.png is no whole .png or .jpg picture")
    refused(lambda: load(path=tmp_path / "dog"), "holds no data: give a folder with a subfolder of .png")


@pytest.mark.parametrize("record", [True, False])
def test_pictures_in_a_parquet_file(record: bool, tmp_path: Path) -> None:
    """Hugging Face's data sets keep them as records of bytes and path."""
    cells = [{"bytes": png(p), "path": None} if record else png(p) for p in (GREY, 255 - GREY)]
    path = tmp_path / "some.parquet"
    pd.DataFrame({"image": cells, "id": [1, 2], "label": [4, 7]}).to_parquet(path)
    dataset = load(path=path)
    np.testing.assert_array_equal(dataset.x, [GREY, 255 - GREY])
    assert dataset.class_names == ("4", "7")
    assert "left out, beside the pictures in 'image': 'id'" in " ".join(map(str, dataset.notes))
    cells[1] = {"bytes": b"oops", "path": None} if record else b"oops"
    pd.DataFrame({"image": cells, "label": [4, 7]}).to_parquet(path)
    refused(lambda: load(path=path), "row 2 is no whole .png or .jpg picture")
    pd.DataFrame({"image": [cells[0], None], "label": [4, 7]}).to_parquet(path)
    refused(lambda: load(path=path), "row 2 has no picture")


def test_pictures_to_classify_are_labelled_by_their_folders(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path, CLASSES), (6, 4))
    assert [str(part.labels) for part in examples] == ["['cat']", "['cat']", "['dog']"]
    assert [part.labels for part in read_examples(tmp_path / "dog", (6, 4))] == [None]
