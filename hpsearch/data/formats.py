"""Readers of files, one per format: arrays as they are, before any check of their content."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.columns import Raw
from hpsearch.errors import BadData
from hpsearch.files import TEXT_TABLES, check_size, content, first_line, kind_of
from hpsearch.records import Sentence
from hpsearch.text import either

TABLES = (*TEXT_TABLES, ".parquet")
MAX_COLUMNS = 20_000  # of a table
MAX_SIDE = 1000  # of pictures that are scaled

# The names of arrays in an .npz file: one of `ROLES`, alone or with one of `PARTS` before or after it, with or without
# "_" between them (``x``, ``x_train``, ``train_images``, ``trainX``). Of several for one role the first here counts.
ROLES = {
    "x": ("x", "images", "image", "data", "features"),
    "labels": ("y", "labels", "label", "target", "targets"),
}
# The names of the parts of a data set, of arrays as of folders.
PARTS = {
    "training": ("train", "training"),
    "validation": ("validation", "valid", "val"),
    "test": ("test", "testing", "t10k"),
}
_NPZ_NAMES = {
    spelling: (part, role)
    for role, names in ROLES.items()
    for name in names
    for part, prefixes in PARTS.items()
    for spelling in (
        *[name][: part == "training"],
        *(f"{a}{mark}{b}" for mark in ("_", "") for p in prefixes for a, b in ((name, p), (p, name))),
    )
}
_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
# Several spellings are about: train-images-idx3-ubyte (LeCun), train-images.idx3-ubyte (many re-uploads),
# emnist-letters-train-images-idx3-ubyte (EMNIST, whose test part is not called t10k).
_IDX_NAME = re.compile(r"(?:(.+)-)?(train|test|t10k)-(images|labels)[-.]idx\d+-\w+(\.gz)?")


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Arrays as they were read."""

    x: Raw  # (N, ...) features, or a frame of N rows with a column a feature: numbers, booleans or texts
    labels: npt.NDArray[Any] | None  # (N,) label values; None where the file has none
    x_test: Raw | None = None  # (M, ...) features of a test part of its own, or None
    labels_test: npt.NDArray[Any] | None = None  # (M,) its label values, or None
    columns: tuple[str, ...] = ()  # the D names of the features of a table
    notes: tuple[Sentence, ...] = ()  # what was decided in reading, for people


def read(path: Path, *, labelled: bool = True, resize: int | None = None, **table: Any) -> Arrays:
    """Read a file by its ending: .npz, a table, or a folder of IDX files or of pictures by class.

    Args:
        path: The file or folder; an IDX file stands for its folder's files of the same name.
        labelled: Refuse it where it has no labels; otherwise its test part is read alone, where it has one.
        resize: As for `datasets.load`.
        table: How to read a table: other arguments of `tables.read_table`.

    Raises:
        BadData: Not there, of another kind, damaged, too large, or without labels where it must be ``labelled``.
        MissingExtra: A .parquet file without pyarrow installed, or pictures without Pillow.
    """
    if (of_idx := _IDX_NAME.fullmatch(path.name)) and path.is_file():
        return read_idx_folder(path.parent, of_idx[1] or "", labelled=labelled)
    kind = kind_of(path, (".npz", *TABLES), "a folder of IDX files or of pictures")
    given = [f"{name} = {table[name]!r}" for name in ("label", "header", "encoding") if table.get(name) is not None]
    if given and kind not in TABLES:
        raise BadData(f"{given[0]} is for tables, and {path} is none; leave it out")
    if resize is not None and (kind not in ("folder", ".parquet") or not 1 <= resize <= MAX_SIDE):
        raise BadData(f"resize = {resize}: pictures alone are scaled, to 1 to {MAX_SIDE:,} pixels a side")
    if kind == ".npz":
        return read_npz(path, labelled=labelled)
    if kind == "folder" and (folder := find_idx_folder(path)):
        return read_idx_folder(folder, labelled=labelled)
    from hpsearch.data import pictures, tables  # loads pandas, and a worker must start without it

    if kind == "folder":
        return pictures.read_folder(path, resize)
    return tables.read_table(path, kind, labelled=labelled, resize=resize, **table)


def read_idx(path: Path) -> npt.NDArray[Any]:
    """Read one IDX file, gzipped or plain, as an array in native byte order.

    MNIST's own format: two zero bytes, one byte for the type, one for the number of dimensions, each dimension as a
    big-endian uint32, then the array in C order and nothing else.
    """
    data = content(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_DTYPES:
        raise BadData(
            f"{path} is not an IDX file: it begins with {data[:4].hex(' ') or 'nothing'}, "
            "IDX begins with 00 00 and a type from 08 09 0b 0c 0d 0e"
        )
    dtype, dimensions = np.dtype(_IDX_DTYPES[data[2]]), data[3]
    try:
        shape = np.frombuffer(data, ">u4", dimensions, offset=4)
        values = np.frombuffer(data, dtype, offset=4 + shape.nbytes).reshape(shape.tolist())
    except ValueError as error:
        raise BadData(f"{path} is cut off or damaged: its size is not what its header says ({error})") from error
    return values.astype(dtype.newbyteorder("="))  # the copy is writeable and native


def idx_files(folder: Path) -> dict[str, dict[str, Path]]:
    """Return the IDX files directly in a folder, if it is one, by what their names begin with, and by role.

    The first is ``emnist-letters`` or nothing, the second ``train-images``, ``test-labels``, ...
    """
    try:
        # Descending, so that of a file and its .gz the plain one comes last and stays.
        files = sorted((file for file in folder.iterdir() if file.is_file()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise BadData(f"cannot look into {folder}: {error.strerror}") from error
    sets: dict[str, dict[str, Path]] = {}
    for file in files:
        if match := _IDX_NAME.fullmatch(file.name):
            sets.setdefault(match[1] or "", {})[f"{match[2].replace('t10k', 'test')}-{match[3]}"] = file
    return sets


def find_idx_folder(folder: Path) -> Path | None:
    """Return the folder with IDX files: this one, torchvision's below it (``MNIST/raw``) or EMNIST's (``gzip``)."""
    folders = [
        place for place in (folder, folder / "raw", folder / "gzip", *sorted(folder.glob("*/raw"))) if idx_files(place)
    ]
    if len(folders) > 1 and folders[0] != folder:
        raise BadData(f"{folder} holds {len(folders)} data sets; give {either(folders)}")
    return folders[0] if folders else None


def read_idx_folder(folder: Path, prefix: str | None = None, *, labelled: bool = True) -> Arrays:
    """Read a folder of IDX files: train-images and train-labels, and a test part where it has one.

    All their names begin with ``prefix`` (``emnist-letters``), which may be left out where all files have the same.
    """
    sets = idx_files(folder)
    if prefix is None:
        if len(sets) > 1 and "" not in sets:
            some = next(iter(min(sets.items())[1].values()))
            raise BadData(
                f"{folder} holds {len(sets)} data sets: {', '.join(sorted(sets))}; give a file of one: {some}"
            )
        prefix = "" if "" in sets or not sets else next(iter(sets))
    files = sets.get(prefix, {})
    arrays: dict[tuple[str, str], npt.NDArray[Any]] = {}
    for of_part, part in (("training", "train"), ("test", "test")):
        missing = [role for role in (f"{part}-images", f"{part}-labels") if role not in files]
        if len(missing) == 1 or (missing and part == "train"):
            raise BadData(
                f"{folder} holds no {' and no '.join(missing)}; give train-images-idx3-ubyte and "
                "train-labels-idx1-ubyte, plain or .gz, and t10k's or test's for a test part"
            )
        for role in () if missing else ("images", "labels"):
            arrays[of_part, "x" if role == "images" else role] = read_idx(files[f"{part}-{role}"])
    return joined(folder, arrays, labelled=labelled)


def read_npz(path: Path, *, labelled: bool = True) -> Arrays:
    """Read a NumPy archive whose arrays have names of `ROLES` and `PARTS`; for ``labelled`` see `joined`."""
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is not a whole .npz file: NumPy's archives are zip files, this is none or cut off")
    arrays: dict[tuple[str, str], npt.NDArray[Any]] = {}
    try:
        # Opened here, because np.load leaves its own file open where the archive is damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            there = archive.files
            check_size(path, sum(member.file_size for member in archive.zip.infolist()))
            found = {name.lower(): name for name in there}
            if set(there) == {"arr_0", "arr_1"}:  # saved without names, in the usual order
                found = {"x": "arr_0", "y": "arr_1"}
            for spelling, key in _NPZ_NAMES.items():
                if spelling in found and key not in arrays:
                    arrays[key] = np.asarray(archive[found[spelling]])
    except BadData:
        raise
    # zipfile, zlib and NumPy's header parser raise some ten kinds of exception for a damaged file.
    except Exception as error:
        raise BadData(f"cannot read {path}: {first_line(error)}; save whole arrays of numbers or strings") from error
    for role, spellings in ROLES.items():
        if ("training", role) not in arrays and (labelled or (role == "x" and ("test", role) not in arrays)):
            has = ", ".join(there[:20]) or "(none)"
            raise BadData(f"{path} has no array {either([*map(repr, spellings)])}; it has: {has}")
    return joined(path, arrays, labelled=labelled)


def joined(path: Path, arrays: Mapping[tuple[str, str], npt.NDArray[Any]], *, labelled: bool) -> Arrays:
    """Return arrays by part of `PARTS` and role of `ROLES` as one; a validation part joins the training part.

    Where they need not be ``labelled``, they are the test part alone, if there is one.
    """
    if not labelled and ("test", "x") in arrays:
        note = Sentence(f"{path}: its test part is taken")
        return Arrays(arrays["test", "x"], arrays.get(("test", "labels")), notes=(note,))
    x, labels = arrays["training", "x"], arrays.get(("training", "labels"))
    notes = []
    more, more_labels = arrays.get(("validation", "x")), arrays.get(("validation", "labels"))
    if labels is not None and more is not None and more_labels is not None:
        if x.shape[1:] != more.shape[1:] or labels.shape[1:] != more_labels.shape[1:]:
            raise BadData(f"{path}: its training part has shape {x.shape}, its validation part {more.shape}")
        x, labels = np.concatenate([x, more]), np.concatenate([labels, more_labels])
        notes.append(Sentence(f"its validation part ({len(more):,}) joins the training part: a search cuts its own"))
    test, test_labels = arrays.get(("test", "x")), arrays.get(("test", "labels"))
    if test is not None and test_labels is None:
        notes.append(Sentence("its test part has no labels: left out"))
    return Arrays(x, labels, test, test_labels, notes=tuple(notes))
