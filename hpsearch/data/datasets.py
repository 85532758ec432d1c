"""Data sets by name or path, and the checks that every array passes: finite features, labels of two classes or more."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data import formats
from hpsearch.errors import BadData, MissingExtra, nearest
from hpsearch.records import Action, Sentence

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package dataset-fashion-mnist puts its files
SHIPPED = "shipped with hpsearch"
WITH_SKLEARN = "shipped with scikit-learn"

# Features are trained on as float32, so a larger one would turn into infinity there.
_FLOAT32_MAX = np.float64(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled examples, checked: finite features, a class for each example, two classes or more."""

    name: str  # name of the data set, or of the file
    x: npt.NDArray[Any]  # (N, ...) uint8 grey levels or floats
    labels: npt.NDArray[np.int64]  # (N,) int64 in 0..C-1
    class_names: tuple[str, ...]  # the C label values as they were given; in numeric order where all are numbers
    x_test: npt.NDArray[Any] | None  # (M, ...) the data set's own test part, or None
    labels_test: npt.NDArray[np.int64] | None  # (M,) its labels, or None
    source: str  # the place that it was read from, for people

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True)
class Known:
    """A data set that has a name: its numbers of images, their height and width, and the way to get it."""

    images: int
    test_images: int
    shape: tuple[int, int]
    classes: int
    remedy: Sentence


KNOWN = {
    "mnist-10k": Known(10_000, 0, (28, 28), 10, Sentence()),
    "digits": Known(1_797, 0, (8, 8), 10, Sentence('pip install "hpsearch[data]"')),
    "mnist": Known(60_000, 10_000, (28, 28), 10, Sentence("{}", (Action("data fetch", {"name": "mnist"}),))),
    "fashion-mnist": Known(
        60_000,
        10_000,
        (28, 28),
        10,
        Sentence("{}, or Debian's package dataset-fashion-mnist", (Action("data fetch", {"name": "fashion-mnist"}),)),
    ),
}


def load(
    name: str | None = None,
    *,
    path: Path | None = None,
    label: str | None = None,
    data_dir: Path | None = None,
) -> Dataset:
    """Load a data set by its name in `KNOWN`, or from a .npz, .csv or .parquet file or a folder of IDX files.

    Args:
        name: Of a known data set; this or ``path``.
        path: Of a file or folder.
        label: The column of the labels in a table; ``label`` unless given.
        data_dir: The folder that is searched first for a named data set.

    Raises:
        BadData: Unknown, not found, damaged, or not fit to be learned from.
        MissingExtra: A library is needed that is not installed.
    """
    if path is not None:
        if name is not None:
            raise BadData(f"both name = {name!r} and path = {str(path)!r} are given; give one of them")
        path = path.expanduser()
        return _assemble(path.stem or str(path), formats.read(path, label=label), str(path))
    if name is None:
        raise BadData(f"no data set is given; give a path, or a name: {', '.join(sorted(KNOWN))}")
    if name not in KNOWN:
        raise BadData(f"no data set {name!r}{nearest(name, KNOWN)}; a file of your own goes under path")
    if label is not None:
        raise BadData(f"label = {label!r} names a column of a file, and {name} has none; leave label out")
    match name:
        case "mnist-10k":
            return _assemble(name, _shipped(), SHIPPED)
        case "digits":
            return _assemble(name, _digits(), WITH_SKLEARN)
        case _:
            folder = _find(name, data_dir)
            if folder is None:
                searched = ", ".join(str(place) for place in places(name, data_dir))
                remedy = KNOWN[name].remedy
                raise BadData(f"{name} is not in {searched}; get it with {remedy.text}", *remedy.mentions)
            return _assemble(name, formats.read_idx_folder(folder), str(folder))


def whereabouts(name: str, data_dir: Path | None = None) -> str | None:
    """Return the place that a data set of `KNOWN` would be read from, None where it is not here; nothing is read."""
    if name not in KNOWN:
        raise BadData(f"no data set {name!r}{nearest(name, KNOWN)}")
    if name == "mnist-10k":
        return SHIPPED
    if name == "digits":
        return WITH_SKLEARN if importlib.util.find_spec("sklearn") else None
    folder = _find(name, data_dir)
    return None if folder is None else str(folder)


def cache_folder(name: str) -> Path:
    """Return the folder of the user's cache that keeps a downloaded data set."""
    # The specification of base directories says to ignore a relative path here.
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "hpsearch" / name


def places(name: str, data_dir: Path | None = None) -> list[Path]:
    """Return the folders that may hold a data set of IDX files, in order; ``data_dir`` comes first."""
    roots = [] if data_dir is None else [data_dir.expanduser()]
    if variable := os.environ.get("HPSEARCH_DATA"):
        roots.append(Path(variable).expanduser())
    folders: list[Path] = []
    for root in roots:
        # MNIST and Fashion-MNIST have the same file names, so a folder called after one of them is never
        # taken for the other, and the subfolder goes before the folder itself.
        folders.append(root / name)
        if root.name not in KNOWN or root.name == name:
            folders.append(root)
    folders.append(cache_folder(name))
    if name == "fashion-mnist":
        folders.append(DEBIAN_FOLDER)
    return folders


def _find(name: str, data_dir: Path | None) -> Path | None:
    for folder in places(name, data_dir):
        # Half a training part counts as found, so that the message is about the missing half.
        if {"train-images", "train-labels"} & set(formats.find_idx(folder)):
            return folder
    return None


def _shipped() -> formats.Arrays:
    return formats.read_npz(Path(__file__).with_name("mnist_10k.npz"))


def _digits() -> formats.Arrays:
    try:
        from sklearn.datasets import load_digits  # an extra
    except ImportError as error:
        raise MissingExtra('the data set digits comes with scikit-learn; pip install "hpsearch[data]"') from error
    bunch = load_digits()
    # Grey levels 0..16 become 0..1, as the other images' do in a split; a sixteenth is exact in binary.
    return formats.Arrays((bunch.images / 16).astype(np.float32), bunch.target)


def _assemble(name: str, raw: formats.Arrays, source: str) -> Dataset:
    assert raw.labels is not None  # the readers refuse a file without labels
    x = features(raw.x, name, columns=raw.columns)
    values = labels(raw.labels, name, examples=len(x))
    names = class_names(values, name)
    x_test, labels_test = None, None
    if raw.x_test is not None and raw.labels_test is not None:
        where = f"{name}, test part"
        x_test = features(raw.x_test, where)
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise BadData(
                f"{name}: the test part holds {x_test.dtype} of shape {x_test.shape[1:]}, "
                f"the training part {x.dtype} of shape {x.shape[1:]}; they must be alike"
            )
        test_values = labels(raw.labels_test, where, examples=len(x_test))
        labels_test = encode(test_values, names, name)
    return Dataset(name, x, encode(values, names, name), names, x_test, labels_test, source)


def features(x: npt.NDArray[Any], where: str, *, columns: Sequence[str] = ()) -> npt.NDArray[Any]:
    """Return features (N, ...) as a data set holds them: uint8 as they are, other numbers as floats.

    BadData is raised for no numbers, no features, and what float32 cannot hold; ``where`` is the source of the
    features and ``columns`` are their names, for its message.
    """
    if x.dtype.kind not in "buif":
        raise BadData(f"{where}: x holds {x.dtype}; features are numbers")
    if x.ndim < 2 or not x.size:
        raise BadData(f"{where}: x has shape {x.shape}; one row of features per example is needed, (N, D)")
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        return x.astype(np.float64)
    # A comparison with NaN is False, so one comparison finds all three. The bound is a NumPy float64, not
    # a Python float, which would be cast to the type of x and overflow in float16.
    bad = ~(np.abs(x) <= _FLOAT32_MAX)
    if count := int(np.count_nonzero(bad)):
        place = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), x.shape))
        first = f"is x[{', '.join(map(str, place))}] = {x[place]}"
        if columns:
            first = f"in row {place[0] + 1}, column {columns[place[1]]!r}"
        kind = "missing" if columns else "NaN"
        raise BadData(
            f"{where}: {count} of {x.size} features are {kind}, infinite or too large for float32, "
            f"the first {first}; clean the data first"
        )
    return x


def labels(values: npt.NDArray[Any], where: str, *, examples: int) -> npt.NDArray[Any]:
    """Return label values (N,) that can name N classes: whole numbers as int64 (or uint64), strings as strings.

    BadData is raised for another number of labels than of examples, and for missing or fractional ones.
    """
    if values.shape != (examples,):
        raise BadData(
            f"{where}: labels have shape {values.shape}; one label per example is needed, shape ({examples},)"
        )
    match values.dtype.kind:
        case "b" | "i" | "u" | "U":
            return values
        case "S":
            return np.char.decode(values, "utf-8", "backslashreplace")
        case "f":
            fits = (np.abs(values) < 2.0**53) & (values == np.floor(values))
            if not fits.all():
                first = int((~fits).argmax())
                raise BadData(
                    f"{where}: label {values[first]} at position {first} names no class; every example needs a label, "
                    "and labels are whole numbers or strings"
                )
            return values.astype(np.int64)
    raise BadData(f"{where}: labels hold {values.dtype}; labels are whole numbers or strings")


def class_names(values: npt.NDArray[Any], where: str) -> tuple[str, ...]:
    """Return the different labels as strings, sorted as numbers where all are numbers; BadData for fewer than two."""
    names = [str(value) for value in np.unique(values)]
    if len(names) < 2:
        raise BadData(f"{where}: every label is {names[0]!r}; a data set needs at least two classes to tell apart")
    with contextlib.suppress(ValueError):
        if all(map(math.isfinite, map(float, names))):
            names.sort(key=float)
    return tuple(names)


def encode(values: npt.NDArray[Any], names: tuple[str, ...], where: str) -> npt.NDArray[np.int64]:
    """Return labels (N,) as positions 0..C-1 in the list of classes; BadData for one of a test part that is none."""
    code = {name: i for i, name in enumerate(names)}
    different, inverse = np.unique(values, return_inverse=True)
    for value in different:
        if str(value) not in code:
            raise BadData(
                f"{where}: the test part has a label {str(value)!r} that no training example has; "
                f"known: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
            )
    return np.array([code[str(value)] for value in different], dtype=np.int64)[inverse]
