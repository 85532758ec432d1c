"""Processes that are killed, asked to end, or stopped and continued."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from faulty import search
from faulty.hooks import ClockOff, Elsewhere, ShortLeases, Statements
from faulty.place import Place, when
from faulty.process import Run

_SHORT = ShortLeases(lease=0.6, still=0.2, beat=0.05)
_LOCKED_S = 4.0


def killed(place: Place, *, engine: Sequence[str] = ("inline",)) -> None:
    """SIGKILL at any moment."""
    run = place.start(engine=engine)
    place.at_any_moment(run)
    run.send(signal.SIGKILL)
    place.expect(run, -signal.SIGKILL, 0)


def killed_with_its_pool(place: Place) -> None:
    """The same of a runner whose workers are at work."""
    killed(place, engine=("pool", "--jobs", "2"))


def killed_at_a_statement(place: Place) -> None:
    """SIGKILL before any SQL statement: between two transactions, or inside of one."""
    run = place.start(Statements(place.rng.randint(1, place.undisturbed.statements)))
    place.expect(run, -signal.SIGKILL)


def _asked_to_end(place: Place, number: signal.Signals) -> None:
    run = place.start()
    place.at_any_moment(run)
    run.send(number)
    # Before it has begun to listen, SIGTERM ends it as any process.
    place.expect(run, 130, 0, *([-number] if number == signal.SIGTERM else []))


def terminated(place: Place) -> None:
    """SIGTERM at any moment."""
    _asked_to_end(place, signal.SIGTERM)


def interrupted(place: Place) -> None:
    """SIGINT at any moment."""
    _asked_to_end(place, signal.SIGINT)


def stopped_and_continued(place: Place) -> None:
    """SIGSTOP, at any moment or in the middle of a batch; another runner takes over; SIGCONT, which makes a zombie."""
    first = place.start(_SHORT)
    batch = set[int]()
    if place.rng.random() < 0.25:
        place.at_any_moment(first)
        first.send(signal.SIGSTOP)
    else:
        batch = _stop_in_a_batch(place, first)
    second = place.start(_SHORT)
    if batch:  # what it was at is begun again by the other one, and is done by neither, or by that one
        taken = when(lambda: min(search.begun_in(place.log)[number] for number in batch) > 1, second)
        if not taken:
            place.wrong.append(f"nobody took over {sorted(batch)}")
    # Where the one that is stopped was writing it keeps SQLite's lock: the other waits for it, and not for ever.
    if place.rng.random() < 0.5:
        place.at_any_moment(second, within=_LOCKED_S)
    else:
        place.when_over(second, within=_LOCKED_S)
    first.send(signal.SIGCONT)
    place.expect(second, 0)
    place.expect(first, 0)


def _stop_in_a_batch(place: Place, run: Run) -> set[int]:
    """SIGSTOP while a batch is under way and the database is not held; the batch, or none where all is over."""
    place.when_begun(run, place.rng.randint(1, place.undisturbed.batches))
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
    """SIGKILL of a worker of the pool at any moment; the command itself goes on."""
    run = place.start(engine=("pool", "--jobs", "2"))
    place.at_any_moment(run)
    kill_one(place, search.workers_of(run.pid))
    place.expect(run, 0)


def kill_one(place: Place, workers: Sequence[int]) -> None:
    """SIGKILL of one of these workers, if there is any by now."""
    if workers:
        with suppress(ProcessLookupError):
            os.kill(place.rng.choice(workers), signal.SIGKILL)


def clock_off(place: Place) -> None:
    """Two runners on two machines, one of which has a clock that is hours off; in half of the cases it is killed."""
    leases = ShortLeases(lease=2.0, still=0.8, beat=0.05)
    off = timedelta(hours=place.rng.choice([-1, 1]) * place.rng.uniform(1, 48))
    wrong = place.start(ClockOff(off), Elsewhere("a"), leases)
    right = place.start(Elsewhere("b"), leases)
    if place.rng.random() < 0.5:
        place.at_any_moment(wrong)
        wrong.send(signal.SIGKILL)
        place.expect(wrong, -signal.SIGKILL, 0)
    else:
        place.expect(wrong, 0)
    place.expect(right, 0)
