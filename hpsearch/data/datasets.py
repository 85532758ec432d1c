"""Data sets by name or path, and the checks that every array passes: finite features, labels of two classes or more."""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data import formats
from hpsearch.data.columns import Raw, is_text, left_out, numbers_of
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadData, MissingExtra, nearest
from hpsearch.files import expanded
from hpsearch.records import Action, Sentence
from hpsearch.text import counted, listed

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where Debian's package dataset-fashion-mnist puts its files
SHIPPED = "shipped with hpsearch"
WITH_SKLEARN = "shipped with scikit-learn"

_MOST_CLASSES, _MANY_CLASSES = 10_000, 20
# Features are trained on as float32, so a larger one would turn into infinity there.
_FLOAT32_MAX = np.float64(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled examples, checked: finite features, a class for each example, two classes or more."""

    name: str  # name of the data set, or of the file
    x: Raw  # (N, ...) uint8 or floats, or a frame of numbers and texts; NaN or None where a table's cell is missing
    labels: npt.NDArray[np.int64]  # (N,) int64 in 0..C-1
    class_names: tuple[str, ...]  # the C label values as they were given; in numeric order where all are numbers
    x_test: Raw | None  # (M, ...) the data set's own test part, or None
    labels_test: npt.NDArray[np.int64] | None  # (M,) its labels, or None
    source: str  # the place that it was read from, for people
    columns: tuple[str, ...] = ()  # names of a table's columns; empty: they have none
    left_out: Mapping[int, str] = field(default_factory=dict)  # positions of its columns that are no features, and why
    kept: bool = False  # whether the columns to train on were named
    notes: tuple[Sentence, ...] = ()  # what was decided in reading it
    own: bool = False  # the user's: a file or folder, not one of `KNOWN`

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def form(self) -> str:
        """The shape and type of an example, for people."""
        if isinstance(self.x, np.ndarray):
            return f"of shape {'x'.join(map(str, self.x.shape[1:]))}, {self.x.dtype}"
        of_texts = sum(is_text(self.x.iloc[:, i]) for i in range(self.x.shape[1]))
        return f"of {counted(self.x.shape[1], 'column')}" + (f", {of_texts} of texts" if of_texts else "")

    def said(self) -> tuple[Sentence, ...]:
        """Return what was decided in reading it, and what preprocessing fitted to all of it would be, for people."""
        fitted = Preprocessing.fit(self.x, names=self.columns, left_out=self.left_out, constants=self.kept)
        return (*self.notes, *fitted.sentences())


@dataclass(frozen=True, slots=True)
class Known:
    """A data set that has a name: its numbers of images, their height and width, and the way to get it."""

    images: int
    test_images: int
    shape: tuple[int, int]
    classes: int
    remedy: Sentence


_OR_DEBIAN = "{}, or Debian's package dataset-fashion-mnist"
_FETCH = {name: Action("data fetch", {"name": name}) for name in ("mnist", "fashion-mnist")}
KNOWN = {
    "mnist-10k": Known(10_000, 0, (28, 28), 10, Sentence()),
    "digits": Known(1_797, 0, (8, 8), 10, Sentence('pip install "hpsearch[data]"')),
    "mnist": Known(60_000, 10_000, (28, 28), 10, Sentence("{}", (_FETCH["mnist"],))),
    "fashion-mnist": Known(60_000, 10_000, (28, 28), 10, Sentence(_OR_DEBIAN, (_FETCH["fashion-mnist"],))),
}


def load(
    name: str | None = None,
    *,
    path: Path | None = None,
    label: str | None = None,
    data_dir: Path | None = None,
    drop: Sequence[str] = (),
    columns: Sequence[str] = (),
    missing: str = "auto",
    header: bool | None = None,
    encoding: str | None = None,
    resize: int | None = None,
) -> Dataset:
    """Load a data set by its name in `KNOWN`, or from a .npz, .csv or .parquet file or a folder of IDX files.

    Args:
        name: Of a known data set; this or ``path``.
        path: Of a file or folder.
        label: The column of the labels in a table; ``label`` unless given.
        data_dir: The folder that is searched first for a named data set.
        drop: Columns of a table that are not trained on.
        columns: Those that are; without it all but the labels and those that are no features (`columns.RULES`).
        missing: ``error`` refuses missing values in a table.
        header: Whether a table's first row has the names; noticed unless given.
        encoding: Of a table's text.
        resize: Height and width that pictures are scaled to.

    BadData is raised for what is unknown, not found, damaged, or not fit to be learned from.
    """
    if path is not None:
        if name is not None:
            raise BadData(f"both name = {name!r} and path = {str(path)!r} are given; give one of them")
        path = expanded(path)
        arrays = formats.read(
            path, label=label, header=header, encoding=encoding, columns=columns, drop=drop, resize=resize
        )
        return _assemble(path.stem or str(path), arrays, str(path), drop=drop, keep=columns, missing=missing, own=True)
    if name is None:
        raise BadData(f"no data set is given; give a path, or a name: {', '.join(sorted(KNOWN))}")
    if name not in KNOWN:
        raise BadData(f"no data set {name!r}{nearest(name, KNOWN)}; a file of your own goes under path")
    of_files: dict[str, Any] = {"label": label, "drop": drop, "columns": columns, "header": header}
    of_files |= {"encoding": encoding, "resize": resize}
    if given := [key for key, value in of_files.items() if value not in (None, (), [])]:
        raise BadData(f"{given[0]} = {of_files[given[0]]!r} is for a file, and {name} is none; leave {given[0]} out")
    match name:
        case "mnist-10k":
            return _assemble(name, _shipped(), SHIPPED)
        case "digits":
            return _assemble(name, _digits(), WITH_SKLEARN)
        case _:
            folder = _find(name, data_dir)
            if folder is None:
                searched = ", ".join(map(str, places(name, data_dir))) or "a cache: there is no home folder"
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


def cache_folder(name: str) -> Path | None:
    """Return the folder of the user's cache that keeps a downloaded data set; None for a user without a home."""
    # The specification of base directories says to ignore a relative path here.
    given = os.environ.get("XDG_CACHE_HOME", "")
    base = given if os.path.isabs(given) else os.path.expanduser("~/.cache")
    return Path(base) / "hpsearch" / name if os.path.isabs(base) else None


def places(name: str, data_dir: Path | None = None) -> list[Path]:
    """Return the folders that may hold a data set of IDX files, in order; ``data_dir`` comes first."""
    roots = [] if data_dir is None else [expanded(data_dir)]
    if variable := os.environ.get("HPSEARCH_DATA"):
        roots.append(expanded(Path(variable)))
    folders: list[Path] = []
    for root in roots:
        # MNIST and Fashion-MNIST have the same file names, so a folder called after one of them is never
        # taken for the other, and the subfolder goes before the folder itself.
        folders.append(root / name)
        if root.name not in KNOWN or root.name == name:
            folders.append(root)
    if (cache := cache_folder(name)) is not None:
        folders.append(cache)
    if name == "fashion-mnist":
        folders.append(DEBIAN_FOLDER)
    return folders


def _find(name: str, data_dir: Path | None) -> Path | None:
    for folder in places(name, data_dir):
        # Half a training part counts as found, so that the message is about the missing half.
        if {"train-images", "train-labels"} & formats.idx_files(folder).get("", {}).keys():
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


def _assemble(
    name: str,
    raw: formats.Arrays,
    source: str,
    *,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    missing: str = "auto",
    own: bool = False,
) -> Dataset:
    assert raw.labels is not None  # the readers refuse a file without labels
    whole = missing == "error"
    x = features(raw.x, name, columns=raw.columns, whole=whole)
    values = labels(raw.labels, name, examples=len(x))
    names = class_names(values, name)
    x_test, labels_test = None, None
    if raw.x_test is not None and raw.labels_test is not None:
        where = f"{name}, test part"
        x_test = features(raw.x_test, where, columns=raw.columns, whole=whole)
        if x_test.shape[1:] != x.shape[1:]:
            raise BadData(f"{name}: examples of shape {x.shape[1:]}, and of {x_test.shape[1:]} in the test part")
        test_values = labels(raw.labels_test, where, examples=len(x_test))
        labels_test = encode(test_values, names, name)
    if x.ndim > 2 and (drop or keep):
        raise BadData(f"{'drop' if drop else 'columns'}: {name} is no table; its examples have shape {x.shape[1:]}")
    codes = encode(values, names, name)
    out = left_out(x, raw.columns, codes, drop=drop, keep=keep) if x.ndim == 2 else {}
    notes, folded = raw.notes, Counter(name.strip().casefold() for name in names)
    if alike := [repr(name) for name in names if folded[name.strip().casefold()] > 1]:
        notes = (*notes, Sentence(f"classes that differ in case or spaces alone: {listed(alike)}"))
    if len(names) > _MANY_CLASSES:
        notes = (*notes, Sentence(f"the labels are {len(names):,} classes; if they are amounts, sort them into a few"))
    return Dataset(name, x, codes, names, x_test, labels_test, source, raw.columns, out, bool(keep), notes, own)


def features(x: Raw, where: str, *, columns: Sequence[str] = (), whole: bool = False) -> Raw:
    """Return features (N, ...) as a data set holds them: uint8 as they are, other numbers as floats, a frame as it is.

    BadData, which names their source (``where``) and the columns of a table, is raised for no numbers, no features,
    what float32 cannot hold, and for missing values in anything but a table, or also there if it must be ``whole``.
    """
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "buif":
            raise BadData(f"{where}: x holds {x.dtype}; features are numbers")
        if x.ndim < 2 or not x.size:
            raise BadData(f"{where}: x has shape {x.shape}; one row of features per example is needed, (N, D)")
        if x.dtype == np.uint8:
            return x
        x = x if x.dtype.kind == "f" else x.astype(np.float64)
        _check_finite(x, where, columns, whole=whole or x.ndim > 2)
        return x
    if not x.size:
        raise BadData(f"{where} has {len(x)} rows and {x.shape[1]} columns of features; both are needed")
    for position, name in enumerate(columns):
        column = x.iloc[:, position]
        cells = np.where(column.isna(), np.nan, 0) if is_text(column) else numbers_of(column)
        _check_finite(cells[:, None], where, [name], whole=whole)
    return x


def _check_finite(x: npt.NDArray[Any], where: str, columns: Sequence[str], *, whole: bool) -> None:
    """Refuse infinite numbers and those that float32 cannot hold, and NaN where x (N, ...) must be ``whole``."""
    # A comparison with NaN is False, so one comparison finds all three. The bound is a NumPy float64, not
    # a Python float, which would be cast to the type of x and overflow in float16.
    bad = ~(np.abs(x) <= _FLOAT32_MAX)
    if not whole:
        bad &= ~np.isnan(x)
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


def labels(values: npt.NDArray[Any], where: str, *, examples: int) -> npt.NDArray[Any]:
    """Return label values (N,) that can name N classes: whole numbers as integers, all others as strings.

    Labels of shape (N, 1), and one-hot ones (N, C), are taken as (N,). BadData is raised for another number of labels
    than of examples, and for missing or infinite ones.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    elif values.ndim == 2 and values.dtype.kind in "biuf" and len(values) == examples and _is_one_hot(values):
        values = values.argmax(axis=1)
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
            fits = np.abs(values) < 2.0**53
            if not fits.all():
                first = int((~fits).argmax())
                raise BadData(f"{where}: label {values[first]} at position {first}; every example needs a class")
            different, codes = np.unique(values, return_inverse=True)
            whole = different == np.floor(different)
            if whole.all():
                return values.astype(np.int64)
            names = [str(int(value) if is_whole else value) for value, is_whole in zip(different, whole, strict=True)]
            return np.array(names)[codes]
    raise BadData(f"{where}: labels hold {values.dtype}; labels are whole numbers or strings")


def _is_one_hot(values: npt.NDArray[Any]) -> bool:
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def no_classes(values: npt.NDArray[Any]) -> str:
    """Return why label values (N,) name no classes, or nothing where they do.

    More than 20 different ones are a continuous target where they are numbers with fractions, or have fewer than 5
    examples each (texts: 2); more than 100 different numbers need 20 each. More than 10,000 are never classes. Fewer
    are one where they are numbers with fractions that have fewer than 2 each.
    """
    different = np.unique(values)
    if len(different) < 2:
        return f"every label is {str(different[0])!r}; a data set needs at least two classes to tell apart"
    numbers = None
    with contextlib.suppress(ValueError):
        numbers = different.astype(np.float64)
    n, c = len(values), len(different)
    whole = numbers is None or bool((numbers == np.floor(numbers)).all())
    each = 2 if numbers is None else 5 if c <= 100 else 20
    if (c <= 20 and (whole or n >= 2 * c)) or (whole and n >= each * c and c <= _MOST_CLASSES):
        return ""
    target = "texts" if numbers is None else "a continuous target"
    return (
        f"the labels are {c:,} different values in {n:,} rows ({different[0]}, {different[1]}, ...): {target}, and "
        "hpsearch tells classes apart; name another column, or sort the values into classes"
    )


def class_names(values: npt.NDArray[Any], where: str) -> tuple[str, ...]:
    """Return the different labels as strings, sorted as numbers where all are numbers; BadData for fewer than two."""
    if reason := no_classes(values):
        raise BadData(f"{where}: {reason}")
    names = [str(value) for value in np.unique(values)]
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
                f"known: {listed(names, 12)}"
            )
    return np.array([code[str(value)] for value in different], dtype=np.int64)[inverse]
