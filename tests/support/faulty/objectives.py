"""Objectives around another one: one writes down what it begins, one stops. Workers import them by name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bounded import LIMIT_S

from hpsearch.objectives.base import Objective
from hpsearch.records import Outcome, Paused, Report, Trial


@dataclass(frozen=True)
class Wrapped:
    """An objective that does as another one does, but for what a subclass adds."""

    inner: Objective

    def lanes(self, trial: Trial | None = None) -> int:
        return self.inner.lanes(trial)

    def structures(self) -> int:
        return self.inner.structures()

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return self.inner.group(trials)

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        return self.inner.evaluate(trials, until=until, paused=paused)


@dataclass(frozen=True)
class Counting(Wrapped):
    """Writes the numbers of every batch that it begins into a file, a line a batch."""

    log: Path

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        # One write of a few bytes at the end of a file is whole, whoever else writes there and dies when.
        line = " ".join(str(trial.number) for trial in trials) + "\n"
        with self.log.open("ab", buffering=0) as log:
            log.write(line.encode())
        yield from super().evaluate(trials, until=until, paused=paused)


@dataclass(frozen=True)
class Holding(Wrapped):
    """Stays at the first epoch of each trial from `first` on until the file `go` is there."""

    first: int
    go: Path

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        items = super().evaluate(trials, until=until, paused=paused)
        if any(trial.number >= self.first for trial in trials):
            yield next(items)
            end = time.monotonic() + LIMIT_S
            while not self.go.exists():
                assert time.monotonic() < end, f"nobody made {self.go}"
                time.sleep(0.01)
                yield []
        yield from items
