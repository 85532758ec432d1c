"""An objective that pauses at rungs, with curves that are known beforehand. Worker processes import it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from hpsearch.records import Completed, Failed, Outcome, Paused, Report, Trial

EPOCHS = 16
TRAINED = "trained"
"""The attribute with the epochs that were trained for a trial, those that were trained again included."""


@cache
def value(number: int, epoch: int) -> float:
    """A trial's score after an epoch, in steps of 0.1 so that trials tie; who leads changes on the way."""
    early, late = (random.Random(f"{number} {part}").random() for part in ("early", "late"))
    return round(0.4 * early + late * epoch / EPOCHS, 1)


def diverges(number: int) -> int | None:
    """The epoch in which a trial ends without a score, if it does."""
    return {3: 1, 5: 6, 8: 3}.get(number % 11)


def curve(number: int, epochs: int = EPOCHS) -> tuple[float, ...]:
    """A trial's scores up to an epoch, or to its end."""
    last = min(epochs, (diverges(number) or EPOCHS + 1) - 1)
    return tuple(value(number, epoch) for epoch in range(1, last + 1))


@dataclass(frozen=True)
class Pausing:
    """Shows each trial's `curve`."""

    keeps: bool = True  # whether it can go on from a pause; otherwise it begins again
    kinds: int = 1  # how many structures there are: trials of one remainder belong together
    breaks: tuple[int, ...] = ()  # trials whose evaluation raises once they have paused somewhere

    def lanes(self, trial: Trial | None = None) -> int:
        return 4

    def structures(self) -> int:
        return self.kinds

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        groups = ([t for t in trials if t.number % self.kinds == kind] for kind in range(self.kinds))
        return [group for group in groups if group]

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        assert len({(trial.number % self.kinds) for trial in trials}) == 1
        before = {one.number: one for one in paused}
        assert list(before) == ([trial.number for trial in trials] if paused else [])
        assert len({one.epoch for one in paused}) <= 1
        if any(trial.number in self.breaks for trial in trials if paused):
            raise ValueError("broken")
        stop = EPOCHS if until is None else until
        found: list[Outcome | Paused] = []
        for trial in trials:
            one = before.get(trial.number)
            start = 0
            if one is not None:
                assert one.state == ((trial.number, one.epoch) if self.keeps else None)
                assert one.intermediate == curve(trial.number, one.epoch)
                start = one.epoch if self.keeps else 0
            points = curve(trial.number, stop)
            yield [Report(trial.number, epoch, points[epoch - 1]) for epoch in range(start + 1, len(points) + 1)]
            attributes = {TRAINED: len(points) - start + (one.attributes[TRAINED] if one else 0)}
            if len(points) < stop:
                found.append(Failed(trial.number, "diverged", points, attributes))
            elif until is None:
                found.append(Completed(trial.number, points[-1], points, attributes))
            else:
                found.append(Paused(trial.number, points, attributes, (trial.number, stop) if self.keeps else None))
        yield found
