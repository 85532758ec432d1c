"""The law of snapshots: a lane that went on elsewhere, beside others, is to the bit the lane that never stopped."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.nn import OPTIMIZERS, Network, Optimizer, Purpose, Schedule, TrainingData, lane_rngs, train_epochs
from hpsearch.nn.snapshots import Snapshot, resume, take

SEED, EPOCHS = 5, 6
SCHEDULES = ("constant", "step", "exponential", "inverse_time", "cosine")


@dataclass(frozen=True)
class Work:
    """What all lanes have in common; the rest follows from a lane's number."""

    optimizer: str
    batch_norm: bool = False
    dropout: bool = False
    schedules: bool = False
    dtype: str = "float32"
    batch_size: int = 7

    def data(self) -> TrainingData:
        rng = np.random.default_rng(1)
        images, labels = rng.standard_normal((50, 6)).astype(self.dtype), rng.integers(3, size=50)
        return TrainingData(images[:30], labels[:30], images[30:], labels[30:])


class Batch:
    """Lanes that train together."""

    def __init__(self, work: Work, numbers: Sequence[int]) -> None:
        self.work, self.numbers = work, list(numbers)
        self.rngs = lane_rngs(SEED, numbers, Purpose.ORDER)
        self.network = Network(
            [6, 5, 4, 3],
            rngs=lane_rngs(SEED, numbers, Purpose.WEIGHTS),
            batch_norm=work.batch_norm,
            dropout=[0.1 * (number % 4) for number in numbers] if work.dropout else None,
            dropout_rngs=lane_rngs(SEED, numbers, Purpose.DROPOUT),
            dtype=work.dtype,
        )
        kind: Any = OPTIMIZERS[work.optimizer]
        # Lane 13 diverges at once, in any optimizer.
        rates = [1e300 if number == 13 else 0.02 * (1 + number) for number in numbers]
        self.optimizer: Optimizer = kind(rates, weight_decay=[0.01 * number for number in numbers])
        self.schedules = [Schedule(SCHEDULES[number % 5], warmup_epochs=number % 3) for number in numbers]

    def run(self, start: int, stop: int) -> dict[int, list[bytes]]:
        """Train a part of the epochs; what was reported, by number. The lanes that diverge leave."""
        found: dict[int, list[bytes]] = {number: [] for number in self.numbers}
        alive = list(range(len(self.numbers)))
        for epoch in train_epochs(
            self.network,
            self.optimizer,
            self.work.data(),
            batch_size=self.work.batch_size,
            epochs=EPOCHS,
            rngs=self.rngs,
            schedules=self.schedules if self.work.schedules else None,
            start=start,
            stop=stop,
        ):
            alive = epoch.lanes.tolist()
            for position, lane in enumerate(alive):
                curves = (epoch.train_loss, epoch.train_accuracy, epoch.validation_loss, epoch.validation_accuracy)
                found[self.numbers[lane]].append(np.array([curve[position] for curve in curves]).tobytes())
        self.numbers, self.rngs = [self.numbers[i] for i in alive], [self.rngs[i] for i in alive]
        self.schedules = [self.schedules[i] for i in alive]
        return found

    def snapshots(self, epoch: int) -> dict[int, Snapshot]:
        """Of all lanes, as they arrive in another process."""
        return {
            number: pickle.loads(pickle.dumps(take(self.network, self.optimizer, self.rngs, lane=lane, epoch=epoch)))
            for lane, number in enumerate(self.numbers)
        }

    def arrays(self) -> dict[int, list[bytes]]:
        """All parameters and running statistics by number, without what lies between them."""
        named = [values for layer in self.network.parameters for values in layer.values()]
        return {number: [values[lane].tobytes() for values in named] for lane, number in enumerate(self.numbers)}


def uninterrupted(work: Work, number: int) -> tuple[list[bytes], list[bytes]]:
    batch = Batch(work, [number])
    return batch.run(1, EPOCHS)[number], batch.arrays()[number]


def check(work: Work, first: Sequence[int], stop: int, then: Sequence[int], beside: Sequence[int]) -> None:
    """Train lanes up to an epoch in two batches, and some of both on in one."""
    before: dict[int, list[bytes]] = {}
    snapshots: dict[int, Snapshot] = {}
    for batch in (Batch(work, first), Batch(work, beside)):
        before |= batch.run(1, stop)
        snapshots |= batch.snapshots(stop)
        batch.run(stop + 1, EPOCHS)  # what happens to a batch afterwards does not touch what was taken from it
    again = Batch(work, then)
    assert resume(again.network, again.optimizer, again.rngs, [snapshots[number] for number in then]) == stop + 1
    after = again.run(stop + 1, EPOCHS)
    for number in then:
        assert (before[number] + after[number], again.arrays()[number]) == uninterrupted(work, number)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [False, True])
def test_every_optimizer_goes_on(optimizer: str, batch_norm: bool, dropout: bool) -> None:
    work = Work(optimizer, batch_norm, dropout, schedules=True)
    check(work, [0, 1, 13, 2], 2, [5, 2, 0], [4, 5])
    check(work, [3], 1, [3], [4])


@settings(max_examples=12, deadline=None)
@given(
    work=st.builds(
        Work,
        optimizer=st.sampled_from(sorted(OPTIMIZERS)),
        batch_norm=st.booleans(),
        dropout=st.booleans(),
        schedules=st.booleans(),
        dtype=st.sampled_from(["float32", "float64"]),
        batch_size=st.integers(1, 40),
    ),
    stop=st.integers(1, EPOCHS - 1),
    numbers=st.permutations(range(8)),
    kept=st.permutations(range(6)),
    count=st.integers(1, 6),
)
def test_any_lane_goes_on_in_any_company(
    work: Work, stop: int, numbers: list[int], kept: list[int], count: int
) -> None:
    mine = numbers[:6]
    check(work, mine[:3], stop, [mine[place] for place in kept[:count]], mine[3:])


def test_what_does_not_fit_together_is_refused() -> None:
    work = Work("adam")
    early, late, fresh = Batch(work, [0]), Batch(work, [1]), Batch(work, [0, 1])
    early.run(1, 1)
    late.run(1, 2)
    both = [early.snapshots(1)[0], late.snapshots(2)[1]]
    with pytest.raises(BadInput, match=r"2 snapshots of epochs \[1, 2\] for 2 lanes"):
        resume(fresh.network, fresh.optimizer, fresh.rngs, both)
    with pytest.raises(BadInput, match="1 snapshots of epochs"):
        resume(fresh.network, fresh.optimizer, fresh.rngs, both[:1])
    wet = Batch(Work("adam", dropout=True), [0])
    with pytest.raises(BadInput, match="dropout"):
        resume(wet.network, wet.optimizer, wet.rngs, both[:1])
    for other in ("sgd", "momentum"):
        dry = Batch(Work(other), [0])
        with pytest.raises(BadInput, match="2 slots of an optimizer for a network of"):
            resume(dry.network, dry.optimizer, dry.rngs, both[:1])
    wide = Batch(Work("adam", batch_norm=True), [0])
    with pytest.raises(BadInput, match="they go on in a network of their own kind"):
        resume(wide.network, wide.optimizer, wide.rngs, both[:1])
    again = Batch(work, [1])
    again.run(1, 1)
    apart = [early.snapshots(1)[0], again.snapshots(1)[1]]
    with pytest.raises(BadInput, match="with a generator each"):
        resume(fresh.network, fresh.optimizer, fresh.rngs[:1] * 2, apart)


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (4, 3), (1, EPOCHS + 1)])
def test_a_part_lies_within_the_epochs(start: int, stop: int) -> None:
    with pytest.raises(BadInput, match=f"epochs {start} to {stop} of {EPOCHS}"):
        Batch(Work("sgd"), [0]).run(start, stop)
