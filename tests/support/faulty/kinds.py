"""The kinds of faults, and one fault of a kind from beginning to end."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from clusters import Cluster, cluster
from postgres import Server, binaries

from faulty import disks, search, servers, signals
from faulty.place import Place, Result, Undisturbed


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Args:
        words: What happens, for people.
        happen: Makes it happen; what is found afterwards is compared.
        in_flight: So many batches may have to be trained again, as they were under way; None: not bounded here.
        where: What it needs: a ``disk`` of its own, the PostgreSQL ``server``, the Dask ``cluster`` or its ``own
            cluster``, or nothing.
        ends: Whether the search can be completed afterwards: a damaged file cannot.
    """

    words: str
    happen: Callable[..., None]
    in_flight: int | None = 1
    where: str = ""
    ends: bool = True


KINDS: dict[str, Kind] = {
    "kill": Kind("SIGKILL of the runner", signals.killed),
    # Two at the workers, and the two before them, which have come back and are about to be recorded.
    "kill-pool": Kind("SIGKILL of the runner of a pool of two", signals.killed_with_its_pool, 4),
    "kill-sql": Kind("SIGKILL of the runner before a random SQL statement", signals.killed_at_a_statement),
    "term": Kind("SIGTERM of the runner", signals.terminated),
    "int": Kind("SIGINT (Ctrl-C) of the runner", signals.interrupted),
    "stop": Kind("SIGSTOP of the runner, another takes over, SIGCONT", signals.stopped_and_continued, None),
    "worker": Kind("SIGKILL of a worker of the pool", signals.worker_killed, 1),
    "clock": Kind("a clock that is 1 to 48 hours off, the runner killed or not", signals.clock_off, None),
    "disk": Kind("a full disk", disks.full, where="disk"),
    "file-size": Kind("a limit on the size of files", disks.files_limited),
    "postgres": Kind("PostgreSQL killed and started again", servers.database_crashes, where="server"),
    "torn": Kind(
        "network to PostgreSQL torn or silent, another runner goes on", servers.database_torn_off, None, where="server"
    ),
    "dask-worker": Kind("SIGKILL of a Dask worker", servers.dask_worker_killed, 2, where="cluster"),
    "dask-torn": Kind("network to the Dask scheduler torn or silent", servers.dask_torn_off, 2, where="cluster"),
    "dask-scheduler": Kind("SIGKILL of the Dask scheduler", servers.dask_scheduler_killed, where="own cluster"),
    "damage": Kind("random bytes of the database overwritten", disks.damaged, None, ends=False),
}


class World:
    """What all faults of a run share. Faults may happen at the same time, in several threads."""

    def __init__(self) -> None:
        self.undisturbed = Undisturbed()
        self._stack = contextlib.ExitStack()
        self._alone = {"server": threading.Lock(), "cluster": threading.Lock()}
        self._server: Server | None = None
        self._cluster: Cluster | None = None

    def close(self) -> None:
        """End what was started."""
        self._stack.close()

    def suffer(self, name: str, seed: int) -> Result:
        """Have one fault of a kind happen, and look what it cost."""
        kind = KINDS[name]
        rng = random.Random(f"{name} {seed}")
        with contextlib.ExitStack() as stack:
            more, given = self._surroundings(kind, stack)
            place = stack.enter_context(Place(self.undisturbed, rng, **more))
            try:
                kind.happen(place, *given)
                if not kind.ends:
                    return Result(wrong=tuple(place.wrong))
                result = place.judged(search.read(place.url))
            except AssertionError as error:  # a command that does not end, say: the other faults happen all the same
                return Result(wrong=(*place.wrong, f"AssertionError: {error}"))
        if kind.in_flight is not None and result.again > kind.in_flight:
            too_many = f"{result.again} batches were trained again, {kind.in_flight} were in flight"
            result = replace(result, wrong=(*result.wrong, too_many))
        return result

    def _surroundings(self, kind: Kind, stack: contextlib.ExitStack) -> tuple[dict[str, Any], tuple[Any, ...]]:
        """What the fault's place is made with, and what the fault is given beside it."""
        if kind.where in self._alone:  # the others would suffer too
            stack.enter_context(self._alone[kind.where])
        match kind.where:
            case "disk":
                return {"disk": stack.enter_context(disks.small_disk())}, ()
            case "server":
                if self._server is None:
                    programs = binaries()
                    assert programs is not None
                    # One that is killed would lose what it has acknowledged, unless it waits for the disk.
                    self._server = Server(programs, durable=True)
                    self._stack.callback(self._server.close)
                url = self._server.database()
                stack.callback(self._server.drop, url)
                return {"database": url}, (self._server,)
            case "cluster":
                if self._cluster is None:
                    self._cluster = self._stack.enter_context(cluster())
                return {}, (self._cluster,)
            case "own cluster":
                return {}, (stack.enter_context(cluster(1)),)
        return {}, ()


def lacking(name: str) -> str | None:
    """Why a kind cannot happen here; None: it can."""
    where = KINDS[name].where
    if where == "disk" and not disks.may_mount():
        return "only root may mount a file system"
    if where == "server" and binaries() is None:
        return "no PostgreSQL server binaries"
    return None
