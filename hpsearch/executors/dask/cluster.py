"""The way to a Dask scheduler: one that is there already, or one of our own with workers on this machine."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import signal
import socket
import time
import warnings
from pathlib import Path
from typing import Any

import dask
from distributed import Client, LocalCluster
from distributed.core import Status

from hpsearch.errors import BadArgument, BadData, BadInput, EvaluationFailure
from hpsearch.executors.base import pinned_children
from hpsearch.executors.pool import check_guarded, start_process, without_interrupts
from hpsearch.files import content
from hpsearch.records import Argument

CONNECT_S = 10.0  # seconds that a scheduler may take to answer: at the start, and again when the connection is lost
_RESTART_EVERY_S = 1.0
_SCHEMES = ("tcp", "tls", "ws", "wss", "inproc")
_ADDRESS = re.compile(r"(?:(?P<scheme>[a-z]+)://)?(?P<host>[^/:\[\]]+|\[[^\]/]+\]):(?P<port>\d{1,5})")


def connect(scheduler: str) -> Client:
    """Return a client of a scheduler that is there.

    Args:
        scheduler: Its address, or the path of its scheduler file.

    Raises:
        BadInput: No scheduler answers there.
    """
    address = address_of(scheduler)
    silence_logs()
    try:
        if match := _ADDRESS.fullmatch(address):
            # Dask would try again and again for `CONNECT_S` where nobody listens.
            socket.create_connection((match["host"].strip("[]"), int(match["port"])), CONNECT_S).close()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Mismatched versions")  # those that matter are compared, worker by worker
            return Client(address, timeout=CONNECT_S, set_as_default=False, name="hpsearch")
    except OSError as error:
        raise BadInput(
            f"no Dask scheduler answers at {scheduler} ({error.strerror or ' '.join(str(error).split())}); start one "
            "with `dask scheduler`, or leave {} out to have workers on this machine",
            Argument("scheduler"),
        ) from error


def address_of(scheduler: str) -> str:
    """Return an address, taken from the scheduler file where that is given.

    Raises:
        BadArgument: It is neither, or the file is none that a scheduler has written.
    """
    if scheduler.startswith("inproc://"):
        return scheduler
    if match := _ADDRESS.fullmatch(scheduler):
        if match["scheme"] in (None, *_SCHEMES) and int(match["port"]) < 2**16:
            return scheduler if match["scheme"] else f"tcp://{scheduler}"
    elif Path(scheduler).is_file():
        with contextlib.suppress(BadData, ValueError, RecursionError, KeyError, TypeError):
            return str(json.loads(content(Path(scheduler)))["address"])
        raise BadArgument("scheduler", scheduler, "not a scheduler file", "give one that `dask scheduler` has written")
    remedy = "give tcp://HOST:PORT, or the scheduler file that `dask scheduler` has written"
    raise BadArgument("scheduler", scheduler, "no such file, and not an address", remedy)


class OwnCluster:
    """A scheduler in this process and workers of one thread each, on the loopback interface alone.

    Args:
        jobs: The number of workers. They start while the caller goes on.

    Raises:
        EvaluationFailure: The scheduler does not start.
    """

    def __init__(self, jobs: int) -> None:
        silence_logs()
        probe = start_process(int)  # where it ends so, Dask would start workers again and again
        probe.join()
        check_guarded(probe.exitcode)
        # No pages over HTTP; what still listens is on a free port of the loopback interface, and has nothing to show.
        nothing: dict[str, list[str]] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
        # The threads that start the workers, again too, are born in here: Ctrl-C is the runner's business alone.
        with dask.config.set(nothing), pinned_children(), without_interrupts():
            try:
                self._cluster: LocalCluster = LocalCluster(
                    n_workers=0,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    protocol="tcp",
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address=None,
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=None,
                    silence_logs=logging.CRITICAL,
                    config=nothing,
                )
            except (OSError, RuntimeError) as error:
                raise EvaluationFailure(f"cannot start a Dask scheduler: {error}") from error
            self._jobs, self._checked = jobs, time.monotonic()
            self._cluster.scale(jobs)

    @property
    def address(self) -> str:
        """Return the scheduler's address."""
        return str(self._cluster.scheduler_address)

    def restart_missing(self) -> None:
        """Start workers that Dask has given up.

        A nanny restarts a killed worker. Dask drops one that is still missing after 15 s; its replacement is started
        here.
        """
        if (now := time.monotonic()) - self._checked > _RESTART_EVERY_S:
            self._checked = now
            self._cluster.scale(self._jobs)

    def close(self, within: float, *, kill: bool = False) -> None:
        """End the workers and the scheduler.

        Args:
            within: Workers that are still at work after so many seconds are killed.
            kill: Do not wait at all.
        """
        nannies = list(self._cluster.workers.values())
        if kill:
            _kill(nannies)
        with contextlib.suppress(Exception):  # whatever it is, the processes end below
            self._cluster.close(timeout=within)
        _kill(nannies)


def _kill(nannies: list[Any]) -> None:
    for nanny in nannies:
        pid = getattr(nanny, "pid", None)  # None once it is dead
        if pid is None:
            continue
        if nanny.status is Status.running:
            nanny.status = Status.closing_gracefully  # it starts no other worker in the killed one's place
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def silence_logs() -> None:
    """Keep Dask's logs off the terminal: what matters of them comes as events, and becomes a line of hpsearch's."""
    for name in ("asyncio", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("asyncio", "distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
