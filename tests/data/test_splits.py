from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from data_files import refused
from hypothesis import assume, given
from hypothesis import strategies as st

from hpsearch import data
from hpsearch.data import Dataset, Split
from hpsearch.data.splits import proportional
from hpsearch.errors import BadData

# Rows are known by their values.
split, held_out = partial(data.split, scale="none"), partial(data.test_part, scale="none")


def dataset_of(labels: npt.NDArray[Any], *, own_test: int = 0) -> Dataset:
    """Every example's one feature is its row number (from 1000 in an own test part)."""
    classes = int(labels.max()) + 1
    x_test = np.arange(1000, 1000 + own_test, dtype=np.float64)[:, None] if own_test else None
    labels_test = np.arange(own_test) % classes if own_test else None
    x = np.arange(len(labels), dtype=np.float64)[:, None]
    return Dataset("rows", x, labels, tuple(map(str, range(classes))), x_test, labels_test, "a test")


def cyclic(n: int, classes: int = 4, own_test: int = 0) -> Dataset:
    return dataset_of(np.arange(n) % classes, own_test=own_test)


def rows(x: npt.NDArray[np.float32]) -> list[int]:
    return [int(row) for row in x[:, 0]]


sizes = st.tuples(st.integers(1, 60), st.integers(1, 60), st.integers(0, 60))
seeds = st.integers(0, 2**63)


@given(sizes=sizes, spare=st.integers(0, 30), seed=seeds, stratify=st.booleans())
def test_disjoint_and_of_the_asked_sizes(sizes: tuple[int, int, int], spare: int, seed: int, stratify: bool) -> None:
    if stratify:  # enough for both classes in each split
        sizes = (sizes[0] + 8, sizes[1] + 8, sizes[2] + 8)
    dataset = cyclic(sum(sizes) + spare, classes=2)
    ask: dict[str, Any] = dict(zip(("train", "validation", "test"), sizes, strict=True))
    ask |= {"seed": seed, "stratify": stratify}
    parts = split(dataset, **ask)
    x_test, y_test = held_out(dataset, **ask)
    taken = [rows(parts.x_train), rows(parts.x_validation), rows(x_test)]
    assert [len(part) for part in taken] == list(sizes)
    together = [row for part in taken for row in part]
    assert len(set(together)) == len(together)
    for part, y in zip(taken, (parts.y_train, parts.y_validation, y_test), strict=True):
        assert y.tolist() == dataset.labels[part].tolist()  # each label stays with its example


@given(seed=seeds, stratify=st.booleans(), test=st.integers(8, 40))
def test_only_the_seed_decides_and_not_how_large_test_is(seed: int, stratify: bool, test: int) -> None:
    dataset = cyclic(100)

    def cut(test: int | None) -> Split:
        return split(dataset, train=40, validation=20, test=test, seed=seed, stratify=stratify)

    first, other = cut(test), cut(None)
    assert first.fingerprint == other.fingerprint == cut(test).fingerprint
    assert rows(first.x_train) == rows(other.x_train)
    assert rows(first.x_validation) == rows(other.x_validation)
    again = split(dataset, train=40, validation=20, seed=seed + 1, stratify=stratify)
    assert again.fingerprint != first.fingerprint


@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    fractions=st.tuples(st.floats(0.1, 0.6), st.floats(0.1, 0.3), st.floats(0, 0.1)),
    seed=seeds,
)
def test_stratified_splits_have_each_class_in_proportion(
    counts: list[int], fractions: tuple[float, float, float], seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    dataset = dataset_of(labels)
    sizes = [max(int(fraction * len(labels)), low) for fraction, low in zip(fractions, (1, 1, 0), strict=True)]
    assume(sum(sizes) <= len(labels))
    ask: dict[str, Any] = {"seed": seed, "stratify": True}
    ask |= dict(zip(("train", "validation", "test"), sizes, strict=True))
    try:
        parts = split(dataset, **ask)
    except BadData:
        refused(lambda: split(dataset, **ask), "too few for a split")
        return
    _, y_test = held_out(dataset, **ask)
    share = np.array(counts) / len(labels)
    taken = [np.bincount(y, minlength=len(counts)) for y in (parts.y_train, parts.y_validation, y_test)]
    assert [part.sum() for part in taken] == sizes
    assert np.all(np.abs(taken[0] - share * sizes[0]) < 1)
    assert np.all(np.abs(taken[1] - share * sizes[1]) < 2)  # shares out what train's rounding left
    assert np.all(np.sum(taken, axis=0) <= counts)


@pytest.mark.parametrize(
    ("size", "members", "counts"),
    [
        (7, [60, 30, 10], [4, 2, 1]),  # shares 4.2, 2.1, 0.7: the last class has the largest remainder
        (5, [5, 5], [3, 2]),  # equal remainders: the lower class first
        (10, [5, 5], [5, 5]),
        (0, [0, 0], [0, 0]),
    ],
)
def test_classes_share_a_split_by_the_largest_remainders(size: int, members: list[int], counts: list[int]) -> None:
    assert proportional(size, np.array(members)).tolist() == counts


def test_stratified_splits_are_mixed_and_may_use_everything() -> None:
    parts = split(cyclic(10, classes=2), train=5, validation=5, seed=0, stratify=True)
    assert sorted(rows(parts.x_train) + rows(parts.x_validation)) == list(range(10))
    parts = split(dataset_of(np.repeat([0, 1, 2], [60, 30, 10])), train=7, validation=10, seed=3, stratify=True)
    assert np.bincount(parts.y_validation).tolist() == [6, 3, 1]
    assert parts.y_validation.tolist() != sorted(parts.y_validation)  # not class by class


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_of_one_or_two_examples(rare: int) -> None:
    """Without ``stratify`` it falls where it falls; with it, each part needs one of them."""
    dataset = dataset_of(np.repeat([0, 1], [98, rare]))
    ask: dict[str, Any] = {"train": 49, "validation": 49, "seed": 0}
    assert split(dataset, **ask).classes == 2
    if rare < 2:
        refused(lambda: split(dataset, **ask, stratify=True), "class '1' has 1 of 99 examples of rows, too few")
    else:
        assert split(dataset, **ask, stratify=True).y_validation.sum() == 1
        refused(lambda: split(dataset, train=49, validation=25, test=25, seed=0, stratify=True), "class '1' has 2")


def test_the_shuffled_order_is_numpys() -> None:
    order = np.random.default_rng(5).permutation(10).tolist()
    parts = split(cyclic(10), train=4, validation=3, test=2, seed=5)
    assert rows(parts.x_train) == order[:4]
    assert rows(parts.x_validation) == order[4:7]
    assert rows(held_out(cyclic(10), train=4, validation=3, test=2, seed=5)[0]) == order[7:9]
    assert held_out(cyclic(10), train=4, validation=3, seed=5)[0].shape == (0, 1)


def test_an_own_test_part_is_what_test_is_drawn_from() -> None:
    dataset = cyclic(20, own_test=12)
    ask: dict[str, Any] = {"train": 15, "validation": 5, "seed": 1}
    x, y = held_out(dataset, **ask)
    assert rows(x) == list(range(1000, 1012))
    assert y.tolist() == [0, 1, 2, 3] * 3
    few = rows(held_out(dataset, **ask, test=5)[0])
    more = rows(held_out(dataset, **ask, test=0.75)[0])
    assert len(more) == 9
    assert more[:5] == few
    assert min(more) >= 1000
    assert len(set(more)) == 9
    _, y = held_out(dataset, **ask, test=8, stratify=True)
    assert np.bincount(y).tolist() == [2, 2, 2, 2]
    assert len(held_out(dataset, **ask, test=0)[0]) == 0
    refused(lambda: held_out(dataset, **ask, test=13), "test = 13 is more than the 12 examples of the test part")


@pytest.mark.parametrize("own_test", [0, 12])
@pytest.mark.parametrize("stratify", [False, True])
def test_a_split_hangs_on_no_test_example_and_its_scale_on_training_examples_alone(
    own_test: int, stratify: bool
) -> None:
    dataset = cyclic(100, own_test=own_test)
    ask: dict[str, Any] = {"train": 40, "validation": 40, "test": 8, "seed": 2, "stratify": stratify}
    parts, raw = data.split(dataset, **ask), split(dataset, **ask)
    for names in (("x_train", "x_validation"), ("x_train",)):  # all that these do not hold becomes another number
        kept = np.isin(dataset.x, np.concatenate([getattr(raw, name) for name in names]))
        x_test = None if dataset.x_test is None else dataset.x_test - 1e6
        other = data.split(replace(dataset, x=np.where(kept, dataset.x, 1e6), x_test=x_test), **ask)
        assert other.preprocessing == parts.preprocessing
        assert (other.fingerprint == parts.fingerprint) == (len(names) == 2)


@pytest.mark.parametrize(
    ("n", "train", "validation", "expected"),
    [(100, 0.29, 0.01, (29, 1)), (10, 0.8, 0.2, (8, 2)), (7, 0.5, 0.5, (3, 3)), (500, 0.8, 100, (400, 100))],
)
def test_fractions(n: int, train: float, validation: float, expected: tuple[int, int]) -> None:
    parts = split(cyclic(n), train=train, validation=validation, seed=0)
    assert (len(parts.x_train), len(parts.x_validation)) == expected


def test_grey_levels_are_scaled() -> None:
    grey = np.array([[[255, 51]], [[255, 102]]], dtype=np.uint8)
    whole = Dataset("grey", grey, np.array([0, 1]), ("0", "1"), None, None, "")
    parts = data.split(whole, train=1, validation=1, seed=0)
    x = np.concatenate([parts.x_train, parts.x_validation])[np.argsort([*parts.y_train, *parts.y_validation])]
    np.testing.assert_array_equal(x, np.array([[1, 0.2], [1, 0.4]], dtype=np.float32))
    assert (parts.x_train.dtype.name, parts.y_train.dtype.name, parts.classes) == ("float32", "int64", 2)
    assert parts.x_train.flags.c_contiguous
    assert grey.max() == 255


def test_the_fingerprint_is_of_the_four_arrays() -> None:
    parts = split(cyclic(10), train=4, validation=3, seed=5)
    digest = hashlib.sha256()
    for array, head in (
        (parts.x_train, "<f4(4, 1)"),
        (parts.y_train, "<i8(4,)"),
        (parts.x_validation, "<f4(3, 1)"),
        (parts.y_validation, "<i8(3,)"),
    ):
        digest.update(head.encode() + array.tobytes())
    assert parts.fingerprint == digest.hexdigest()


@pytest.mark.parametrize(
    ("ask", "fragments"),
    [
        (
            {"train": 80, "validation": 16, "test": 10},
            ["train + validation + test = 106", "than the 100 examples of rows"],
        ),
        ({"train": 0.8, "validation": 0.3}, ["train + validation = 110 is more", "ask for fewer, or for fractions"]),
        ({"train": 0}, ["train = 0 of 100 examples", "at least 1"]),
        ({"test": -1}, ["test = -1", "at least 0"]),
        ({"train": 1.0}, ["train = 1.0", "a fraction between 0 and 1"]),
        ({"validation": float("nan")}, ["validation = nan"]),
        ({"validation": 0.001}, ["validation = 0.001 of 100", "one example or more"]),
        ({"train": 3, "stratify": True}, ["class '3' has 25 of 100", "split of 3"]),
        ({"test": 2, "stratify": True}, ["split of 2", "ask for more, remove it, or leave stratify out"]),
    ],
)
@pytest.mark.parametrize("cut", [split, held_out])
def test_what_cannot_be_cut(cut: Callable[..., object], ask: dict[str, Any], fragments: list[str]) -> None:
    whole = {"train": 10, "validation": 10, "seed": 0} | ask
    refused(lambda: cut(cyclic(100), **whole), *fragments)
