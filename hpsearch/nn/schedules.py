"""Learning-rate schedules: the factor of the rate as training goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def constant(schedule: Schedule, t: float, epochs: int) -> float:
    """1, always."""
    return 1.0


def step(schedule: Schedule, t: float, epochs: int) -> float:
    """``decay`` more after every ``decay_epochs`` epochs, at once."""
    return float(schedule.decay ** math.floor(t / schedule.decay_epochs))


def exponential(schedule: Schedule, t: float, epochs: int) -> float:
    """``decay`` more after every ``decay_epochs`` epochs, mini-batch by mini-batch."""
    return float(schedule.decay ** (t / schedule.decay_epochs))


def inverse_time(schedule: Schedule, t: float, epochs: int) -> float:
    """1/t decay: ``decay`` after ``decay_epochs`` epochs, and ever more slowly from there."""
    return 1 / (1 + (1 / schedule.decay - 1) * t / schedule.decay_epochs)


def cosine(schedule: Schedule, t: float, epochs: int) -> float:
    """Half a cosine, from 1 down to 0 at the end of training.

    Source: Loshchilov and Hutter 2017, "SGDR", eq. 5, without restarts.
    """
    return (1 + math.cos(math.pi * t / epochs)) / 2


SCHEDULES: Mapping[str, Callable[[Schedule, float, int], float]] = {  # by their name in a study file
    "constant": constant,
    "step": step,
    "exponential": exponential,
    "inverse_time": inverse_time,
    "cosine": cosine,
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The change of a lane's learning rate while it trains.

    Raises:
        BadInput: An unknown name, or a number out of its range.
    """

    name: str = "constant"  # A name in `SCHEDULES`
    decay: float = 0.5  # what the rate is multiplied by in the first ``decay_epochs`` epochs, above 0 and at most 1
    decay_epochs: float = 10.0  # above 0
    # the rate rises linearly over this many epochs first, on top of the schedule; 0 or above
    warmup_epochs: float = 0.0

    def __post_init__(self) -> None:
        look_up(SCHEDULES, self.name, "learning-rate schedule")
        if not 0 < self.decay <= 1:
            raise BadInput(f"lr_decay = {self.decay}; give a factor above 0 and at most 1")
        if not 0 < self.decay_epochs < math.inf:
            raise BadInput(f"lr_decay_epochs = {self.decay_epochs}; give a finite number above 0")
        if not 0 <= self.warmup_epochs < math.inf:
            raise BadInput(f"warmup_epochs = {self.warmup_epochs}; give a finite number, 0 or above")

    @property
    def changes(self) -> bool:
        """Return whether the rate is ever multiplied by anything but 1."""
        return self.name != "constant" or self.warmup_epochs > 0

    def factor(self, done: int, *, steps: int, epochs: int) -> float:
        """Return the factor of the learning rate for the next mini-batch.

        Args:
            done: Mini-batches trained on so far.
            steps: Mini-batches of an epoch.
            epochs: Epochs of the whole training.
        """
        # In Python's floats and not in arrays: their transcendental functions may round by position.
        factor = SCHEDULES[self.name](self, done / steps, epochs)
        if self.warmup_epochs > 0:
            factor *= min(1.0, (done + 1) / (steps * self.warmup_epochs))
        return factor
