"""Learning-rate schedules: their formulas, and that training applies them lane by lane."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadInput
from hpsearch.nn import SCHEDULES, SGD, Network, Purpose, Schedule, TrainingData, lane_rngs, train

STEPS = 4  # mini-batches of an epoch


def factors(schedule: Schedule, epochs: int) -> list[float]:
    return [schedule.factor(done, steps=STEPS, epochs=epochs) for done in range(epochs * STEPS)]


FORMULAS: list[tuple[Schedule, int, list[float]]] = [  # by mini-batch, of four an epoch
    (Schedule(), 5, [1.0] * 20),
    (Schedule("step", decay=0.1, decay_epochs=2), 6, [1.0] * 8 + [0.1] * 8 + [0.01] * 8),
    (Schedule("step", decay=0.1, decay_epochs=0.5), 1, [1, 1, 0.1, 0.1]),
    (Schedule("exponential", decay=0.3, decay_epochs=2), 4, [0.3 ** (done / 8) for done in range(16)]),
    # decay 0.25 after 2 epochs: 1 / (1 + 3 t / 2) at t epochs
    (Schedule("inverse_time", 0.25, 2), 5, [1 / (1 + 3 * done / STEPS / 2) for done in range(20)]),
    # from 1 to 0 over the whole training, whatever the decay
    (Schedule("cosine", 0.1, 1), 3, [(1 + math.cos(math.pi * done / 12)) / 2 for done in range(12)]),
]


@pytest.mark.parametrize(("schedule", "epochs", "expected"), FORMULAS, ids=lambda value: getattr(value, "name", None))
def test_every_schedule_follows_its_formula(schedule: Schedule, epochs: int, expected: list[float]) -> None:
    assert factors(schedule, epochs) == pytest.approx(expected, rel=1e-14)
    assert factors(schedule, epochs)[0] == 1
    assert schedule.changes == (schedule.name != "constant")
    assert Schedule(schedule.name, warmup_epochs=0.1).changes


def test_every_schedule_is_in_the_table_and_the_cosine_ends_at_0() -> None:
    assert {schedule.name for schedule, *_ in FORMULAS} == set(SCHEDULES)
    assert Schedule("cosine").factor(12, steps=STEPS, epochs=3) == 0


@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    decay=st.floats(0.01, 1),
    decay_epochs=st.floats(0.1, 20),
    warmup=st.sampled_from([0.0, 0.25, 1.0, 2.5]),
)
def test_rates_never_rise_after_the_warm_up(name: str, decay: float, decay_epochs: float, warmup: float) -> None:
    schedule = Schedule(name, decay, decay_epochs, warmup)
    found = factors(schedule, 6)
    assert all(0 < factor <= 1 for factor in found)
    after = found[math.ceil(warmup * STEPS) :]
    assert after == sorted(after, reverse=True)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_warm_up_is_linear_from_the_first_mini_batch_on_top_of_the_schedule(name: str) -> None:
    plain = factors(Schedule(name, 0.5, 1), 3)
    warm = factors(Schedule(name, 0.5, 1, warmup_epochs=1.5), 3)
    ramp = [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, *[1.0] * 7]
    assert warm == pytest.approx([a * b for a, b in zip(plain, ramp, strict=True)], rel=1e-14)
    assert warm[6:] == plain[6:]


def test_training_gives_every_lane_its_own_factors() -> None:
    """Equal samples and no hidden layer: the bias can be followed from rate to rate, a short mini-batch included."""
    data = TrainingData(np.ones((3, 1)), np.zeros(3, np.int64), np.ones((1, 1)), np.zeros(1, np.int64))
    schedules = [Schedule(), Schedule("exponential", 0.1, 1), Schedule("cosine", warmup_epochs=0.5)]
    network = Network([1, 2], rngs=lane_rngs(0, range(3), Purpose.WEIGHTS), initializers="zeros", dtype=np.float64)
    rngs = lane_rngs(0, range(3), Purpose.ORDER)
    train(network, SGD([0.1, 0.2, 0.3]), data, batch_size=2, epochs=3, rngs=rngs, schedules=schedules)
    for lane, schedule in enumerate(schedules):
        bias = 0.0  # of class 0; the weight's path is the same, and class 1's their mirror
        for done in range(6):
            probability = 1 / (1 + math.exp(-4 * bias))
            bias += (0.1, 0.2, 0.3)[lane] * schedule.factor(done, steps=2, epochs=3) * (1 - probability)
        assert network.parameters[0]["bias"][lane].ravel() == pytest.approx([bias, -bias], rel=1e-12)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"name": "cosin"}, "no learning-rate schedule 'cosin'; did you mean 'cosine'"),
        ({"decay": 0.0}, r"lr_decay = 0.0; give a factor above 0 and at most 1"),
        ({"decay": 1.1}, r"lr_decay = 1.1"),
        ({"decay": math.nan}, r"lr_decay = nan"),
        ({"decay_epochs": 0.0}, r"lr_decay_epochs = 0.0; give a finite number above 0"),
        ({"decay_epochs": math.inf}, r"lr_decay_epochs = inf"),
        ({"warmup_epochs": -1.0}, r"warmup_epochs = -1.0; give a finite number, 0 or above"),
        ({"warmup_epochs": math.inf}, r"warmup_epochs = inf"),
    ],
)
def test_what_is_no_schedule_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Schedule(**asked)
    assert Schedule(decay=1.0, warmup_epochs=0.0) == Schedule(decay=1.0)
