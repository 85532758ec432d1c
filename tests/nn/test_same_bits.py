"""The law of lanes: a trial's results are the same bytes alone, in any company, and after a pause elsewhere."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hpsearch.nn import (
    ACTIVATIONS,
    CURVE_NAMES,
    INITIALIZERS,
    OPTIMIZERS,
    SCHEDULES,
    Network,
    Optimizer,
    Purpose,
    Schedule,
    TrainingData,
    lane_rngs,
    train_epochs,
)
from hpsearch.nn.training import Snapshot, resume, take

SEED = 11


@dataclass(frozen=True)
class Lane:
    """What may differ between the lanes of a batch."""

    number: int
    lr: float = 0.1
    weight_decay: float = 0.0
    dropout: float = 0.0
    initializer: str = "he"
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Work:
    """What all lanes of a batch share."""

    sizes: tuple[int, ...]
    train: int
    validation: int
    batch_size: int
    epochs: int
    dtype: str
    optimizer: str = "sgd"
    activation: str = "relu"
    batch_norm: bool = False
    dropout: bool = False
    schedules: bool = False
    evaluate_train: bool = False
    shared_order: bool = False

    def data(self) -> TrainingData:
        rng = np.random.default_rng(self.train)
        labels = rng.integers(self.sizes[-1], size=self.train + self.validation)
        images = rng.standard_normal((len(labels), self.sizes[0])).astype(self.dtype)
        at = self.train
        return TrainingData(images[:at], labels[:at], images[at:], labels[at:])

    def network(self, lanes: Sequence[Lane]) -> Network:
        numbers = [lane.number for lane in lanes]
        return Network(
            self.sizes,
            rngs=lane_rngs(SEED, numbers, Purpose.WEIGHTS),
            activation=self.activation,
            initializers=[lane.initializer for lane in lanes],
            batch_norm=self.batch_norm,
            dropout=[lane.dropout for lane in lanes] if self.dropout else None,
            dropout_rngs=lane_rngs(SEED, numbers, Purpose.DROPOUT),
            dtype=self.dtype,
        )

    def make_optimizer(self, lanes: Sequence[Lane]) -> Optimizer:
        chosen: Any = OPTIMIZERS[self.optimizer]
        optimizer: Optimizer = chosen([lane.lr for lane in lanes], [lane.weight_decay for lane in lanes])
        return optimizer


class Training:
    """A batch of lanes that can lose some between two stretches of epochs."""

    def __init__(self, work: Work, lanes: Sequence[Lane]) -> None:
        self.work, self.lanes, self.data = work, list(lanes), work.data()
        self.network, self.optimizer = work.network(lanes), work.make_optimizer(lanes)
        self.rngs = lane_rngs(SEED, [lane.number for lane in lanes], Purpose.ORDER)
        if work.shared_order:
            self.rngs = lane_rngs(SEED, [0], Purpose.ORDER) * len(lanes)
        self.found: dict[int, list[Any]] = {lane.number: [] for lane in lanes}

    def run(self, start: int = 1, stop: int | None = None) -> None:
        """Train these epochs; add what every lane reported after each, as bytes, and why it ended."""
        alive = list(range(len(self.lanes)))
        options: dict[str, Any] = {"batch_size": self.work.batch_size, "epochs": self.work.epochs, "rngs": self.rngs}
        options |= {"evaluate_train": self.work.evaluate_train, "start": start, "stop": stop}
        if self.work.schedules:
            options["schedules"] = [lane.schedule for lane in self.lanes]
        for epoch in train_epochs(self.network, self.optimizer, self.data, **options):
            alive = epoch.lanes.tolist()
            for position, lane in enumerate(alive):
                values = [getattr(epoch, name)[position] for name in CURVE_NAMES]
                self.found[self.lanes[lane].number].append(np.array(values).tobytes())
            for lane, reason in epoch.ended.items():
                self.found[self.lanes[lane].number].append(reason)
        self._forget(alive)

    def snapshots(self, epoch: int) -> dict[int, Snapshot]:
        """Of all lanes, as they arrive in another process."""
        return {
            own.number: pickle.loads(pickle.dumps(take(self.network, self.optimizer, self.rngs, lane=i, epoch=epoch)))
            for i, own in enumerate(self.lanes)
        }

    def _forget(self, alive: list[int]) -> None:
        self.lanes = [self.lanes[i] for i in alive]
        self.rngs = [self.rngs[i] for i in alive]

    def results(self) -> dict[int, list[Any]]:
        """By trial number: all that was reported, and at last every array of the network."""
        for position, lane in enumerate(self.lanes):
            arrays = [
                (layer, name, values[position].tobytes())
                for layer, own in enumerate(self.network.parameters)
                for name, values in own.items()
            ]
            self.found[lane.number].append(arrays)
        return self.found


def results(work: Work, lanes: Sequence[Lane]) -> dict[int, list[Any]]:
    training = Training(work, lanes)
    training.run()
    return training.results()


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
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    batch_norm=st.booleans(),
    dropout=st.booleans(),
    schedules=st.booleans(),
    evaluate_train=st.booleans(),
    shared_order=st.booleans(),
)


@st.composite
def companies(draw: st.DrawFn) -> tuple[list[Lane], list[int]]:
    count = draw(st.integers(2, 5))
    schedules = st.builds(
        Schedule,
        name=st.sampled_from(sorted(SCHEDULES)),
        decay=st.sampled_from([0.1, 0.7]),
        decay_epochs=st.sampled_from([0.5, 2.0]),
        warmup_epochs=st.sampled_from([0.0, 0.7]),
    )
    lanes = [
        Lane(
            number,
            lr=draw(st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 1e3, 1e30, 1e300])),
            weight_decay=draw(st.sampled_from([0.0, 1e-8, 1e-3, 1.0])),
            dropout=draw(st.sampled_from([0.0, 0.2, 0.5, 0.9])),
            initializer=draw(st.sampled_from(sorted(INITIALIZERS))),
            schedule=draw(schedules),
        )
        for number in range(count)
    ]
    return lanes, draw(st.permutations(range(count)))


FOUR = [
    Lane(4, 0.1, 1e-3, 0.2, "he", Schedule("cosine", warmup_epochs=0.5)),
    Lane(0, 1e30, 0.0, 0.0, "normal", Schedule("inverse_time")),
    Lane(7, 0.05, 0.0, 0.5, "xavier", Schedule("exponential", 0.3, 1)),
    Lane(2, 1e300, 1.0, 0.9, "glorot"),
]


@settings(max_examples=40)
@given(work=works, company=companies())
@example(work=Work((1, 1), 1, 1, 1, 2, "float32"), company=(FOUR, [2, 0, 3, 1]))
@example(work=Work((33, 17, 1), 50, 20, 16, 3, "float32"), company=(FOUR, [1, 2, 0, 3]))
@example(work=Work((1, 1, 9), 7, 1, 3, 3, "float64"), company=(FOUR, [3, 2, 1, 0]))
@example(work=Work((20, 7, 10), 30, 1, 100, 3, "float32"), company=(FOUR, [3, 2, 1, 0]))
@example(
    work=Work((3, 1, 1, 2), 9, 3, 4, 3, "float64", "adam", "tanh", True, True, True, True), company=(FOUR, [3, 2, 1, 0])
)
def test_alone_equals_together_equals_permuted(work: Work, company: tuple[list[Lane], list[int]]) -> None:
    check(work, *company)


@pytest.mark.parametrize(
    ("optimizer", "activation", "batch_norm", "dropout", "dtype"),
    [
        ("sgd", "relu", False, False, "float32"),
        ("nesterov", "sigmoid", True, False, "float64"),
        ("rmsprop", "tanh", False, True, "float32"),
        ("adamw", "relu", True, True, "float32"),
    ],
)
def test_the_book_s_sizes_and_a_validation_set_of_several_chunks(
    optimizer: str, activation: str, batch_norm: bool, dropout: bool, dtype: str
) -> None:
    features = (dtype, optimizer, activation, batch_norm, dropout, True, True, not dropout)
    work = Work((784, 100, 100, 10), 130, 300, 100, 2, *features)
    lanes = [Lane(9, 0.01, 1e-4, 0.2), replace(FOUR[1], lr=1e20), replace(FOUR[2], lr=0.002), FOUR[3]]
    check(work, lanes, [3, 2, 1, 0])


@pytest.mark.parametrize(("optimizer", "activation"), [*zip(sorted(OPTIMIZERS), cycle(ACTIVATIONS), strict=False)])
def test_a_lane_that_diverges_leaves_its_neighbours_alone(optimizer: str, activation: str) -> None:
    # The rate is beyond float32, so that any optimizer's first step with it makes what is not finite.
    work = Work((12, 9, 5), 40, 20, 16, 3, "float32", optimizer, activation, True, True, True)
    calm = [
        Lane(0, 0.1, 1e-3, 0.3),
        Lane(1, 0.01, 0.0, 0.0, "xavier", FOUR[0].schedule),
        Lane(2, 0.2, 0.0, 0.5, schedule=FOUR[2].schedule),
    ]
    expected = results(work, calm)
    assert not any(isinstance(item, str) for found in expected.values() for item in found)
    for place in range(4):
        found = results(work, [*calm[:place], Lane(9, 1e300, 0.0, 0.4), *calm[place:]])
        assert any(isinstance(item, str) for item in found.pop(9))
        assert found == expected


def lane(number: int) -> Lane:
    """A lane whose values follow from its number; 13 diverges at once."""
    schedule = Schedule(sorted(SCHEDULES)[number % 5], warmup_epochs=number % 3)
    rate = 1e300 if number == 13 else 0.02 * (1 + number)
    return Lane(number, rate, 0.01 * number, 0.1 * (number % 4), schedule=schedule)


SMALL = Work((6, 5, 4, 3), 30, 20, 7, 6, "float32")


def check_snapshots(work: Work, first: list[int], stop: int, then: list[int], beside: list[int]) -> None:
    """Train lanes up to an epoch in two batches, and some of both on in one: as if they had never stopped."""
    before: dict[int, list[Any]] = {}
    snapshots: dict[int, Snapshot] = {}
    for numbers in (first, beside):
        training = Training(work, [lane(number) for number in numbers])
        training.run(1, stop)
        before |= {number: list(training.found[number]) for number in numbers}
        snapshots |= training.snapshots(stop)
        training.run(stop + 1)  # a batch's later epochs do not touch what was taken from it
    again = Training(work, [lane(number) for number in then])
    assert resume(again.network, again.optimizer, again.rngs, [snapshots[number] for number in then]) == stop + 1
    again.run(stop + 1)
    found = again.results()
    for number in then:
        assert before[number] + found[number] == results(work, [lane(number)])[number]


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_lane_goes_on_in_another_batch_with_every_optimizer(optimizer: str) -> None:
    for batch_norm, dropout in ((False, False), (True, True)):
        work = replace(SMALL, optimizer=optimizer, batch_norm=batch_norm, dropout=dropout, schedules=True)
        check_snapshots(work, [0, 1, 13, 2], 2, [5, 2, 0], [4, 5])
        check_snapshots(work, [3], 1, [3], [4])
