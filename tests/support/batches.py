"""Driving an executor by hand."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bounded import until
from stub_objectives import Stub

from hpsearch.executors.base import Batch, Event, Executor, Progress
from hpsearch.records import Trial


def batch(key: int, *numbers: int) -> Batch:
    """A batch of trials with these numbers; without any, one with the batch's own."""
    return Batch(key, tuple(Trial(number, number, {}) for number in numbers or (key,)))


def drain(executor: Executor, batches: Iterable[Batch] = (), *, back: int | None = None) -> list[Event]:
    """Submit the batches as there is room, and wait until so many are back (all of them): every event in order."""
    waiting = list(batches)
    wanted = len(waiting) if back is None else back
    events: list[Event] = []

    def is_back() -> bool:
        while waiting and executor.free:
            executor.submit(waiting.pop(0))
        events.extend(executor.wait(0.1))
        return sum(not isinstance(event, Progress) for event in events) >= wanted

    until(is_back, what=f"{wanted} batches")
    return events


def begun(executor: Executor, folder: Path, number: int, *not_in: int) -> int:
    """The process that a `Stub`'s trial has begun in, once it is none of these. Events meanwhile are for nobody."""
    file = folder / f"began-{number}"

    def is_there() -> bool:
        executor.wait(0.05)
        return file.exists() and int(file.read_text()) not in not_in

    until(is_there, what=f"trial {number} to begin")
    return int(file.read_text())


def under_way(executor: Executor, folder: Path) -> int:
    """Have a `Stub`'s trial 0 begin and wait for the file go-0: the process that it has begun in."""
    executor.load(Stub(folder, waits={0}))
    executor.submit(batch(0))
    return begun(executor, folder, 0)
