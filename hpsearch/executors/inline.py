"""Batches in this process, one at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from hpsearch.executors.base import Batch, Evaluates, Event, Progress, drive

if TYPE_CHECKING:
    from collections.abc import Iterator


@final
class InlineExecutor:
    """Evaluates batches in this process: nothing to start, easy to debug.

    `wait` works on the batch until its timeout, so that the caller keeps writing curves and hears Ctrl-C.
    """

    slots = 1

    def __init__(self) -> None:
        self._objective: Evaluates | None = None
        self._running: Iterator[Event | None] | None = None

    @property
    def free(self) -> int:
        return 0 if self._running is not None else 1

    def load(self, objective: Evaluates) -> None:
        self._objective = objective

    def expect(self, batches: int) -> None:
        """Do nothing: there are no other workers to be had."""

    def submit(self, batch: Batch) -> None:
        assert self._objective is not None
        self._running = drive(self._objective, batch)

    def wait(self, timeout: float) -> list[Event]:
        """Work on the batch until there is an event or the time is over."""
        until = time.monotonic() + timeout
        while self._running is not None:
            event = next(self._running, None)
            if event is not None:
                if not isinstance(event, Progress):
                    self._running = None
                return [event]
            if time.monotonic() >= until:
                break
        return []

    def close(self, *, kill: bool = False) -> None:
        self._running = None
