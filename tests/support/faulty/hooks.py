"""Changes to hpsearch in a command's process before it runs. Each is picklable, and called there."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any


def put(where: object, name: str, thing: object) -> None:
    """Replace an attribute that a module or a class of hpsearch has."""
    assert hasattr(where, name)
    setattr(where, name, thing)


def _wrapped(wrap: Callable[[Any], Any]) -> None:
    """Have the objectives that commands make in this process be wrapped."""
    from tiny import split

    from hpsearch.objectives.network import runtime

    plain = runtime.objective
    put(runtime, "objective", lambda *arguments, **named: wrap(plain(*arguments, **named)))
    # The data were read once, before the process was made.
    put(runtime, "load", lambda sections, *, data_dir=None: split())


@dataclass(frozen=True)
class Counted:
    """Its objectives write down what they begin (`Counting`), and it writes down which trials it has recorded."""

    begun: Path
    recorded: Path

    def __call__(self) -> None:
        from faulty.objectives import Counting
        from hpsearch.store.store import Store

        _wrapped(lambda objective: Counting(objective, self.begun))
        plain = Store.record

        def record(store: Store, *arguments: Any, **named: Any) -> set[int]:
            done = plain(store, *arguments, **named)
            if done:
                with self.recorded.open("ab", buffering=0) as log:
                    log.write((" ".join(map(str, sorted(done))) + "\n").encode())
            return done

        put(Store, "record", record)


@dataclass(frozen=True)
class Held:
    """Its objectives stay at the first epoch of this trial and of all later ones (`Holding`)."""

    first: int
    go: Path

    def __call__(self) -> None:
        from faulty.objectives import Holding

        _wrapped(lambda objective: Holding(objective, self.first, self.go))


@dataclass(frozen=True)
class OwnGroup:
    """It leads a process group, as a shell's command does, and prints into a FIFO, as do those that it starts."""

    pipe: Path

    def __call__(self) -> None:
        os.setsid()
        descriptor = os.open(self.pipe, os.O_WRONLY)
        os.dup2(descriptor, 1)
        os.close(descriptor)


@dataclass(frozen=True)
class Statements:
    """It counts the SQL statements that SQLite runs, and dies before one.

    Args:
        dies_at: The number of that one, from 1; None: none.
        log: Receives their count at the end, if it comes to that.
    """

    dies_at: int | None
    log: Path | None = None

    def __call__(self) -> None:
        from sqlalchemy import Engine, event

        count = 0

        def trace(_: str) -> None:
            nonlocal count
            count += 1
            if count == self.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "connect", lambda connection, _: connection.set_trace_callback(trace))
        if self.log is not None:
            log = self.log
            Finalize(None, lambda: log.write_text(str(count)), exitpriority=0)


@dataclass(frozen=True)
class ShortLeases:
    """Its leases, and how often it renews them and looks at others', in seconds."""

    lease: float
    still: float
    beat: float

    def __call__(self) -> None:
        from hpsearch.search import runner
        from hpsearch.store import leases

        put(leases, "LEASE", timedelta(seconds=self.lease))
        put(leases, "STILL_S", self.still)
        put(runner, "BEAT_EVERY_S", self.beat)
        put(runner, "_POLL_S", min(runner._POLL_S, self.beat))


@dataclass(frozen=True)
class ShortCalls:
    """Seconds that a Dask scheduler may take to answer it, at the start and once the connection is lost."""

    seconds: float

    def __call__(self) -> None:
        from hpsearch.executors.dask import cluster, executor

        put(cluster, "CONNECT_S", self.seconds)
        put(executor, "CONNECT_S", self.seconds)


@dataclass(frozen=True)
class Elsewhere:
    """It takes itself for a process on another machine: neither can see whether a process of the other lives."""

    host: str

    def __call__(self) -> None:
        socket.gethostname = lambda: self.host


@dataclass(frozen=True)
class ClockOff:
    """The clock that it reads is off by so much."""

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
        from hpsearch.executors.dask import worker

        put(worker, "fingerprint", lambda: self.kind)
