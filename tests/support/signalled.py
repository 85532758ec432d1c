"""``hpsearch`` in a process group of its own, which is held in the middle of its trials, to be killed there."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bounded import LIMIT_S, until
from faulty.hooks import own_group, wrapped
from faulty.process import Run, Running


@dataclass(frozen=True)
class Command:
    """A command under way."""

    run: Run  # its process
    pipe: int  # what it and its workers print into

    def send(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to it, or to all of its group."""
        (os.killpg if group else os.kill)(self.run.pid, number)

    def end(self) -> tuple[int, str, list[str]]:
        """Wait for it and for its workers: its exit code, what it printed, and the lines on standard error."""
        code, printed, end = self.run.wait(), b"", time.monotonic() + LIMIT_S
        # The pipe ends with the last worker.
        while select.select([self.pipe], [], [], end - time.monotonic())[0]:
            if not (some := os.read(self.pipe, 4096)):
                os.close(self.pipe)
                return code, printed.decode(), self.run.lines
            printed += some
        raise AssertionError("workers go on after their runner")


def start(running: Running, *words: str, held_from: int | None = None) -> Command:
    """Begin ``hpsearch WORDS``; trials from a number on stay at their first epoch."""
    fifo = running.folder / f"{len(running.runs)}.pipe"
    os.mkfifo(fifo)
    pipe = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    stays = [] if held_from is None else [partial(wrapped, hold=(held_from, running.folder / "go"))]
    return Command(running.start(*words, hooks=[partial(own_group, fifo), *stays]), pipe)


def states(database: Path) -> list[str]:
    """The state of every trial there is, or none while there is no database."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(database, timeout=LIMIT_S)) as connection:
        try:
            return [state for (state,) in connection.execute("SELECT state FROM trials ORDER BY number")]
        except sqlite3.OperationalError:  # it is being made
            return []


def finished(database: Path, command: Command, many: int, kinds: Sequence[str] = ("COMPLETE", "PRUNED")) -> None:
    """Wait until so many trials have finished, and others not."""
    until(lambda: sum(map(states(database).count, kinds)) >= many or command.run.over, what=f"{many} finished trials")
    assert not command.run.over, command.run.lines
