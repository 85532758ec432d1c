"""Changes to hpsearch in a command's process before it runs: functions, to be pickled as a `partial`."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from tiny import split

from faulty.objectives import Wrapped, append
from hpsearch.objectives.network import runtime
from hpsearch.records import Outcome
from hpsearch.search import runner
from hpsearch.store import leases
from hpsearch.store.store import Store


def put(where: object, name: str, thing: object) -> None:
    """Replace an attribute that a module or a class of hpsearch has."""
    assert hasattr(where, name)
    setattr(where, name, thing)


def wrapped(**how: Any) -> None:
    """Have the objectives that commands make in this process be `Wrapped`."""
    plain = runtime.objective
    put(runtime, "objective", lambda *arguments, **named: Wrapped(plain(*arguments, **named), **how))
    # The data were read once, before the process was made.
    put(runtime, "load", lambda sections, *, data_dir=None: split())


def counted(begun: Path, recorded: Path) -> None:
    """Its objectives write down which trials they begin, and it which ones it has recorded."""
    wrapped(log=begun)
    plain = Store.record

    def record(store: Store, *arguments: Any, **named: Any) -> list[Outcome]:
        done = plain(store, *arguments, **named)
        if done:
            append(recorded, sorted(outcome.number for outcome in done))
        return done

    put(Store, "record", record)


def own_group(pipe: Path) -> None:
    """It leads a process group, as a shell's command does, and prints into a FIFO, as do those that it starts."""
    os.setsid()
    descriptor = os.open(pipe, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.close(descriptor)


def dies_at(number: int | None, log: Path | None = None) -> None:
    """It dies before an SQL statement that SQLite runs, the first being 1; their count is written down at its end."""
    count = 0

    def trace(_: str) -> None:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(sqlalchemy.Engine, "connect", lambda connection, _: connection.set_trace_callback(trace))
    if log is not None:
        Finalize(None, lambda: log.write_text(str(count)), exitpriority=0)


def short_leases(lease: float, still: float, beat: float) -> None:
    """Its leases, and how often it renews them and looks at others', are these, in seconds."""
    put(leases, "LEASE", timedelta(seconds=lease))
    put(leases, "STILL_S", still)
    put(runner, "BEAT_EVERY_S", beat)
    put(runner, "_POLL_S", min(runner._POLL_S, beat))


def short_calls(seconds: float) -> None:
    """A Dask scheduler has so many seconds to answer it, at the start and once the connection is lost."""
    from hpsearch.executors.dask import cluster, executor

    put(cluster, "CONNECT_S", seconds)
    put(executor, "CONNECT_S", seconds)


def elsewhere(host: str) -> None:
    """It takes itself for a process on another machine: neither can see whether a process of the other lives."""
    socket.gethostname = lambda: host


def clock_off(by: timedelta) -> None:
    """The clock that it reads is off by so much."""

    def utc_now() -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) + by

    for name, module in list(sys.modules.items()):
        if name.startswith("hpsearch.store.") and hasattr(module, "utc_now"):
            put(module, "utc_now", utc_now)


def files_up_to(size: int) -> None:
    """No file that it writes may grow beyond so many bytes, as where a disk is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def environment(variables: Mapping[str, str]) -> None:
    """Its environment has these variables; what reads them as it is loaded has been loaded before."""
    os.environ.update(variables)


def rounds(kind: str) -> None:
    """It takes its processor for one of this kind."""
    from hpsearch.executors.dask import worker

    put(worker, "fingerprint", lambda: kind)


SHORT = partial(short_leases, 0.6, 0.2, 0.05)
SHORT_ON_A_NETWORK = partial(short_leases, 1.5, 0.5, 0.05)
SHORT_ON_TWO_MACHINES = partial(short_leases, 2.0, 0.8, 0.05)
