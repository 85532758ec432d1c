"""An executor without workers: N batches are under way because a clock says so, and cost nothing meanwhile.

What a run on it takes is the runner's and the store's alone.
"""

from __future__ import annotations

import heapq
import time
from itertools import count
from typing import final

from hpsearch.executors.base import Batch, Done, Evaluates, Event, Progress
from hpsearch.records import Report
from scaling.work import Work, flushes


@final
class SlotsExecutor:
    """Batches that are done when their time is over.

    Args:
        work: How long each takes, and what comes of it.
        slots: How many are under way at a time.
        together: So many events come back at a time, by a clock that passes only where somebody waits for it: the
            runner is never idle. None: go by the real clock, and sleep while nothing is due.
    """

    def __init__(self, work: Work, slots: int, *, together: int | None) -> None:
        self.slots = slots
        self._work, self._together = work, together
        self._now = 0.0
        self._flying = 0
        self._due: list[tuple[float, int, Batch, int, int]] = []  # time, a tie's order, batch, epochs before and now
        self._order = count()
        self.late_s: list[float] = []
        """How long each batch that was done waited for the runner to look."""

    @property
    def free(self) -> int:
        """How many may be submitted now."""
        return self.slots - self._flying

    def load(self, objective: Evaluates) -> None:
        """Nothing: the work is known."""

    def expect(self, batches: int) -> None:
        pass

    def submit(self, batch: Batch) -> None:
        """Begin a batch."""
        self._flying += 1
        began, whole = self._clock(), self._work.duration(batch.trials[0].number)
        before = 0
        for at, epoch in flushes(whole, self._work.epochs):
            heapq.heappush(self._due, (began + at, next(self._order), batch, before, epoch))
            before = epoch
        heapq.heappush(self._due, (began + whole, next(self._order), batch, -1, -1))

    def wait(self, timeout: float) -> list[Event]:
        """What is due; the next event, by a clock that is not real."""
        if not self._due:
            return []
        if self._together is not None:
            if timeout == 0:  # whoever stops takes what is there, not what is to come
                return []
            events: list[Event] = []
            while self._due and len(events) < self._together:
                self._now = max(self._now, self._due[0][0])
                events.append(self._pop())
            return events
        time.sleep(max(0.0, min(timeout, self._due[0][0] - self._clock())))
        events, now = [], self._clock()
        while self._due and self._due[0][0] <= now:
            events.append(self._pop())
        return events

    def _clock(self) -> float:
        return time.monotonic() if self._together is None else self._now

    def _pop(self) -> Event:
        at, _, batch, before, epoch = heapq.heappop(self._due)
        if epoch < 0:
            self._flying -= 1
            self.late_s.append(self._clock() - at)
            return Done(batch, tuple(self._work.outcome(trial.number) for trial in batch.trials))
        steps = range(before + 1, epoch + 1)
        return Progress(tuple(Report(trial.number, step, 0.5) for trial in batch.trials for step in steps))

    def close(self, *, kill: bool = False) -> None:
        """Nothing to end."""
