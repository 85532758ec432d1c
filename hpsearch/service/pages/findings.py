"""What the report says of each search: made once for all who look at it, in a thread of its own.

It takes tens of seconds of a search with 100,000 trials. So of one that changes all the time there is a new one only
after a pause that is long against the making; until then the last one is good enough.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from hpsearch.reports.report import Material, gather
from hpsearch.search.evaluation import evaluations
from hpsearch.search.stage import stages_of
from hpsearch.store import open_store

_SEARCHES = 4  # those looked at last, whose findings are kept
_PAUSE = 4  # in units of the time that the making takes


@dataclass(eq=False)
class _Gathered:
    state: Hashable  # of the search, that it is made of
    material: Future[Material] = field(default_factory=Future)
    parts: dict[str, Future[Any]] = field(default_factory=dict)
    seconds: float = 0.0  # that the making took
    until: float = 0.0  # on the monotonic clock: when a newer one may be made

    @property
    def ready(self) -> bool:
        return self.material.done()

    @property
    def failed(self) -> bool:
        return self.ready and (self.material.cancelled() or self.material.exception() is not None)

    def timed(self, make: Callable[[], Any]) -> Any:
        began = time.monotonic()
        try:
            return make()
        finally:
            self.seconds += time.monotonic() - began
            self.until = time.monotonic() + _PAUSE * self.seconds


class Findings:
    """The findings about the searches of a study database."""

    def __init__(self, storage: str) -> None:
        self._storage = storage
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="findings")
        self._known: OrderedDict[str, _Gathered] = OrderedDict()

    async def part(self, search: str, name: str, make: Callable[[Material], Any]) -> tuple[Any, float]:
        """Return what ``make`` makes of a search's material, and in how many seconds there may be a newer one, or 0.

        Args:
            search: Its name.
            name: That of the part, by which it is kept.
            make: Makes it.

        Raises:
            UnknownSearch: No such search.
        """
        state = await asyncio.to_thread(self._state, search)
        of = self._known.get(search)
        if of is None or of.failed or (of.state != state and of.ready and time.monotonic() >= of.until):
            of = self._known[search] = _Gathered(state)
            of.material = self._thread.submit(of.timed, lambda: self._gather(search))
            while len(self._known) > _SEARCHES:
                self._known.popitem(last=False)
        self._known.move_to_end(search)
        if name not in of.parts:
            material = of.material
            of.parts[name] = self._thread.submit(of.timed, lambda: make(material.result()))
        # Whoever goes away does not take it from the others.
        made = await asyncio.shield(asyncio.wrap_future(of.parts[name]))
        return made, max(1.0, of.until - time.monotonic()) if of.state != state else 0.0

    def close(self) -> None:
        """Drop what has not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _state(self, search: str) -> Hashable:
        with closing(open_store(self._storage, search=search)) as store:
            stages = stages_of(store, search)
            every = [*stages, *store.confirmations(search)]
            return tuple((of.name, of.study_id, store.counts(of)) for of in every), len(evaluations(store, stages))

    def _gather(self, search: str) -> Material:
        with closing(open_store(self._storage, search=search)) as store:
            return gather(store, search)
