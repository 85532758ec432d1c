"""An objective that writes down what it begins. Workers import this by name, so it loads little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faulty.wrapped import Wrapped
from hpsearch.records import Outcome, Paused, Report, Trial


@dataclass(frozen=True)
class Counting(Wrapped):
    """An objective that writes down what it begins: a line of trial numbers for every batch.

    Args:
        log: The file.
    """

    log: Path

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        # One write of a few bytes at the end of a file is whole, whoever else writes there and dies when.
        line = " ".join(str(trial.number) for trial in trials) + "\n"
        with self.log.open("ab", buffering=0) as log:
            log.write(line.encode())
        yield from super().evaluate(trials, until=until, paused=paused)
