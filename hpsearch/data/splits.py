"""Cutting a data set into train, validation and test: disjoint, shuffled, and the same for the same seed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from hpsearch.data.columns import Raw
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadData
from hpsearch.records import Sentence

if TYPE_CHECKING:
    from hpsearch.data.datasets import Dataset

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Size: TypeAlias = int | float  # a number of examples, or a fraction


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The part of a data set that a search may read: its training and validation examples."""

    x_train: Floats  # (n, D) features, preprocessed
    y_train: Labels  # (n,) classes
    x_validation: Floats  # (m, D) features
    y_validation: Labels  # (m,) classes
    classes: int  # number of classes of the data set, seen in these examples or not
    fingerprint: str  # sha256 over type, shape and bytes of the four arrays, in hexadecimal
    class_names: tuple[str, ...]  # the label values as they were given, by class
    preprocessing: Preprocessing  # the step from the data set's raw values to these features
    test_examples: int = 0  # number of examples in the test part, which only `test_part` reads
    notes: tuple[Sentence, ...] = ()  # what was decided in reading and preprocessing, for people

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of examples by part."""
        return {"train": len(self.x_train), "validation": len(self.x_validation)}

    @property
    def facts(self) -> dict[str, Any]:
        """Return the preprocessing and the number of classes as JSON-able data."""
        return self.preprocessing.plain() | {"classes": self.classes}


def split(
    dataset: Dataset,
    *,
    train: Size,
    validation: Size,
    test: Size | None = None,
    seed: int,
    stratify: bool = False,
    scale: str | float = "auto",
    text: str = "one-hot",
) -> Split:
    """Cut out the training and validation examples; the test examples are left alone (`test_part` takes them).

    The data set is shuffled, then train is taken from the front, validation behind it and test behind
    that, so how large test is changes neither of the others.

    Args:
        train: A number of examples, or a fraction of the data set (in (0, 1), rounded down); validation likewise.
        test: Likewise, 0 allowed, of the data set's own test part, if there is one: None takes the whole of that.
        seed: Of the shuffling.
        stratify: Give each split the data set's proportion of every class.
        scale, text: As for `Preprocessing.fit`.

    Raises:
        BadData: More examples requested than there are, none requested, or too few of a class to stratify.
    """
    train_rows, validation_rows, test_rows = _rows(
        dataset, train=train, validation=validation, test=test, seed=seed, stratify=stratify
    )
    preprocessing = _fitted(dataset, train_rows, scale, text)
    x_train, y_train = preprocessing.apply(rows_of(dataset.x, train_rows)), dataset.labels[train_rows]
    x_validation = preprocessing.apply(rows_of(dataset.x, validation_rows))
    y_validation = dataset.labels[validation_rows]
    parts = {"train": train_rows, "validation": validation_rows}
    if dataset.labels_test is None:
        parts["test"] = test_rows
    used = sum(map(len, parts.values()))
    notes = (*dataset.notes, *preprocessing.sentences())
    if dataset.own and len(dataset.x) - used >= len(parts):  # shares that are rounded down leave fewer
        sizes = ", ".join(f"{part} {len(rows):,}" for part, rows in parts.items())
        notes = (*notes, Sentence(f"{used:,} of {len(dataset.x):,} examples are used: {sizes}"))
    return Split(
        x_train,
        y_train,
        x_validation,
        y_validation,
        dataset.classes,
        _fingerprint(x_train, y_train, x_validation, y_validation),
        dataset.class_names,
        preprocessing,
        len(test_rows),
        notes,
    )


def rows_of(x: Raw, rows: npt.NDArray[np.intp]) -> Raw:
    """Return these rows of an array or a frame."""
    return x[rows] if isinstance(x, np.ndarray) else x.iloc[rows]


def _fitted(dataset: Dataset, train_rows: npt.NDArray[np.intp], scale: str | float, text: str) -> Preprocessing:
    return Preprocessing.fit(
        rows_of(dataset.x, train_rows),
        scale=scale,
        text=text,
        names=dataset.columns,
        left_out=dataset.left_out,
        constants=dataset.kept,
    )


def test_part(dataset: Dataset, **parts: Any) -> tuple[Floats, Labels]:
    """Cut out the test examples, x (t, D) and y (t,), of `split` with these arguments. Only evaluations call this."""
    scale, text = parts.pop("scale", "auto"), parts.pop("text", "one-hot")
    train_rows, _, test_rows = _rows(dataset, **parts)
    x, labels = dataset.x, dataset.labels
    if dataset.x_test is not None and dataset.labels_test is not None:
        x, labels = dataset.x_test, dataset.labels_test
    return _fitted(dataset, train_rows, scale, text).apply(rows_of(x, test_rows)), labels[test_rows]


# pytest would collect a public function of this name from any test file that imports it.
test_part.__test__ = False  # type: ignore[attr-defined]  # functions take any attribute


def _rows(
    dataset: Dataset, *, train: Size, validation: Size, test: Size | None = None, seed: int, stratify: bool = False
) -> list[npt.NDArray[np.intp]]:
    """Return the row numbers of train, validation and test; the last in the own test part where there is one."""
    there, own = len(dataset.x), dataset.labels_test
    of_test = there if own is None else len(own)
    sizes = {"train": _count("train", train, there), "validation": _count("validation", validation, there)}
    n_test = (0 if own is None else of_test) if test is None else _count("test", test, of_test, least=0)
    if own is None:
        return _cut(dataset, dataset.labels, sizes | {"test": n_test}, seed, stratify)
    rows = _cut(dataset, dataset.labels, sizes, seed, stratify)
    whole = [np.arange(of_test)]
    return rows + (whole if n_test == of_test else _cut(dataset, own, {"test": n_test}, seed, stratify))


def _count(part: str, given: Size, there: int, *, least: int = 1) -> int:
    if not isinstance(given, float) and given >= least:
        return int(given)
    # Down, so that fractions of sum 1 always fit; the small term because 0.29 * 100 is 28.999999999999996.
    count = int(given * there + 1e-9) if 0 < given < 1 else 0
    if not count:
        raise BadData(
            f"{part} = {given} of {there} examples; give a count of at least {least}, or a fraction between 0 and 1 "
            "that makes one example or more"
        )
    return count


def _cut(
    dataset: Dataset, labels: Labels, sizes: dict[str, int], seed: int, stratify: bool
) -> list[npt.NDArray[np.intp]]:
    """Return the rows of consecutive splits, each in the shuffled order."""
    total = sum(sizes.values())
    if total > len(labels):
        whose = dataset.name if labels is dataset.labels else f"the test part of {dataset.name}"
        raise BadData(
            f"{' + '.join(part for part, size in sizes.items() if size)} = {total} is more than the {len(labels)} "
            f"examples of {whose}; ask for fewer, or for fractions such as train = 0.6"
        )
    order = np.random.default_rng(seed).permutation(len(labels))
    if not stratify:
        return np.split(order[:total], np.cumsum(list(sizes.values()))[:-1])
    shuffled = labels[order]
    members = [np.flatnonzero(shuffled == k) for k in range(dataset.classes)]  # positions in order
    left = np.array([len(positions) for positions in members])
    taken = np.zeros_like(left)
    parts = []
    for size in sizes.values():
        counts = proportional(size, left)
        if size and not counts.all():
            k = int(counts.argmin())
            raise BadData(
                f"stratify: class {dataset.class_names[k]!r} has {len(members[k])} of {len(labels)} examples "
                f"of {dataset.name}, too few for a split of {size}; ask for more, remove it, or leave stratify out"
            )
        chosen = [m[t : t + c] for m, t, c in zip(members, taken, counts, strict=True)]
        parts.append(order[np.sort(np.concatenate(chosen))])
        taken, left = taken + counts, left - counts
    return parts


def proportional(size: int, members: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the number of each class, (C,), in a split of exactly ``size``: the largest-remainder method.

    A class gets its share of its ``members`` (C,) rounded down, and those with the largest remainders get one more, the
    lower class first among equals. Each split is apportioned from what the earlier ones left, so no class runs out.
    """
    total = int(members.sum())
    if not total:
        return np.zeros_like(members)
    # Whole numbers throughout: remainders that are equal must compare as equal.
    counts, remainders = np.divmod(size * members, total)
    more = np.argsort(-remainders, kind="stable")[: size - int(counts.sum())]
    counts[more] += 1
    return counts


def _fingerprint(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        # Little-endian by name, so that a big-endian machine would find the same digest.
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(f"{plain.dtype.str}{plain.shape}".encode())
        digest.update(plain.tobytes())
    return digest.hexdigest()
