"""The kinds of faults, and one fault of a kind from beginning to end."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from clusters import Cluster, cluster
from postgres import Server, binaries

from faulty import search
from faulty.hooks import (
    SHORT,
    SHORT_ON_A_NETWORK,
    SHORT_ON_TWO_MACHINES,
    clock_off,
    dies_at,
    elsewhere,
    files_up_to,
    short_calls,
)
from faulty.place import Place, Result, Undisturbed, when
from faulty.process import Run
from faulty.proxy import Proxy

AWAY_S = 1.5  # A server or a network is away for so long at most
LOCKED_S = 4.0
POOL = ("pool", "--jobs", "2")


def killed(place: Place, *, engine: Sequence[str] = ("inline",)) -> None:
    run = place.start(engine=engine)
    place.at_any_moment(run)
    run.send(signal.SIGKILL)
    place.expect(run, -signal.SIGKILL, 0)


def killed_at_a_statement(place: Place) -> None:
    """Between two transactions, or inside of one."""
    run = place.start(partial(dies_at, place.rng.randint(1, place.undisturbed.statements)))
    place.expect(run, -signal.SIGKILL, 0)


def asked_to_end(place: Place, number: signal.Signals) -> None:
    run = place.start()
    place.at_any_moment(run)
    run.send(number)
    # Before it has begun to listen, SIGTERM ends it as any process.
    place.expect(run, 130, 0, *([-number] if number == signal.SIGTERM else []))


def stopped_and_continued(place: Place) -> None:
    """SIGSTOP, at any moment or in the middle of a batch; another runner takes over; SIGCONT, which makes a zombie."""
    first, batch = place.start(SHORT), set[int]()
    if place.rng.random() < 0.25:
        place.at_any_moment(first)
        first.send(signal.SIGSTOP)
    else:
        batch = _stop_in_a_batch(place, first)
    second = place.start(SHORT)
    if batch:  # the other one begins it again, and the first one records none of it
        taken = when(lambda: min(search.begun_in(place.begun_log)[number] for number in batch) > 1, second)
        if not taken:
            place.wrong.append(f"nobody took over {sorted(batch)}")
    # Where the one that is stopped was writing it keeps SQLite's lock: the other waits for it, and not for ever.
    if place.rng.random() < 0.5:
        place.at_any_moment(second, within=LOCKED_S)
    else:
        when(lambda: False, second, within=LOCKED_S)
    first.send(signal.SIGCONT)
    place.expect(second, 0)
    place.expect(first, 0)


def _stop_in_a_batch(place: Place, run: Run) -> set[int]:
    """SIGSTOP while a batch is under way and the database is not held; the batch, or none where all is over."""
    batches = place.rng.randint(1, place.undisturbed.batches)
    when(lambda: place.begun() >= batches, run)
    while not run.over:
        run.send(signal.SIGSTOP)
        if (batch := place.under_way()) and _may_write(place):
            return batch
        run.send(signal.SIGCONT)
        time.sleep(0.002)
    return set()


def _may_write(place: Place) -> bool:
    with contextlib.closing(sqlite3.connect(place.file, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
    return True


def worker_killed(place: Place) -> None:
    run = place.start(engine=POOL)
    place.at_any_moment(run)
    _kill_one(place, search.workers_of(run.pid))
    place.expect(run, 0)


def _kill_one(place: Place, workers: Sequence[int]) -> None:
    if workers:  # there is none yet at the first moments
        with contextlib.suppress(ProcessLookupError):
            os.kill(place.rng.choice(workers), signal.SIGKILL)


def clocks_differ(place: Place) -> None:
    """Two runners on two machines, one of which has a clock that is hours off; in half of the cases it is killed."""
    off = timedelta(hours=place.rng.choice([-1, 1]) * place.rng.uniform(1, 48))
    wrong = place.start(partial(clock_off, off), partial(elsewhere, "a"), SHORT_ON_TWO_MACHINES)
    right = place.start(partial(elsewhere, "b"), SHORT_ON_TWO_MACHINES)
    if place.rng.random() < 0.5:
        place.at_any_moment(wrong)
        wrong.send(signal.SIGKILL)
        place.expect(wrong, -signal.SIGKILL, 0)
    else:
        place.expect(wrong, 0)
    place.expect(right, 0)


def disk_full(place: Place) -> None:
    """The disk has room for a random part of what the search writes; then there is space again."""
    ballast = place.file.parent / "ballast"
    left = place.rng.randrange(0, 4 * place.undisturbed.size)
    free = shutil.disk_usage(place.file.parent).free
    ballast.write_bytes(b"\0" * max(free - left, 0))
    place.expect(place.start(), 0, 1, 2)  # 2: it could not even open the database
    ballast.unlink()


def files_limited(place: Place) -> None:
    """No file may grow beyond a random size, until the next start."""
    size = place.rng.randrange(0, 2 * place.undisturbed.size)
    place.expect(place.start(partial(files_up_to, max(size, 4096))), 0, 1, 2)


def damaged(place: Place) -> None:
    """Random bytes of the database of a search that was killed half-way are overwritten; the commands say so."""
    run = place.start()
    place.at_any_moment(run)
    run.end()
    place.expect(place.status(), 0, 2)  # the log is moved into the file, as at every next start
    whole = bytearray(place.file.read_bytes())
    for _ in range(place.rng.choice([1, 1, 4, 16])):
        length = place.rng.choice([1, 16, 256, 4096])
        at = place.rng.randrange(len(whole))
        whole[at : at + length] = place.rng.randbytes(len(whole[at : at + length]))
    for name in ("my.db-wal", "my.db-shm"):
        (place.file.parent / name).unlink(missing_ok=True)
    place.file.write_bytes(bytes(whole))
    place.expect(place.status(), 0, 1, 2)
    place.expect(place.start(), 0, 1, 2)


def _while_away(place: Place, run: Run) -> None:
    """Let a random time pass in which something is away, or less where the command gives up."""
    when(lambda: False, run, within=place.rng.uniform(0, AWAY_S))


def database_crashes(place: Place, server: Server) -> None:
    run = place.start()
    place.at_any_moment(run)
    server.kill()
    _while_away(place, run)
    server.start()
    place.expect(run, 0, 1, 2)  # 2: it was still opening the database


def database_torn_off(place: Place, server: Server) -> None:
    """The network between a runner and PostgreSQL is torn, or falls silent; another runner goes on; it comes back."""
    assert place.database is not None
    with Proxy(server.port) as proxy:
        run = place.start(SHORT_ON_A_NETWORK, url=place.database.replace(f":{server.port}/", f":{proxy.port}/"))
        place.at_any_moment(run)
        proxy.tear() if place.rng.random() < 0.5 else proxy.fall_silent()
        other = place.start(SHORT_ON_A_NETWORK) if place.rng.random() < 0.5 else None
        _while_away(place, other or run)
        proxy.mend()
        place.expect(run, 0, 1, 2)
        if other is not None:
            place.expect(other, 0)


def _on_dask(address: str) -> tuple[str, ...]:
    return ("dask", "--scheduler", address)


def dask_worker_killed(place: Place, cluster: Cluster) -> None:
    """Its nanny starts another one, and the command goes on."""
    run = place.start(engine=_on_dask(cluster.address))
    place.at_any_moment(run)
    _kill_one(place, cluster.workers())
    place.expect(run, 0)


def dask_torn_off(place: Place, cluster: Cluster) -> None:
    """The network between a runner and the Dask scheduler is torn at any moment, or falls silent; it comes back."""
    with Proxy(int(cluster.address.rpartition(":")[2])) as proxy:
        silent = place.rng.random() < 0.5
        # Some of the silences last longer than it waits for an answer, others do not.
        hooks = (partial(short_calls, 1.0),) if silent else ()
        run = place.start(*hooks, engine=_on_dask(f"tcp://127.0.0.1:{proxy.port}"))
        place.at_any_moment(run)
        proxy.fall_silent() if silent else proxy.tear()
        _while_away(place, run)
        proxy.mend()
        place.expect(run, 0, 1, 2)


def dask_scheduler_killed(place: Place, cluster: Cluster) -> None:
    # It will not come back, and the runner need not wait for long to see that.
    run = place.start(partial(short_calls, 3.0), engine=_on_dask(cluster.address))
    place.at_any_moment(run)
    cluster.process.kill()
    place.expect(run, 0, 1, 2)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: its words, and what makes it happen, at a moment that the place's `rng` chooses."""

    words: str
    happen: Callable[..., None]
    # so many batches may have to be trained again, as they were under way; None: not bounded here
    in_flight: int | None = 1
    # its needs: a ``disk``, the PostgreSQL ``server``, the Dask ``cluster``, its ``own cluster``, or nothing
    where: str = ""
    ends: bool = True  # whether the search can be completed afterwards: a damaged file cannot


KINDS: dict[str, Kind] = {
    "kill": Kind("SIGKILL of the runner", killed),
    # Two at the workers, and the two before them, which have come back and are about to be recorded.
    "kill-pool": Kind("SIGKILL of the runner of a pool of two", partial(killed, engine=POOL), 4),
    "kill-sql": Kind("SIGKILL of the runner before a random SQL statement", killed_at_a_statement),
    "term": Kind("SIGTERM of the runner", partial(asked_to_end, number=signal.SIGTERM)),
    "int": Kind("SIGINT (Ctrl-C) of the runner", partial(asked_to_end, number=signal.SIGINT)),
    "stop": Kind("SIGSTOP of the runner, another takes over, SIGCONT", stopped_and_continued, None),
    "worker": Kind("SIGKILL of a worker of the pool", worker_killed),
    "clock": Kind("a clock that is 1 to 48 hours off, the runner killed or not", clocks_differ, None),
    "disk": Kind("a full disk", disk_full, where="disk"),
    "file-size": Kind("a limit on the size of files", files_limited),
    "postgres": Kind("PostgreSQL killed and started again", database_crashes, where="server"),
    "torn": Kind(
        "network to PostgreSQL torn or silent, another runner goes on", database_torn_off, None, where="server"
    ),
    "dask-worker": Kind("SIGKILL of a Dask worker", dask_worker_killed, 2, where="cluster"),
    "dask-torn": Kind("network to the Dask scheduler torn or silent", dask_torn_off, 2, where="cluster"),
    "dask-scheduler": Kind("SIGKILL of the Dask scheduler", dask_scheduler_killed, where="own cluster"),
    "damage": Kind("random bytes of the database overwritten", damaged, None, ends=False),
}


def lacking(name: str) -> str | None:
    """The reason why a kind cannot happen here; None: it can."""
    where = KINDS[name].where
    if where == "disk" and not (os.geteuid() == 0 and shutil.which("mount")):
        return "only root may mount a file system"
    if where == "server" and binaries() is None:
        return "no PostgreSQL server binaries"
    return None


class World:
    """What all faults of a run share. Faults may happen at the same time, in several threads.

    Args:
        trials: Of the search that they happen to.
    """

    def __init__(self, trials: int = 100) -> None:
        self.undisturbed = Undisturbed(trials)
        self._stack = contextlib.ExitStack()
        self._alone = {"server": threading.Lock(), "cluster": threading.Lock()}

    def close(self) -> None:
        """End what was started."""
        self._stack.close()

    @cached_property
    def server(self) -> Server:
        programs = binaries()
        assert programs is not None
        # One that is killed would lose what it has acknowledged, unless it waits for the disk.
        server = Server(programs, durable=True)
        self._stack.callback(server.close)
        return server

    @cached_property
    def cluster(self) -> Cluster:
        return self._stack.enter_context(cluster())

    def suffer(self, name: str, seed: int) -> Result:
        """Have one fault of a kind happen, and judge what it cost."""
        kind, rng = KINDS[name], random.Random(f"{name} {seed}")
        with contextlib.ExitStack() as stack:
            if kind.where in self._alone:  # the others would suffer too
                stack.enter_context(self._alone[kind.where])
            database = disk = None
            given: tuple[Any, ...] = ()
            match kind.where:
                case "disk":
                    disk = stack.enter_context(small_disk())
                case "server":
                    database, given = self.server.database(), (self.server,)
                    stack.callback(self.server.drop, database)
                case "cluster":
                    given = (self.cluster,)
                case "own cluster":
                    given = (stack.enter_context(cluster(1)),)
            place = stack.enter_context(Place(self.undisturbed, rng, database, disk))
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


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A file system in memory, of a few MB."""
    folder = Path(tempfile.mkdtemp(prefix="hpsearch-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
