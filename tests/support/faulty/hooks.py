"""What is changed in a command's process before it runs. Each is picklable, and called there."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any


def put(where: object, name: str, thing: object) -> None:
    """Put something in the place of what a module or a class has under a name."""
    assert hasattr(where, name)
    setattr(where, name, thing)


@dataclass(frozen=True)
class Counted:
    """Its objectives write down what they begin; see `faulty.search.Counting`."""

    log: Path

    def __call__(self) -> None:
        from faulty.search import counted

        counted(self.log)


@dataclass(frozen=True)
class Held:
    """Its objectives stay at the first epoch of this trial and of all later ones; see `faulty.holding.Holding`."""

    first: int
    go: Path

    def __call__(self) -> None:
        from faulty.holding import Holding
        from faulty.search import changed

        changed(lambda made: Holding(made, self.first, self.go))


@dataclass(frozen=True)
class OfItsOwn:
    """It leads a process group, as a shell's command does, and prints into a pipe, as do those that it starts.

    Args:
        pipe: A FIFO that somebody reads: it ends with the last of the group.
    """

    pipe: Path

    def __call__(self) -> None:
        os.setsid()
        descriptor = os.open(self.pipe, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.close(descriptor)


@dataclass(frozen=True)
class Recorded:
    """It writes down which trials it has recorded: a line of numbers each time the database has taken some."""

    log: Path

    def __call__(self) -> None:
        from hpsearch.store.bulk import BulkStore

        plain = BulkStore.record

        def record(store: BulkStore, *asked: Any, **also: Any) -> set[int]:
            done = plain(store, *asked, **also)
            if done:
                with self.log.open("ab", buffering=0) as log:
                    log.write((" ".join(map(str, sorted(done))) + "\n").encode())
            return done

        put(BulkStore, "record", record)


@dataclass(frozen=True)
class Statements:
    """It counts the SQL statements that SQLite is about to run, and dies at one.

    Args:
        dies_at: The number of that one, from 1; None: none.
        log: Where their count is written at the end, if it comes to that.
    """

    dies_at: int | None
    log: Path | None = None

    def __call__(self) -> None:
        from hpsearch.cli import progress
        from hpsearch.store import database

        seen = 0
        plain = database._configure_sqlite

        def one(statement: str) -> None:
            nonlocal seen
            seen += 1
            if seen == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

        def configure(connection: Any, record: object) -> None:
            plain(connection, record)
            connection.set_trace_callback(one)

        put(database, "_configure_sqlite", configure)
        done = progress.Display.done

        def last(display: progress.Display) -> None:
            done(display)
            if self.log is not None:
                self.log.write_text(str(seen))

        put(progress.Display, "done", last)


@dataclass(frozen=True)
class ShortLeases:
    """Its leases, and how often it renews them and looks at others', in seconds."""

    lease: float
    still: float
    beat: float

    def __call__(self) -> None:
        from hpsearch.search import runner
        from hpsearch.store import leases

        leases.LEASE = timedelta(seconds=self.lease)
        leases.STILL_S = self.still
        put(runner, "BEAT_EVERY_S", self.beat)
        runner._POLL_S = min(runner._POLL_S, self.beat)


@dataclass(frozen=True)
class ShortCalls:
    """How long a Dask scheduler may take to answer it, in seconds, at the start and once the connection is lost."""

    seconds: float

    def __call__(self) -> None:
        from hpsearch.executors.dask import cluster, executor

        put(cluster, "CONNECT_S", self.seconds)
        put(executor, "CONNECT_S", self.seconds)


@dataclass(frozen=True)
class Elsewhere:
    """It takes itself for a process on another machine: nobody here can look whether it lives, nor can it look here."""

    host: str

    def __call__(self) -> None:
        import socket

        socket.gethostname = lambda: self.host


@dataclass(frozen=True)
class ClockOff:
    """The clock that it reads is so far off."""

    by: timedelta

    def __call__(self) -> None:
        def utc_now() -> datetime:
            return datetime.now(UTC).replace(tzinfo=None) + self.by

        for name, module in list(sys.modules.items()):
            if name.startswith("hpsearch.store.") and hasattr(module, "utc_now"):
                put(module, "utc_now", utc_now)


@dataclass(frozen=True)
class FilesUpTo:
    """No file that it writes may grow beyond so many bytes, as where a disk is full."""

    size: int

    def __call__(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


@dataclass(frozen=True)
class Environment:
    """Its environment has these variables; what reads them as it is loaded has been loaded before."""

    variables: Mapping[str, str]

    def __call__(self) -> None:
        os.environ.update(self.variables)


@dataclass(frozen=True)
class Rounds:
    """It takes its processor for one of this kind."""

    kind: str

    def __call__(self) -> None:
        from hpsearch.nn import arithmetic

        put(arithmetic, "fingerprint", lambda: self.kind)
