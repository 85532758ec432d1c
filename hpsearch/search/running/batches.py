"""Batches that are ready for a worker: which trials go together, and how many."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from hpsearch.executors import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.executors import Executor
    from hpsearch.objectives.base import Objective
    from hpsearch.records import Paused, Trial

_ATTEMPTS = 2
"""How often a trial may take its worker down, alone, before it is given up."""


class Batches:
    """A queue of batches.

    Args:
        objective: What evaluates them: it says which trials go together.
        executor: Where they are evaluated, so many at the same time as it has slots now.
        lanes: How many trials to a batch; None: what the objective and the trials left make best.
    """

    def __init__(self, objective: Objective, *, executor: Executor, lanes: int | None) -> None:
        self._objective, self._executor, self._lanes = objective, executor, lanes
        self._ready: deque[Batch] = deque()
        self._next_key = 0

    def __len__(self) -> int:
        return len(self._ready)

    def pop(self) -> Batch:
        """The batch that is next."""
        return self._ready.popleft()

    def size(self, left: int) -> int:
        """How many trials to a batch, where so many are left to do."""
        if self._lanes is not None:
            return self._lanes
        # As many rounds as full batches need, all of the same size: no worker ends long after the others.
        slots = max(self._executor.slots, 1)
        rounds = math.ceil(left / (slots * self._objective.lanes()))
        return math.ceil(left / (slots * rounds))

    def add(
        self, trials: Sequence[Trial], size: int, *, until: int | None, paused: Mapping[int, Paused] | None = None
    ) -> None:
        """Put trials into batches, those of one structure together.

        Args:
            trials: The trials.
            size: How many to a batch at most.
            until: The epoch at which they pause; None: they run to the end.
            paused: Where each stands, by number; None: they begin.
        """
        for group in self._objective.group(trials):
            most = min(size, self._lanes or self._objective.lanes(group[0]))
            for start in range(0, len(group), most):
                some = tuple(group[start : start + most])
                self._add(some, until=until, paused=tuple(paused[t.number] for t in some) if paused else ())

    def again(self, batch: Batch) -> bool:
        """Have a batch evaluated again whose worker died; False: it is one trial that has done so alone before."""
        # Split, so that a trial that takes its worker down is soon alone with it.
        if len(batch.trials) > 1:
            for position, trial in enumerate(batch.trials):
                self._add((trial,), until=batch.until, paused=batch.paused[position : position + 1])
        elif batch.attempt < _ATTEMPTS:
            self._add(batch.trials, attempt=batch.attempt + 1, until=batch.until, paused=batch.paused)
        else:
            return False
        return True

    def _add(
        self, trials: tuple[Trial, ...], *, attempt: int = 1, until: int | None, paused: tuple[Paused, ...]
    ) -> None:
        self._ready.append(Batch(self._next_key, trials, attempt, until, paused))
        self._next_key += 1
