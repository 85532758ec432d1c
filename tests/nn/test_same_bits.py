"""The law of lanes: a trial's results are the same bytes alone and in any company."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpsearch.nn import SGD, Network, Purpose, TrainingData, lane_rng, train
from hpsearch.nn.lanes import lane_array

SEED = 11


@dataclass(frozen=True)
class Lane:
    number: int
    lr: float
    weight_decay: float


@dataclass(frozen=True)
class Work:
    sizes: tuple[int, ...]
    train: int
    validation: int
    batch_size: int
    epochs: int
    dtype: str

    def data(self) -> TrainingData:
        rng = np.random.default_rng(self.train)
        labels = rng.integers(self.sizes[-1], size=self.train + self.validation)
        images = rng.standard_normal((len(labels), self.sizes[0])).astype(self.dtype)
        at = self.train
        return TrainingData(images[:at], labels[:at], images[at:], labels[at:])


def results(work: Work, lanes: list[Lane]) -> dict[int, list[Any]]:
    """By trial number: the bytes of every epoch's report, why the lane ended, its last weights."""
    network = Network(
        work.sizes, rngs=[lane_rng(SEED, lane.number, Purpose.WEIGHTS) for lane in lanes], dtype=work.dtype
    )
    found: dict[int, list[Any]] = {lane.number: [] for lane in lanes}
    survivors: list[int] = []
    for epoch in train(
        network,
        SGD([lane.lr for lane in lanes], [lane.weight_decay for lane in lanes]),
        work.data(),
        batch_size=work.batch_size,
        epochs=work.epochs,
        rngs=[lane_rng(SEED, lane.number, Purpose.ORDER) for lane in lanes],
    ):
        reported = (
            epoch.train_loss,
            epoch.train_accuracy,
            epoch.validation_loss,
            epoch.validation_accuracy,
        )
        for position, lane in enumerate(epoch.lanes):
            found[lanes[lane].number].append([values[position].tobytes() for values in reported])
        for ended in epoch.ended:
            found[lanes[ended.lane].number].append(ended.reason)
        survivors = [lanes[lane].number for lane in epoch.lanes]
    for position, number in enumerate(survivors):
        found[number].append(network.values[position].tobytes())
    return found


def check(work: Work, lanes: list[Lane], order: list[int]) -> None:
    together = results(work, lanes)
    assert results(work, [lanes[i] for i in order]) == together
    for lane in lanes:
        assert results(work, [lane]) == {lane.number: together[lane.number]}


works = st.builds(
    Work,
    sizes=st.lists(st.integers(1, 6) | st.integers(1, 40), min_size=2, max_size=4).map(tuple),
    train=st.integers(1, 6) | st.integers(1, 70),
    validation=st.integers(1, 6) | st.integers(1, 40),
    batch_size=st.integers(1, 6) | st.integers(1, 80),
    epochs=st.integers(1, 3),
    dtype=st.sampled_from(["float32", "float64"]),
)
rates = st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 1e3, 1e30, 1e300])
decays = st.sampled_from([0.0, 1e-8, 1e-3, 1.0])


@st.composite
def companies(draw: st.DrawFn) -> tuple[list[Lane], list[int]]:
    count = draw(st.integers(2, 6))
    lanes = [Lane(number, draw(rates), draw(decays)) for number in range(count)]
    return lanes, draw(st.permutations(range(count)))


THREE = [Lane(4, 0.1, 1e-3), Lane(0, 1e30, 0.0), Lane(7, 0.05, 0.0)]


@settings(max_examples=150, deadline=None)
@given(work=works, company=companies())
@example(work=Work((1, 1), 1, 1, 1, 2, "float32"), company=(THREE, [2, 0, 1]))
@example(work=Work((33, 17, 1), 50, 20, 16, 3, "float32"), company=(THREE, [1, 2, 0]))
@example(work=Work((1, 1, 9), 7, 1, 3, 3, "float64"), company=(THREE, [2, 1, 0]))
@example(work=Work((20, 7, 10), 30, 1, 100, 3, "float32"), company=(THREE, [2, 1, 0]))
def test_alone_equals_together_equals_permuted(work: Work, company: tuple[list[Lane], list[int]]) -> None:
    check(work, *company)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_book_s_network_and_a_validation_set_of_several_chunks(dtype: str) -> None:
    work = Work((784, 100, 100, 10), 130, 300, 100, 2, dtype)
    check(work, [Lane(9, 0.01, 1e-4), Lane(1, 1e20, 0.0), Lane(2, 0.1, 1e-2), Lane(3, 1e-6, 0.0)], [3, 2, 1, 0])


def test_a_lane_that_diverges_leaves_its_neighbours_alone() -> None:
    work = Work((12, 9, 5), 40, 20, 16, 4, "float32")
    calm = [Lane(0, 0.1, 1e-3), Lane(1, 0.01, 0.0), Lane(2, 0.2, 0.0)]
    expected = results(work, calm)
    for place in range(4):
        found = results(work, [*calm[:place], Lane(9, 1e30, 0.0), *calm[place:]])
        assert isinstance(found.pop(9)[-1], str)
        assert found == expected


@given(lanes=st.integers(1, 5), shape=st.lists(st.integers(1, 9), min_size=1, max_size=3))
def test_every_lane_starts_on_a_cache_line_with_the_same_inner_strides(lanes: int, shape: list[int]) -> None:
    for dtype in (np.float32, np.float64, np.bool_):
        array = lane_array(lanes, tuple(shape), np.dtype(dtype))
        assert array.shape == (lanes, *shape)
        assert not array.any()
        assert {lane.ctypes.data % 64 for lane in array} == {0}
        assert array.strides[1:] == np.zeros(shape, dtype).strides
        assert array[0].flags.c_contiguous
