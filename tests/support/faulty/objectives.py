"""An objective around another one, which writes down what it begins, or stops. Workers import it by name."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bounded import LIMIT_S

from hpsearch.objectives.base import Objective
from hpsearch.records import Outcome, Paused, Report, Trial


@dataclass(frozen=True)
class Wrapped:
    """Does as another objective does, but for what is said here."""

    inner: Objective
    log: Path | None = None  # gets the numbers of every batch that is begun, a line a batch
    hold: tuple[int, Path] | None = None  # trials from a number on stay at their first epoch until the file is there

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # unpickling asks before there is an inner one
            raise AttributeError(name)
        return getattr(self.inner, name)

    def evaluate(self, trials: Sequence[Trial], **named: Any) -> Iterator[Sequence[Report | Outcome | Paused]]:
        items = self.inner.evaluate(trials, **named)
        if self.log is not None:
            append(self.log, [trial.number for trial in trials])
        if self.hold is not None and max(trial.number for trial in trials) >= self.hold[0]:
            yield next(items)
            end = time.monotonic() + LIMIT_S
            while not self.hold[1].exists():
                assert time.monotonic() < end, f"nobody made {self.hold[1]}"
                time.sleep(0.01)
                yield []
        yield from items


def append(log: Path, numbers: Sequence[int]) -> None:
    """Write a line of numbers. A few bytes at the end of a file are whole, whoever else writes there and dies when."""
    with log.open("ab", buffering=0) as file:
        file.write((" ".join(map(str, numbers)) + "\n").encode())
