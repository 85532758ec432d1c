"""Findings about each search, as its report has them: made once for all who look at it.

It takes tens of seconds of a search with 100,000 trials, in which a thread would hold up every other answer: that of
large searches is made in a process of its own. Of a search that runs there is a new one only after a pause that is long
against the making; until then the last one is good enough. Once nothing runs there is no pause.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
from collections import OrderedDict
from collections.abc import Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from fastapi import HTTPException

from hpsearch.reports.report import Material, gather
from hpsearch.search.evaluation import evaluations
from hpsearch.search.stage import stages_of
from hpsearch.service.pages.parts import FROM_REPORT
from hpsearch.store import Counts, open_store

_SEARCHES = 4  # those looked at last, whose findings are kept
_PAUSE = 4  # in units of the time that the making takes
_NICE = 10  # the process lets the answers to others and the trials go first
_SMALL = 2000  # trials of a search whose findings take a fraction of a second


@dataclass(frozen=True)
class Finding:
    """A part of the findings about a search."""

    content: Any
    trials: int  # finished ones, which it follows from
    stale: float  # seconds until there may be a newer one; 0: it is the newest


@dataclass(frozen=True)
class _State:
    """The state of a search, from which the findings about it follow."""

    stages: tuple[str, ...]  # confirmations among them
    studies: tuple[int, ...]
    counts: tuple[Counts, ...]
    evaluations: int

    def total(self, name: str) -> int:
        return int(sum(getattr(counts, name) for counts in self.counts))


@dataclass(eq=False)
class _Entry:
    state: _State
    parts: dict[str, Future[Any]] = field(default_factory=dict)
    seconds: float = 0.0  # that the making took
    until: float = 0.0  # on the monotonic clock: when a newer one may be made

    @property
    def done(self) -> bool:
        return all(part.done() for part in self.parts.values())


class Findings:
    """The findings about the searches of a study database."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="findings")
        self._here = _Maker(storage)
        self._process: multiprocessing.process.BaseProcess | None = None  # makes those of large searches
        self._connection: Connection | None = None
        self._known: OrderedDict[str, _Entry] = OrderedDict()

    async def part(self, search: str, name: str) -> Finding:
        """Return a part of the findings about a search.

        Args:
            search: Its name.
            name: One of `hpsearch.service.pages.parts.FROM_REPORT`.

        Raises:
            UnknownSearch: No such search.
            HTTPException: The process was killed.
        """
        state = await asyncio.to_thread(self._state, search)
        entry = self._known.get(search)
        paused = state.total("running") and entry is not None and time.monotonic() < entry.until
        if entry is None or (entry.state != state and entry.done and not paused):
            entry = self._known[search] = _Entry(state)
            while len(self._known) > _SEARCHES:
                self._known.popitem(last=False)
        self._known.move_to_end(search)
        if name not in entry.parts or _failed(entry.parts[name]):
            entry.parts[name] = self._thread.submit(self._make, entry, search, name)
        # Whoever goes away does not take it from the others.
        made = await asyncio.shield(asyncio.wrap_future(entry.parts[name]))
        left = entry.until - time.monotonic() if state.total("running") else 0.0
        return Finding(made, entry.state.total("finished"), 0.0 if entry.state == state else max(1.0, left))

    def close(self) -> None:
        """End the process, whatever it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._process is not None:
            self._process.kill()

    def _state(self, search: str) -> _State:
        with closing(open_store(self._storage, search=search)) as store:
            stages = stages_of(store, search)
            every = [*stages, *store.confirmations(search)]
            counts = [store.counts(stage) for stage in every]
            names, studies = tuple(stage.name for stage in every), tuple(stage.study_id for stage in every)
            return _State(names, studies, tuple(counts), len(evaluations(store, stages)))

    def _make(self, entry: _Entry, search: str, name: str) -> Any:
        began = time.monotonic()
        try:
            small = entry.state.total("rows") <= _SMALL
            return (self._here.make if small else self._elsewhere)(search, entry.state, name)
        finally:
            entry.seconds += time.monotonic() - began
            entry.until = time.monotonic() + _PAUSE * entry.seconds

    def _elsewhere(self, *request: Hashable) -> Any:
        if self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_answer, args=(theirs, self._storage), daemon=True)
            self._process.start()
            theirs.close()
        assert self._connection is not None
        try:
            self._connection.send(request)
            made = self._connection.recv()
        except (EOFError, OSError) as error:
            raise HTTPException(503, "the process that makes findings has died; look again") from error
        if isinstance(made, Exception):
            raise made
        return made


class _Maker:
    """Makes findings; of the search that it was asked about last it keeps the material."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._of: Hashable = None
        self._material: Material | None = None

    def make(self, search: str, state: Hashable, name: str) -> Any:
        if self._material is None or self._of != (search, state):
            with closing(open_store(self._storage, search=search)) as store:
                self._material, self._of = gather(store, search), (search, state)
        return FROM_REPORT[name](self._material)


def _failed(part: Future[Any]) -> bool:
    return part.done() and (part.cancelled() or part.exception() is not None)


def _answer(connection: Connection, storage: str) -> None:
    """Make what is asked for until the service has ended: the process's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's
    os.nice(_NICE)
    maker = _Maker(storage)
    with suppress(EOFError, OSError):
        while True:
            request = connection.recv()
            try:
                made = maker.make(*request)
            except Exception as error:
                made = error
            connection.send(made)
