"""Trials that only take their time: how long, what they report meanwhile, and what comes of them.

Worker processes import this module; what is here is a pure function of a trial's number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from hpsearch.executors.base import FLUSH_S
from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Outcome, Paused, Report, Trial
from hpsearch.space import Float, Space
from hpsearch.store import NewStage

SPACE: Space = {"lr": Float(1e-4, 1.0, log=True), "momentum": Float(0.0, 0.99)}
SPREAD = 0.5
"""Standard deviation of the logarithm of a trial's seconds: one in twenty takes 2.3 times the median or more."""
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Work:
    """What every trial of a stage takes. It is an objective too, whose workers sleep.

    Args:
        seconds: Median of a batch's seconds.
        lanes_: Trials to a batch.
        epochs: Points of each trial's curve.
    """

    seconds: float
    lanes_: int = 4
    epochs: int = 10

    def duration(self, number: int) -> float:
        """Seconds of the batch that begins with a trial, log-normal around `seconds`."""
        # Multiples of the golden ratio spread evenly: few batches have the mean of many, with the same spread.
        share = (0.5 + (number // self.lanes_) * _GOLDEN) % 1.0
        return self.seconds * math.exp(SPREAD * NormalDist().inv_cdf(min(max(share, 1e-4), 1 - 1e-4)))

    @property
    def mean(self) -> float:
        """Mean of a batch's seconds."""
        return self.seconds * math.exp(SPREAD**2 / 2)

    def outcome(self, number: int) -> Completed:
        """What a trial comes to, with the attributes of a network's trial of so many epochs, hits aside."""
        share = (number * _GOLDEN) % 1.0
        curve = tuple(share * step / self.epochs for step in range(1, self.epochs + 1))
        others = {name: list(curve) for name in ("train_loss", "validation_loss", "train_accuracy")}
        return Completed(number, curve[-1], curve, {CURVES: others, SECONDS: 4.125, VALIDATION_LOSS: 1 - share})

    def lanes(self, trial: Trial | None = None) -> int:
        """Trials to a batch."""
        return self.lanes_

    def structures(self) -> int:
        """One: every trial may train beside every other."""
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        """All of them together."""
        return [list(trials)] if trials else []

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Sleep as long as the batch takes, epoch by epoch."""
        began, whole = time.monotonic(), self.duration(trials[0].number)
        outcomes = [self.outcome(trial.number) for trial in trials]
        for step in range(1, self.epochs + 1):
            time.sleep(max(0.0, began + whole * step / self.epochs - time.monotonic()))
            yield [Report(one.number, step, one.intermediate[step - 1]) for one in outcomes]
        yield outcomes


def flushes(duration: float, epochs: int) -> list[tuple[float, int]]:
    """When points of curves leave a worker before a batch is done, and up to which epoch: (seconds, epoch).

    As `hpsearch.executors.base.drive` has it: at the end of an epoch, and at most every `FLUSH_S`.
    """
    found, last = [], 0.0
    for epoch in range(1, epochs + 1):
        at = duration * epoch / epochs
        if at - last >= FLUSH_S:
            found.append((at, epoch))
            last = at
    return found


def new_stage(number: int = 1) -> NewStage:
    """A stage to be run."""
    return NewStage(
        search="scale",
        number=number,
        direction="maximize",
        seed=0,
        space=SPACE,
        study_file={"name": "scale", "objective": {"metric": "validation_accuracy", "direction": "maximize"}},
        sizes={"train": 50_000, "validation": 10_000},
    )
