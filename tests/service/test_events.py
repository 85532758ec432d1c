"""Events of searches: what comes, to whom, from where on, and how streams end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import served
from bounded import LIMIT_S
from made_stages import SPACE
from stored import claim

from hpsearch.errors import UnknownSearch
from hpsearch.records import Action, Completed, Line, NewStage, Report, Stage
from hpsearch.service import events
from hpsearch.service.app import create_app
from hpsearch.service.auth import Role
from hpsearch.service.database import open_service
from hpsearch.service.events import Channel, Feed
from hpsearch.service.jobs import Queue
from hpsearch.service.settings import Settings
from hpsearch.store import Owner, Store, open_store, writer

START = Action("start", {"search": "made", "trials": 8})


@dataclass(frozen=True)
class Event:
    id: int
    name: str
    data: dict[str, Any]

    @classmethod
    def of(cls, text: str) -> Event:
        fields = dict(line.split(": ", 1) for line in text.splitlines())
        return cls(int(fields["id"]), fields["event"], json.loads(fields["data"]))


class Client:
    """Reads a stream, event by event."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream, self._text = stream, ""

    async def next(self) -> Event:
        """Return the next event; comments and what is none are left out. StopAsyncIteration at the end."""
        while True:
            text, found, rest = self._text.partition("\n\n")
            if found:
                self._text = rest
                if "event: " in text:
                    return Event.of(text)
                continue
            self._text += (await asyncio.wait_for(anext(self._stream), LIMIT_S)).decode()

    async def until(self, name: str) -> list[Event]:
        """Return the events up to one of a name."""
        seen = [await self.next()]
        while seen[-1].name != name:
            seen.append(await self.next())
        return seen


@dataclass
class World:
    """A study database with a stage, a service's database beside it, and a feed of both."""

    file: Path
    store: Store
    stage: Stage
    queue: Queue
    feed: Feed
    me: Owner

    async def client(self, search: str | None = "made", *, after: int | None = None) -> Client:
        """A client that has read its first event."""
        client = Client((await self.feed.channel(search)).stream(after))
        if after is None:
            assert (await client.next()).name == "reset"
        return client

    def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a test, and close the feed, in an event loop."""

        async def whole() -> None:
            try:
                await work()
            finally:
                await self.feed.close()

        asyncio.run(whole())


@pytest.fixture
def world(tmp_path: Path, empty_database: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(events, "EVERY_S", 0.01)
    file = tmp_path / "studies.db"
    file.write_bytes(empty_database)
    new = NewStage("made", 1, "maximize", 7, SPACE, {"name": "made"})
    with closing(open_store(str(file), write=True)) as store, closing(open_service(str(file))) as database:
        stage, queue = store.create_stage(new), Queue(database)
        yield World(file, store, stage, queue, Feed(str(file), database, queue), Owner.current())


def test_trials_epochs_and_stages(world: World) -> None:
    async def work() -> None:
        client = await world.client()
        ids = claim(world.store, world.stage, world.me, until=2)
        begun = await client.until("stage")
        assert [(e.name, e.data.get("trial"), e.data.get("state")) for e in begun] == [
            ("trial", 0, "RUNNING"),
            ("trial", 1, "RUNNING"),
            ("stage", None, None),
        ]
        assert begun[0].data["params"].keys() == SPACE.keys()
        assert begun[-1].data == {
            "search": "made",
            "stage": "made/stage-01",
            "finished": 0,
            "failed": 0,
            "pruned": 0,
            "running": 2,
            "waiting": 0,
        }
        world.store.report(world.stage, [Report(0, 1, 0.5), Report(0, 2, 0.75)], ids, owner=world.me)
        (epoch,) = await client.until("epoch")
        assert epoch.data == {
            "search": "made",
            "stage": "made/stage-01",
            "trial": 0,
            "epoch": 2,
            "scores": [0.5, 0.75],
        }
        world.store.record(world.stage, [Completed(0, 0.75)], ids, owner=world.me)
        trial, stage = await client.until("stage")
        assert (trial.data["trial"], trial.data["state"], trial.data["score"]) == (0, "COMPLETE", 0.75)
        assert (stage.data["finished"], stage.data["running"]) == (1, 1)
        numbers = [event.id for event in (*begun, epoch, trial, stage)]
        assert numbers == sorted(set(numbers))

    world.run(work)


@pytest.mark.parametrize("search", ["made", None])
def test_a_stage_that_is_made_and_one_that_is_deleted(world: World, search: str | None) -> None:
    async def work() -> None:
        client = await world.client(search)
        second = world.store.create_stage(replace(world.stage, number=2))
        (made,) = await client.until("stage")
        assert (made.data["stage"], made.data["finished"]) == (second.name, 0)
        with world.store.database.write() as connection:
            writer.delete_study(connection, second.study_id)
        assert [event.name for event in await client.until("reset")] == ["reset"]

    world.run(work)


def test_jobs_and_their_logs(world: World) -> None:
    async def work() -> None:
        client = await world.client()
        job = world.queue.submit([START], by="anna")
        (queued,) = await client.until("job")
        assert (queued.data["id"], queued.data["state"], queued.data["by"]) == (job.id, "queued", "anna")
        assert queued.data["actions"] == [{"kind": "start", "arguments": {"search": "made", "trials": 8}}]
        assert world.queue.claim(world.me, at_once=1)
        assert [e.data["state"] for e in await client.until("job")] == ["running"]
        world.queue.report(world.me.run, [Line(1, "stderr", "made/stage-01: 8 trials")])
        (line,) = await client.until("log")
        assert line.data == {
            "search": "made",
            "job": job.id,
            "id": 1,
            "stream": "stderr",
            "text": "made/stage-01: 8 trials",
        }
        world.queue.report(world.me.run, [Line(2, "stdout", "done")])
        world.queue.finish(world.me.run, 0)
        *lines, ended = await client.until("job")
        assert [event.data["text"] for event in lines if event.name == "log"] == ["done"]
        assert ended.data["state"] == "done"

    world.run(work)


def test_a_job_that_began_and_ended_between_two_looks_has_its_log(world: World) -> None:
    watch = events.Watch("made")
    assert list(watch.job_events(world.queue)) == []
    world.queue.submit([START], by="anna")
    world.queue.claim(world.me, at_once=1)
    world.queue.report(world.me.run, [Line(1, "stdout", "a"), Line(2, "stdout", "b")])
    world.queue.finish(world.me.run, 1, reason="b")
    assert [name for name, _ in watch.job_events(world.queue)] == ["log", "log", "job"]
    assert list(watch.job_events(world.queue)) == []


def test_a_job_that_runs_is_seen_behind_a_long_queue(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_NEWEST", 2)
    for _ in range(5):
        world.queue.submit([START], by="anna")
    watch = events.Watch("made")
    list(watch.job_events(world.queue))
    world.queue.claim(world.me, at_once=1)
    assert [(data["id"], data["state"]) for _, data in watch.job_events(world.queue)] == [(1, "running")]
    world.queue.finish(world.me.run, 0)
    assert [(data["id"], data["state"]) for _, data in watch.job_events(world.queue)] == [(1, "done")]


def test_all_searches_in_short(world: World) -> None:
    async def work() -> None:
        client = await world.client(None)
        other = world.store.create_stage(replace(world.stage, search="other"))
        assert [e.data["stage"] for e in await client.until("stage")] == ["other/stage-01"]
        ids = claim(world.store, other, world.me, until=2)
        world.store.report(other, [Report(0, 1, 0.5)], ids, owner=world.me)
        assert [(e.name, e.data["running"]) for e in await client.until("stage")] == [("stage", 2)]
        world.queue.submit([START], by="anna")
        world.queue.claim(world.me, at_once=1)
        world.queue.report(world.me.run, [Line(1, "stdout", "a")])
        world.queue.finish(world.me.run, 0)
        seen = [await client.next()]
        while seen[-1].data["state"] != "done":
            seen.append(await client.next())
        assert {event.name for event in seen} == {"job"}

    world.run(work)


def test_a_client_goes_on_where_it_was(world: World) -> None:
    async def work() -> None:
        client = await world.client()
        ids = claim(world.store, world.stage, world.me, until=1)
        (*_, last) = await client.until("stage")
        world.store.record(world.stage, [Completed(0, 0.75)], ids, owner=world.me)
        missed = await client.until("stage")
        assert await (await world.client(after=last.id)).until("stage") == missed

    world.run(work)


@pytest.mark.parametrize("after", [0, -1, 10**30])
def test_a_client_whose_place_is_unknown_reads_all_anew(world: World, after: int) -> None:
    async def work() -> None:
        await world.client()
        again = await world.client(after=after)
        first = await again.next()
        assert first.name == "reset"
        claim(world.store, world.stage, world.me, until=1)
        assert (await again.next()).id == first.id + 1

    world.run(work)


def test_numbers_of_a_later_server_are_higher(world: World) -> None:
    async def work() -> None:
        client = await world.client()
        claim(world.store, world.stage, world.me, until=1)
        (*_, last) = await client.until("stage")
        assert Channel("made")._since(last.id) is None
        assert Channel("made")._last > last.id

    world.run(work)


def test_a_slow_client_is_dropped_and_costs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEPT", 3)

    async def work() -> None:
        channel = Channel("made")
        slow, quick = Client(channel.stream(None)), Client(channel.stream(None))
        for client in (slow, quick):
            assert (await client.next()).name == "reset"
        for number in range(10):
            channel.publish([("trial", {"trial": number})])
            assert (await quick.next()).data == {"trial": number}
        assert len(channel._events) == 3
        with pytest.raises(StopAsyncIteration):
            await slow.next()
        assert channel.clients == 1

    asyncio.run(work())


def test_events_are_encoded_once_for_all_clients(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        channel = Channel("made")
        streams = [channel.stream(None) for _ in range(3)]
        for stream in streams:
            await anext(stream), await anext(stream)
        channel.publish([("trial", {"trial": 1}), ("trial", {"trial": 2})])
        first, *others = [await anext(stream) for stream in streams]
        assert first.count(b"event: trial") == 2
        assert all(other is first for other in others)

    asyncio.run(work())


def test_a_silent_stream_has_comments_and_an_old_one_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PING_S", 0.01)
    monkeypatch.setattr(events, "LONGEST_S", 0.1)

    async def work() -> None:
        chunks = [chunk async for chunk in Channel("made").stream(None)]
        assert chunks[0] == b"retry: 2000\n\n"
        assert set(chunks[2:]) == {b": ping\n\n"}

    asyncio.run(work())


def test_streams_end_with_the_feed(world: World) -> None:
    async def work() -> None:
        client = await world.client()
        await world.feed.close()
        with pytest.raises(StopAsyncIteration):
            await client.next()

    world.run(work)


def test_streams_end_where_the_database_fails_and_begin_anew_once_it_works(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        client = await world.client()
        content = world.file.read_bytes()
        world.file.rename(world.file.with_name("elsewhere.db"))
        with pytest.raises(StopAsyncIteration):
            await client.next()
        assert "was deleted or replaced" in caplog.text
        world.file.write_bytes(content)
        await world.client()

    world.run(work)


def test_a_channel_that_nobody_watches_is_forgotten(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LINGER_S", 0.0)

    async def work() -> None:
        channel = await world.feed.channel("made")
        stream = channel.stream(None)
        await anext(stream)
        assert world.feed.clients == 1
        await stream.aclose()  # type: ignore[attr-defined]
        task = world.feed._task
        assert task is not None
        await asyncio.wait_for(task, LIMIT_S)  # it ends where there is no channel left
        assert (world.feed.clients, world.feed._channels) == (0, {})
        await world.client()

    world.run(work)


def test_nothing_is_read_while_nobody_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def look(what: str) -> Callable[..., list[Any]]:
        def nothing(*_: object) -> list[Any]:
            looks.append(what)
            return []

        return nothing

    monkeypatch.setattr(events.Watch, "trial_events", look("trials"))
    monkeypatch.setattr(events.Watch, "job_events", look("jobs"))
    with closing(events._Databases(str(world.file), world.queue._database, world.queue)) as databases:
        watches = [events.Watch("made")]
        databases.look(watches)
        for _ in range(3):
            databases.look(watches)
        assert looks == ["trials", "jobs"]
        claim(world.store, world.stage, world.me, until=1)
        databases.look(watches)
        assert looks == ["trials", "jobs", "trials"]
        world.queue.submit([START], by="anna")
        databases.look(watches)
        assert looks == ["trials", "jobs", "trials", "jobs"]


def test_an_unknown_search(world: World) -> None:
    async def work() -> None:
        with pytest.raises(UnknownSearch):
            await world.feed.channel("nothing")
        world.queue.submit([Action("start", {"search": "nothing"})], by="anna")
        await world.client("nothing")  # a job is about to begin it

    world.run(work)


def test_the_route(world: World) -> None:
    """A test client would wait for the end of the stream: the application is asked as its server does."""
    with served.client(world.file, Role.READ) as client:
        assert client.get("/hp/api/v1/events?search=nothing").status_code == 404
    app, sent, gone = create_app(Settings(storage=str(world.file))), [], asyncio.Event()
    secret = served.token(app, Role.READ)

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if b"event: reset" in message.get("body", b""):
            gone.set()

    async def work() -> None:
        headers = {"host": "127.0.0.1:8080", "authorization": f"Bearer {secret}", "last-event-id": "nonsense"}
        scope: dict[str, Any] = {"type": "http", "method": "GET", "scheme": "http", "http_version": "1.1"}
        scope |= {"path": "/hp/api/v1/events", "query_string": b"search=made", "client": ("127.0.0.1", 1)}
        scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(app(scope, receive, send), LIMIT_S)
            assert app.state.hub.feed.clients == 0

    asyncio.run(work())
    assert sent[0]["status"] == 200
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert answered["content-type"] == "text/event-stream; charset=utf-8"
    assert (answered["cache-control"], answered["x-accel-buffering"]) == ("no-store", "no")
