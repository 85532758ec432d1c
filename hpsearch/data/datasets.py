"""Data sets by name or path: what there is, where it lies, and loading it."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data import checks, formats
from hpsearch.data.idx import find_idx
from hpsearch.errors import BadData, MissingExtra, nearest

DATA_VARIABLE = "HPSEARCH_DATA"
"""The environment variable with a folder of data."""
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files."""
SHIPPED = "shipped with hpsearch"
WITH_SKLEARN = "shipped with scikit-learn"


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled examples, checked: finite features, a class for each example, two classes or more.

    Args:
        name: Name of the data set, or of the file.
        x: (N, ...) uint8 grey levels or floats.
        labels: (N,) int64 in 0..C-1.
        class_names: The C label values as they were given; in numeric order where all are numbers.
        x_test: (M, ...) the data set's own test part, or None.
        labels_test: (M,) its labels, or None.
        source: Where it was read, for people.
    """

    name: str
    x: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    x_test: npt.NDArray[Any] | None
    labels_test: npt.NDArray[np.int64] | None
    source: str

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True)
class Known:
    """A data set that has a name.

    Args:
        images: How many labelled images its main part has.
        test_images: How many its own test part has; 0 without one.
        shape: Height and width in pixels.
        classes: How many classes.
        missing: What brings it here, where it is not.
    """

    images: int
    test_images: int
    shape: tuple[int, int]
    classes: int
    missing: str = ""


KNOWN = {
    "mnist-10k": Known(10_000, 0, (28, 28), 10),
    "digits": Known(1_797, 0, (8, 8), 10, 'pip install "hpsearch[data]"'),
    "mnist": Known(60_000, 10_000, (28, 28), 10, "hpsearch data fetch mnist"),
    "fashion-mnist": Known(
        60_000,
        10_000,
        (28, 28),
        10,
        "hpsearch data fetch fashion-mnist, or Debian's package dataset-fashion-mnist",
    ),
}
"""The data sets that can be asked for by name."""


def load(
    name: str | None = None,
    *,
    path: Path | None = None,
    label: str | None = None,
    data_dir: Path | None = None,
) -> Dataset:
    """A data set by its name or from a path: exactly one of the two.

    Args:
        name: One of `KNOWN`.
        path: A .npz, .csv or .parquet file, or a folder of IDX files.
        label: The column of the labels in a .csv or .parquet file; ``label`` unless given.
        data_dir: Where to look first for a named data set.

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
            folder, files = _find(name, data_dir)
            if folder is None:
                looked = ", ".join(str(place) for place in places(name, data_dir))
                raise BadData(f"{name} is not in {looked}; get it with {KNOWN[name].missing}")
            return _assemble(name, formats.read_idx_folder(folder, files), str(folder))


def whereabouts(name: str, data_dir: Path | None = None) -> str | None:
    """Where a named data set would be read from, or None where it is not here. Reads no images.

    Args:
        name: One of `KNOWN`.
        data_dir: Where to look first.

    Raises:
        BadData: Unknown name.
    """
    if name not in KNOWN:
        raise BadData(f"no data set {name!r}{nearest(name, KNOWN)}")
    if name == "mnist-10k":
        return SHIPPED
    if name == "digits":
        return WITH_SKLEARN if importlib.util.find_spec("sklearn") else None
    folder, _ = _find(name, data_dir)
    return None if folder is None else str(folder)


def cache_folder(name: str) -> Path:
    """Where a downloaded data set is kept: a folder of the user's cache."""
    # The specification of base directories says to ignore a relative path here.
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    return base / "hpsearch" / name


def places(name: str, data_dir: Path | None = None) -> list[Path]:
    """The folders where a data set of IDX files is looked for, in order.

    Args:
        name: The data set.
        data_dir: Where to look first.
    """
    roots = [] if data_dir is None else [data_dir.expanduser()]
    if variable := os.environ.get(DATA_VARIABLE):
        roots.append(Path(variable).expanduser())
    found: list[Path] = []
    for root in roots:
        # MNIST and Fashion-MNIST have the same file names, so a folder called after one of them is never
        # taken for the other, and the subfolder goes before the folder itself.
        found.append(root / name)
        if root.name not in KNOWN or root.name == name:
            found.append(root)
    found.append(cache_folder(name))
    if name == "fashion-mnist":
        found.append(DEBIAN_FOLDER)
    return found


def _find(name: str, data_dir: Path | None) -> tuple[Path | None, dict[str, Path]]:
    for folder in places(name, data_dir):
        files = find_idx(folder)
        # Half a training part counts as found, so that the message is about the missing half.
        if "train-images" in files or "train-labels" in files:
            return folder, files
    return None, {}


def _shipped() -> formats.Raw:
    with (
        resources.files("hpsearch.data").joinpath("mnist_10k.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as archive,
    ):
        return formats.Raw(archive["images"], archive["labels"])


def _digits() -> formats.Raw:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra('the data set digits comes with scikit-learn; pip install "hpsearch[data]"') from error
    bunch = load_digits()
    # Grey levels 0..16 become 0..1, as the other images' do in a split; a sixteenth is exact in binary.
    return formats.Raw((bunch.images / 16).astype(np.float32), bunch.target)


def _assemble(name: str, raw: formats.Raw, source: str) -> Dataset:
    x = checks.features(raw.x, name)
    values = checks.labels(raw.labels, name, examples=len(x))
    names = checks.class_names(values, name)
    x_test, labels_test = None, None
    if raw.x_test is not None and raw.labels_test is not None:
        where = f"{name}, test part"
        x_test = checks.features(raw.x_test, where)
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise BadData(
                f"{name}: the test part holds {x_test.dtype} of shape {x_test.shape[1:]}, "
                f"the training part {x.dtype} of shape {x.shape[1:]}; they must be alike"
            )
        test_values = checks.labels(raw.labels_test, where, examples=len(x_test))
        labels_test = checks.encode(test_values, names, name)
    return Dataset(name, x, checks.encode(values, names, name), names, x_test, labels_test, source)
