"""An objective around another one. Workers import this by name, so it loads little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hpsearch.objectives.base import Objective
from hpsearch.records import Outcome, Paused, Report, Trial


@dataclass(frozen=True)
class Wrapped:
    """An objective that does as another one does, but for what is done around its evaluation.

    Args:
        inner: What evaluates.
    """

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
