"""Objectives that do as they are told. Worker processes import them, so they live in a module of their own."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from bounded import LIMIT_S

from hpsearch.executors.base import VARIABLES
from hpsearch.records import Completed, Failed, Outcome, Paused, Report, Trial

Items = Iterator[Sequence[Report | Outcome | Paused]]
STEPS = 3
EPOCHS = 16
TRAINED = "trained"
"""The attribute with the epochs that were trained for a trial, those that were trained again included."""


def value(number: int, step: int) -> float:
    """What the stub's curve of a trial shows at a step."""
    return number + step / 8


@cache
def curve(number: int, epochs: int = EPOCHS) -> tuple[float, ...]:
    """A `Pausing` trial's scores up to an epoch or its end, in steps of 0.1: trials tie, and who leads changes."""
    early, late = (random.Random(f"{number} {part}").random() for part in ("early", "late"))
    diverges = {3: 1, 5: 6, 8: 3}.get(number % 11, EPOCHS + 1)
    return tuple(round(0.4 * early + late * epoch / EPOCHS, 1) for epoch in range(1, min(epochs + 1, diverges)))


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """Trials of so many structures: those of one remainder belong together."""

    kinds: int = 1
    independent: ClassVar[bool] = False

    def lanes(self, trial: Trial | None = None) -> int:
        return 4

    def structures(self) -> int:
        return self.kinds

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        groups = ([t for t in trials if t.number % self.kinds == kind] for kind in range(self.kinds))
        return [group for group in groups if group]


@dataclass(frozen=True)
class Stub(Kinds):
    """Gives every trial `STEPS` points and a score; what is said here happens first."""

    folder: Path  # where the files ``began-N`` (with the worker's process number) and ``go-N`` lie
    raises: Collection[int] = ()  # trials at which `evaluate` raises
    silent: Collection[int] = ()  # trials that get no outcome
    kills: Collection[int] = ()  # trials that kill their process with SIGKILL
    waits: Collection[int] = ()  # trials that stay at their first point until the file ``go-N`` is there
    twice: Collection[int] = ()  # trials that get their outcome twice
    late: Collection[int] = ()  # trials with which comes one more point of trial 0
    bonus: float = 0.0  # added to every score

    def evaluate(self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()) -> Items:
        numbers = [trial.number for trial in trials]
        for number in numbers:
            self._sign(f"began-{number}", str(os.getpid()))
            if number in self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            if number in self.raises:
                raise ValueError(f"trial {number}\n  is  bad")
        yield [Report(number, 1, value(number, 1)) for number in numbers]
        yield [Report(0, STEPS + 1, 0.0) for number in numbers if number in self.late]
        end = time.monotonic() + LIMIT_S
        for number in numbers:
            while number in self.waits and not (self.folder / f"go-{number}").exists():
                assert time.monotonic() < end, f"nobody let trial {number} go"
                time.sleep(0.01)
                yield []
        for step in range(2, STEPS + 1):
            yield [Report(number, step, value(number, step)) for number in numbers]
        yield [self._outcome(n) for n in numbers if n not in self.silent]
        yield [self._outcome(n) for n in numbers if n in self.twice]

    def _outcome(self, number: int) -> Completed:
        curve = tuple(value(number, step) for step in range(1, STEPS + 1))
        return Completed(number, curve[-1] + self.bonus, curve, {"pid": os.getpid()})

    def _sign(self, name: str, text: str) -> None:
        # Whole at once: whoever sees the file reads all of it.
        unfinished = self.folder / f".{name}-{os.getpid()}"
        unfinished.write_text(text)
        unfinished.replace(self.folder / name)


@dataclass(frozen=True)
class Pausing(Kinds):
    """Shows each trial's `curve`, and pauses where it is told to."""

    keeps: bool = True  # whether it can go on from a pause; otherwise it begins again
    breaks: tuple[int, ...] = ()  # trials whose evaluation raises once they have paused somewhere
    never: tuple[int, ...] = ()  # trials whose evaluation raises at once

    def evaluate(self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()) -> Items:
        assert len({(trial.number % self.kinds) for trial in trials}) == 1
        before = {one.number: one for one in paused}
        assert list(before) == ([trial.number for trial in trials] if paused else [])
        assert len({one.epoch for one in paused}) <= 1
        if any(trial.number in (*self.never, *(self.breaks if paused else ())) for trial in trials):
            raise ValueError("broken")
        stop = EPOCHS if until is None else until
        ends: list[Outcome | Paused] = []
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
                ends.append(Failed(trial.number, "diverged", points, attributes))
            elif until is None:
                ends.append(Completed(trial.number, points[-1], points, attributes))
            else:
                ends.append(Paused(trial.number, points, attributes, (trial.number, stop) if self.keeps else None))
        yield ends


@dataclass(frozen=True)
class Unreadable:
    """Cannot be had where its file is missing: in no worker's process."""

    file: Path

    def __reduce__(self) -> tuple[Callable[[Path], object], tuple[Path]]:
        return open, (self.file,)

    def evaluate(self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()) -> Items:
        yield []


@dataclass(frozen=True)
class Surroundings:
    """Says what a worker's process looks like after its first matrix product."""

    def evaluate(self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()) -> Items:
        import numpy as np

        square = np.ones((300, 300), dtype=np.float32)
        np.matmul(square, square)
        tasks = Path("/proc/self/task")
        seen = {
            "variables": {name: os.environ.get(name) for name in VARIABLES},
            "threads": len(list(tasks.iterdir())) if tasks.is_dir() else 1,
            "modules": sorted({name.partition(".")[0] for name in sys.modules}),
        }
        yield [Completed(trial.number, 0.0, (), seen) for trial in trials]
