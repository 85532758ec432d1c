"""Server-sent events of a search: its stages, trials, epochs, jobs and their logs, as they change.

One task looks at the databases for all who watch. Each search that is watched has a `Channel`, which keeps its last
events, encoded once; a client is no more than a place among these. A slow client thus costs nothing: once its place is
no longer kept, its stream ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from hpsearch.errors import HpsearchError
from hpsearch.search.stage import stages_of
from hpsearch.serialization import to_plain
from hpsearch.service.auth import Role, needs
from hpsearch.service.hub import hub_of
from hpsearch.store import Counts, Store, open_store
from hpsearch.store.changes import ChangeTracker
from hpsearch.store.engine import Writes

if TYPE_CHECKING:
    from hpsearch.records import Job, Stage
    from hpsearch.service.jobs import Queue
    from hpsearch.store.changes import Changes
    from hpsearch.store.engine import Database

EVERY_S = 0.5  # seconds between two looks, or four times as long as one takes
KEPT = 2000  # events of a channel that are kept, for clients that lag or come back after a lost connection
LINGER_S = 30.0  # seconds for which a channel that nobody watches goes on: the next page may be the same search's
PING_S = 15.0  # seconds of silence after which a client is sent a comment, so that no proxy takes it for dead
LONGEST_S = 600.0  # seconds after which a stream ends; its client comes again, if its token still holds
_RETRY_MS = 2000  # after how long a browser comes again
_NEWEST = 50  # jobs among which new ones are looked for

Event: TypeAlias = tuple[str, dict[str, Any]]  # its name and its data
_log = logging.getLogger(__name__)


class Watch:
    """A memory of what was seen of a search, or with None of all: then of trials only counts, and no lines of logs."""

    def __init__(self, search: str | None) -> None:
        self.search = search
        self._trackers: dict[str, ChangeTracker] = {}  # by the stage's name
        self._counts: dict[str, Counts] = {}  # likewise, of all searches
        self._jobs: dict[int, Job] | None = None
        self._lines: dict[int, int] = {}  # the last line that was seen of the jobs' logs

    def trial_events(self, store: Store) -> list[Event]:
        """Return the events of stages and trials since the last call; at the first one of all there are."""
        return list(self._of_all(store) if self.search is None else self._of_search(store, self.search))

    def _of_all(self, store: Store) -> Iterator[Event]:
        totals, stages = store.totals(), store.stages()
        before = self._counts
        self._counts = {s.name: totals[s.study_id].counts if s.study_id in totals else Counts() for s in stages}
        if before.keys() - self._counts.keys():
            yield "reset", {}
        for stage in stages:
            if before.get(stage.name) != self._counts[stage.name]:
                yield "stage", _stage(stage, self._counts[stage.name])

    def _of_search(self, store: Store, search: str) -> Iterator[Event]:
        stages = {stage.name: stage for stage in (*store.stages(search), *store.confirmations(search))}
        before, self._trackers = self._trackers, {}
        for name, stage in stages.items():
            tracker = before.pop(name, None)
            if tracker is None or tracker.stage.study_id != stage.study_id:
                tracker = ChangeTracker(stage)
            tracker.stage = stage  # its trials may have declared parameters
            self._trackers[name] = tracker
            yield from _changed(stage, store.changes(tracker))
        if before:  # stages that were deleted
            yield "reset", {}

    def job_events(self, queue: Queue) -> Iterator[Event]:
        """Yield the events of jobs since the last call; at the first one none."""
        # The oldest run first: a long queue hides them from the newest.
        jobs = [*queue.jobs(search=self.search, limit=_NEWEST), *queue.jobs(search=self.search, state="running")]
        before, now = self._jobs, {job.id: job for job in jobs}
        if before is None:
            self._jobs, self._lines = now, {id: queue.last_line(id) for id in now}
            return
        now |= {id: queue.job(id) for id, job in before.items() if job.state == "running" and id not in now}
        self._lines = {id: self._lines.get(id, 0) for id in now}
        for id, job in now.items():
            if self.search is not None and (job.state == "running" or job != before.get(id)):
                while lines := queue.log(id, after=self._lines[id]):
                    self._lines[id] = lines[-1].id
                    yield from (("log", {"search": job.search, "job": id, **to_plain(line)}) for line in lines)
            if job != before.get(id):
                yield "job", to_plain(job)
        self._jobs = now


def _stage(stage: Stage, counts: Counts) -> dict[str, Any]:
    shown = {"finished": counts.finished, "failed": counts.failed, "pruned": counts.pruned}
    return {"search": stage.search, "stage": stage.name, **shown, "running": counts.running, "waiting": counts.waiting}


def _changed(stage: Stage, changes: Changes) -> Iterator[Event]:
    place = {"search": stage.search, "stage": stage.name}
    for number, epoch, scores in changes.points:
        yield "epoch", {**place, "trial": number, "epoch": epoch, "scores": scores}
    if changes.trials is None:
        yield "reset", {}
    else:
        for row in zip(*changes.trials.values(), strict=True):
            trial = dict(zip(changes.trials, row, strict=True))
            params = {name.removeprefix("param:"): trial.pop(name) for name in [*trial] if name.startswith("param:")}
            yield "trial", {**place, "trial": trial.pop("number"), **trial, "params": params}
    if changes.counts is not None:
        yield "stage", _stage(stage, changes.counts)


class Channel:
    """The last events of a search, and its clients."""

    def __init__(self, search: str | None) -> None:
        self.watch = Watch(search)
        self.seen = asyncio.Event()  # set once its state was looked at
        self.clients = 0
        self.left = time.monotonic()  # when the last client came or went
        self._events: deque[bytes] = deque(maxlen=KEPT)
        # The number of the last event. Of a later channel, or server, it is higher: numbers begin with the time.
        self._last = time.time_ns() // 1000
        self._news = asyncio.Event()  # set, and replaced, when there are new events
        self._chunk = (0, b"")  # the events after that number, for all clients that have had the same
        self._ended = False

    @property
    def expired(self) -> bool:
        """True if nobody has watched it for `LINGER_S`."""
        return not self.clients and time.monotonic() - self.left > LINGER_S

    def publish(self, events: Sequence[Event]) -> None:
        """Add events and wake the clients."""
        for name, data in events:
            self._last += 1
            text = json.dumps(to_plain(data))
            self._events.append(format_sse_event(data_str=text, event=name, id=str(self._last)))
        self._chunk = (0, b"")
        if events:
            self._wake()

    def end(self) -> None:
        """End all streams."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _since(self, number: int) -> bytes | None:
        """Return the events after one; None where they are kept no longer, or it is none of this channel's."""
        if not self._last - len(self._events) <= number <= self._last:
            return None
        if self._chunk[0] != number:
            new = islice(self._events, len(self._events) - (self._last - number), None)
            self._chunk = (number, b"".join(new))
        return self._chunk[1]

    async def stream(self, after: int | None) -> AsyncIterator[bytes]:
        """Yield the events after the one of a number, or from now on, until the client is too slow or time is up."""
        self.clients += 1
        end = time.monotonic() + LONGEST_S
        try:
            yield format_sse_event(retry=_RETRY_MS)
            if after is None or self._since(after) is None:
                after = self._last
                yield format_sse_event(data_str="{}", event="reset", id=str(after))
            while time.monotonic() < end and (chunk := self._since(after)) is not None:
                if chunk:
                    after = self._last
                    yield chunk
                elif self._ended:
                    return
                else:
                    try:
                        await asyncio.wait_for(self._news.wait(), PING_S)
                    except TimeoutError:
                        yield KEEPALIVE_COMMENT
        finally:
            self.clients -= 1
            self.left = time.monotonic()


class Feed:
    """The channels of the searches that are watched, and the task that looks for their events.

    Args:
        storage: The study database.
        database: The service's own.
        queue: The jobs in it.
    """

    def __init__(self, storage: str, database: Database, queue: Queue) -> None:
        self._storage, self._database, self._queue = storage, database, queue
        self._channels: dict[str | None, Channel] = {}
        self._task: asyncio.Task[None] | None = None
        self._called = asyncio.Event()  # set when there is a new channel, or at the end
        self._closing = False

    @property
    def clients(self) -> int:
        """The number of streams."""
        return sum(channel.clients for channel in self._channels.values())

    async def channel(self, search: str | None) -> Channel:
        """Return the channel of a search whose state was seen: what changes from now on comes as events.

        Raises:
            UnknownSearch: There is no such search, and no job that begins it.
        """
        if search is not None and search not in self._channels:
            await asyncio.to_thread(self._check, search)
        if (channel := self._channels.get(search)) is None:
            channel = self._channels[search] = Channel(search)
            self._called.set()
        channel.left = time.monotonic()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        await channel.seen.wait()
        return channel

    def _check(self, search: str) -> None:
        if not self._queue.jobs(search=search, limit=1):
            with closing(open_store(self._storage, search=search)) as store:
                stages_of(store, search)

    async def _look(self) -> None:
        """Look again and again while there are channels. An error ends their streams; the next client begins anew."""
        try:
            with closing(await asyncio.to_thread(_Databases, self._storage, self._database, self._queue)) as databases:
                while self._channels and not self._closing:
                    self._called.clear()
                    began, channels = time.monotonic(), [*self._channels.values()]
                    events = await asyncio.to_thread(databases.look, [channel.watch for channel in channels])
                    for channel, new in zip(channels, events, strict=True):
                        channel.publish(new)
                        channel.seen.set()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._called.wait(), max(EVERY_S, 4 * (time.monotonic() - began)))
                    self._channels = {name: channel for name, channel in self._channels.items() if not channel.expired}
        except HpsearchError as error:
            _log.warning("the event streams end: %s", error)
        except Exception:
            _log.exception("the event streams end")
        finally:
            ended, self._channels = self._channels, {}
            for channel in ended.values():
                channel.end()
                channel.seen.set()

    async def close(self) -> None:
        """End all streams: a server waits for its requests before it ends."""
        self._closing = True
        self._called.set()
        if self._task is not None:
            await self._task


class _Databases:
    """The databases as the task looks at them, in a thread."""

    def __init__(self, storage: str, database: Database, queue: Queue) -> None:
        self._store, self._queue = open_store(storage), queue
        self._trials, self._jobs = Writes(self._store.database), Writes(database)
        self._known: set[Watch] = set()

    def look(self, watches: Sequence[Watch]) -> list[list[Event]]:
        """Return the events of each since the last look; none of one that was not there then: all was there before."""
        trials, jobs = self._trials.since(), self._jobs.since()
        events: list[list[Event]] = []
        for watch in watches:
            new = watch not in self._known
            seen = watch.trial_events(self._store) if trials or new else []
            seen += watch.job_events(self._queue) if jobs or new else []
            events.append([] if new else seen)
        self._known = set(watches)
        return events

    def close(self) -> None:
        self._trials.close()
        self._jobs.close()
        self._store.close()


class EventStream(StreamingResponse):
    """A response of encoded events; FastAPI's own encodes each for each client."""

    media_type = "text/event-stream"


ROUTER = APIRouter(tags=["events"])


@ROUTER.get("/events", response_class=EventStream, dependencies=[needs(Role.READ)])
async def events(
    request: Request,
    search: Annotated[str | None, Query(description="Name of a search; without it the stages and jobs of all.")] = None,
    last_event_id: Annotated[str | None, Header(description="Go on after this event.")] = None,
) -> EventStream:
    """Follow a search as server-sent events: `stage`, `trial`, `epoch`, `job`, `log`.

    `reset` asks to read anew what was read before the stream; it is the first event of one that does not go on from
    an earlier one.
    """
    channel = await hub_of(request).feed.channel(search)
    try:
        after = None if last_event_id is None else int(last_event_id)
    except ValueError:
        after = None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter for nginx
    return EventStream(channel.stream(after), headers=headers)
