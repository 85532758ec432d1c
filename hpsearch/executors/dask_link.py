"""What Dask reports, as messages in a queue: batches that are back, points of curves, workers that come and go.

Dask's client has an event loop in a thread of its own. Everything in this module that is a coroutine runs there, and
the executor reads the queue in its own thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import socket
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from hpsearch import __version__
from hpsearch.executors.dask_worker import BLAS_VARIABLES, evaluate, surroundings, versions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Client, Future

_GLANCE_S = 0.25
"""How often the connection is looked at."""
_LOOK_S = 1.0
"""How often it is asked which workers there are. That a worker is gone is reported at once."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points of curves: number, step, value."""

    key: str
    points: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True)
class Back:
    """A task is back: with pickled outcomes, or with the reason why there are none."""

    key: str
    reason: str | None
    outcomes: bytes = b""


@dataclass(frozen=True, slots=True)
class Returned:
    """A task was dropped by no fault of its own: the data or the connection were lost, or somebody cancelled it."""

    key: str


@dataclass(frozen=True, slots=True)
class Killed:
    """The scheduler itself gave a task up, because its worker died."""

    key: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker that may be given batches, so many at a time, and how it rounds (`hpsearch.nn.arithmetic`)."""

    worker: str
    threads: int
    rounding: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker that may not, and why."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """A worker is gone: sent home as expected, or dead, with the tasks that it had then."""

    worker: str
    keys: frozenset[str]
    expected: bool


@dataclass(frozen=True, slots=True)
class Present:
    """All workers that there are."""

    workers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mended:
    """The connection was lost and is there again. Whatever was under way is not."""


@dataclass(frozen=True, slots=True)
class Over:
    """The connection is lost for good."""


Message: TypeAlias = Points | Back | Returned | Killed | Joined | Refused | Left | Present | Mended | Over


class Link:
    """A client, watched.

    Args:
        client: The client; it is closed with the link.
        topic: Under which workers report points of curves.
        preload: A module that workers import as they come.
        patience: A connection that is not mended after so many seconds is over. The client gives up by itself, but for
            one that breaks again while it is mended.
    """

    def __init__(self, client: Client, *, topic: str, preload: str | None, patience: float) -> None:
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._client, self._topic, self._preload, self._patience = client, topic, preload, patience
        self._versions = versions()
        self._known: dict[str, asyncio.Task[None]] = {}
        self._loop: asyncio.AbstractEventLoop = client.loop.asyncio_loop
        self._looked = asyncio.Event()
        self._watching = asyncio.run_coroutine_threadsafe(self._watch(), self._loop)

    def settle(self, within: float) -> None:
        """Wait until the workers that are there have been looked at, or the time is over."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(within)

    def heard(self, timeout: float) -> list[Message]:
        """What has been reported; waits up to so many seconds for the first message."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.append(self._inbox.get(timeout=timeout) if timeout > 0 else self._inbox.get_nowait())
            while True:
                messages.append(self._inbox.get_nowait())
        return messages

    @property
    def connected(self) -> bool:
        """Whether there is a scheduler to talk to, as far as is known."""
        return bool(self._client.status == "running")

    def scatter(self, payload: bytes, workers: list[str], within: float) -> Future:
        """Send bytes to workers; others get them from these when they need them."""
        (future,) = self._client.scatter([payload], workers=workers, broadcast=True, hash=False, timeout=within)
        return future

    def submit(self, key: str, worker: str, objective: Future, token: str, batch: bytes) -> Future:
        """Begin a batch as a task on a worker; what comes of it is heard under this key."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # trials that go on bring their weights along
            future = self._client.submit(
                evaluate,
                objective,
                token,
                batch,
                self._topic,
                key=key,
                workers=[worker],
                allow_other_workers=False,
                retries=0,
                pure=False,
            )
        asyncio.run_coroutine_threadsafe(self._follow(key, future), self._loop)
        return future

    def close(self, within: float) -> None:
        """Let go of everything and disconnect."""
        self._watching.cancel()
        try:
            self._client.close(timeout=within)
        except Exception:  # the scheduler is gone, and the client with it
            self._client.status = "closed"  # or it would try again when it is collected, and say so

    async def _follow(self, key: str, future: Future) -> None:
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        message: Message
        try:
            reason, outcomes = await self._client.gather(future, asynchronous=True)
            message = Back(key, reason, outcomes)
        except KilledWorker:
            message = Killed(key)
        except (FutureCancelledError, OSError):
            message = Returned(key)
        except Exception as error:  # whatever a worker raises about a batch is the batch's failure
            message = Back(key, f"{type(error).__name__}: {' '.join(str(error).split())}")
        self._inbox.put(message)

    async def _watch(self) -> None:
        connection, look_at, heard = None, 0.0, time.monotonic()
        while self._client.status not in ("closing", "closed") and time.monotonic() - heard < self._patience:
            if self._client.status == "running":
                heard = time.monotonic()
            if self._client.status == "running" and self._client.scheduler_comm is not connection:
                if connection is not None:
                    self._known.clear()
                    self._inbox.put(Mended())
                connection = self._client.scheduler_comm
                self._client.subscribe_topic(self._topic, self._hear_points)
                look_at = 0.0
            if self._client.status == "running" and (now := time.monotonic()) >= look_at:
                look_at = now + _LOOK_S
                await self._look()
            await asyncio.sleep(_GLANCE_S)
        self._inbox.put(Over())

    async def _look(self) -> None:
        with contextlib.suppress(OSError):  # the connection is looked at elsewhere
            threads = await self._client.scheduler.ncores(workers=None)
            for worker in [one for one in self._known if one not in threads]:
                del self._known[worker]
            self._inbox.put(Present(frozenset(threads)))
            for worker, count in threads.items():
                if worker not in self._known:
                    # Dask reports a worker's end under its address. (Under "all", too, with what cannot be sent.)
                    self._client.subscribe_topic(worker, partial(self._hear_worker, worker))
                    self._known[worker] = asyncio.create_task(self._inspect(worker, count))
        self._looked.set()

    async def _settle(self) -> None:
        await self._looked.wait()
        await asyncio.gather(*self._known.values())

    async def _inspect(self, worker: str, threads: int) -> None:
        """Whether a worker may be given batches; asked once, when it comes."""
        seen: Any = OSError()
        with contextlib.suppress(OSError):
            answers = await self._client.run(surroundings, self._preload, workers=[worker], on_error="return")
            seen = answers.get(worker, seen)
        if worker not in self._known:  # gone meanwhile
            return
        if isinstance(seen, OSError):  # ask again at the next look
            del self._known[worker]
            return
        reason = self._unfit(seen)
        self._inbox.put(Joined(worker, threads, seen["rounding"]) if reason is None else Refused(worker, reason))

    def _unfit(self, seen: Mapping[str, Any] | Exception) -> str | None:
        if isinstance(seen, ImportError | AttributeError):
            return f"has no hpsearch {__version__} ({seen}); install the same there"
        if isinstance(seen, Exception):
            return f"cannot evaluate trials ({type(seen).__name__}: {' '.join(str(seen).split())})"
        for name, here in self._versions.items():
            if (there := seen["versions"].get(name)) != here:
                return f"has {name} {there}, and this process {here}; results would differ, so install the same there"
        if not seen["pinned"] and seen["process"] != (socket.gethostname(), os.getpid()):
            pins = " ".join(f"{name}=1" for name in BLAS_VARIABLES)
            return f"may use several BLAS threads, and results would differ; start it with a nanny, or with {pins}"
        return None

    def _hear_points(self, event: tuple[float, Any]) -> None:
        key, points = event[1]
        self._inbox.put(Points(key, tuple((number, step, value) for number, step, value in points)))

    def _hear_worker(self, worker: str, event: tuple[float, Any]) -> None:
        what = event[1]
        if isinstance(what, dict) and what.get("action") == "remove-worker":
            self._known.pop(worker, None)
            self._inbox.put(Left(worker, frozenset(what["processing-tasks"]), what["expected"]))
