"""An objective that stops in the middle of its trials until it may go on. Workers import this by name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bounded import LIMIT_S

from faulty.wrapped import Wrapped
from hpsearch.records import Outcome, Paused, Report, Trial


@dataclass(frozen=True)
class Holding(Wrapped):
    """An objective that stays at the first epoch of a trial, from a number on, until a file is there.

    Args:
        first: The first trial that is held; those before it are evaluated as ever.
        go: The file.
    """

    first: int
    go: Path

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        found = super().evaluate(trials, until=until, paused=paused)
        if any(trial.number >= self.first for trial in trials):
            yield next(found)
            end = time.monotonic() + LIMIT_S
            while not self.go.exists():
                assert time.monotonic() < end, "nobody let it go on"
                time.sleep(0.01)
                yield []
        yield from found
