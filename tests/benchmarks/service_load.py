"""The service under load: requests and event streams while a stage runs, an hour's events, large databases.

``python tests/benchmarks/service_load.py [--only PART ...]`` prints Markdown tables. Server, clients and the stage
share this machine: the stage has one process, so that on two cores the other is left to the server and the clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from big_stage import fill, make_stage, new_stage
from measuring import markdown

from hpsearch.records import DEFAULT_STORAGE, Action
from hpsearch.service.credentials import Credentials
from hpsearch.service.database import open_service
from hpsearch.service.events import EVERY_S, Channel
from hpsearch.service.jobs import Queue
from hpsearch.service.roles import Role
from hpsearch.store import open_store

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import tiny
from browser import started
from served import Server, server

STREAMS, RATE = 200, 50  # event streams, and requests a second
CONNECTIONS = 10  # by which the requests come
PARTS = ("load", "pages", "replay")
API = "/hp/api/v1"
STORAGE = DEFAULT_STORAGE  # in the server's folder
POINT = {"search": "tiny", "stage": "tiny/stage-01", "scores": [0.9125]}
# Notes when a condition has come true and is on the screen: a question asked from outside waits for scripts at work.
SHOWN = """new MutationObserver(() => {
  if (window.shown === undefined && (%s)) {
    window.shown = 0;
    requestAnimationFrame(() => setTimeout(() => { window.shown = performance.now(); }));
  }
}).observe(document, {childList: true, subtree: true});"""
# What people and programs ask while they watch, in turn.
PATHS = (
    f"{API}/searches/tiny",
    f"{API}/searches/tiny/stages/1/trials?sort=-score&limit=20",
    "/hp/searches/tiny/parts/state",
    f"{API}/jobs?search=tiny",
    "/hp/searches/tiny/parts/best",
    f"{API}/searches",
    "/hp/searches/tiny",
    f"{API}/searches/tiny/best",
)


@dataclass
class Load:
    """What clients have measured, in milliseconds."""

    answers: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)  # from the end of a trial to the event
    statuses: Counter[int] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    dropped: int = 0  # streams that ended early


async def request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, token: str) -> int:
    """Ask on a connection that stays open; return the status."""
    host = writer.get_extra_info("peername")
    head = f"GET {path} HTTP/1.1\r\nHost: {host[0]}:{host[1]}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(head.encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if "transfer-encoding: chunked" in answer:
        while (size := int(await reader.readline(), 16)) or await reader.readline() != b"\r\n":
            await reader.readexactly(size + 2)
    elif "content-length: " in answer:
        await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
    return int(answer.split(" ", 2)[1])


async def ask(address: tuple[str, int], token: str, load: Load, place: int, over: Any) -> None:
    """Ask so often that all connections together come to `RATE`; an answer's time counts from when it was due."""
    reader, writer = await asyncio.open_connection(*address)
    due = time.perf_counter() + place / RATE
    while not over.is_set():
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        load.statuses[await request(reader, writer, PATHS[place % len(PATHS)], token)] += 1
        load.answers.append(1e3 * (time.perf_counter() - due))
        due += CONNECTIONS / RATE
        place += 3  # not always the same of the paths
    writer.close()


async def listen(address: tuple[str, int], token: str, load: Load, begun: asyncio.Semaphore) -> None:
    """Follow the events of the search, and note how late those are that say a trial has ended."""
    reader, writer = await asyncio.open_connection(*address)
    head = f"Host: {address[0]}:{address[1]}\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(f"GET {API}/events?search=tiny HTTP/1.1\r\n{head}".encode())
    try:
        load.statuses[int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])] += 1
        name = ""
        while line := await reader.readline():
            if line.startswith(b"event: "):
                name = line[7:-1].decode()
                load.events[name] += 1
                if name == "reset":
                    begun.release()
            elif name == "trial" and line.startswith(b"data: "):
                ended = json.loads(line[6:])["finished"]
                if ended is not None:
                    late = datetime.now(UTC).replace(tzinfo=None) - datetime.fromisoformat(ended)
                    load.delays.append(1e3 * late.total_seconds())
        load.dropped += 1
    finally:
        writer.close()


def clients(url: str, token: str, over: Any, results: Any) -> None:
    """Be all clients until it is over; a process's whole work."""

    async def work() -> None:
        load, parts = Load(), urlsplit(url)
        address = str(parts.hostname), int(parts.port or 0)
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(listen(address, token, load, begun)) for _ in range(STREAMS)]
        for _ in streams:
            await begun.acquire()
        async with asyncio.TaskGroup() as group:
            for place in range(CONNECTIONS):
                group.create_task(ask(address, token, load, place, over))
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        results.put(load)

    asyncio.run(work())


@contextmanager
def loaded(url: str, token: str) -> Iterator[list[Load]]:
    """Put the load on a server; what was measured is in the list after the block."""
    context = multiprocessing.get_context("spawn")
    over, results, loads = context.Event(), context.Queue(), list[Load]()
    process = context.Process(target=clients, args=(url, token, over, results))
    process.start()
    try:
        yield loads
    finally:
        over.set()
        loads.append(results.get())
        process.join()


@dataclass(frozen=True)
class Run:
    """A stage that was brought to more trials by a job of the server."""

    seconds: float  # from the first of them that began to the last that ended
    cpu: float  # seconds of the server's process meanwhile
    megabytes: float  # its memory at the end


def run(at: Server, folder: Path, trials: int) -> Run:
    """Hand in a job that adds trials to the stage, wait until it is done, and measure."""
    file, process = str(folder / STORAGE), psutil.Process(at.process.pid)
    with closing(open_service(file)) as database:
        queue, began = Queue(database), sum(process.cpu_times()[:2])
        with closing(open_store(file)) as store:
            have = sum(store.counts(stage).finished for stage in store.stages("tiny"))
        job = queue.submit([Action("start", {"search": "tiny", "trials": have + trials, "jobs": 1})], by="load")
        while queue.job(job.id).ended is None:
            time.sleep(0.2)
        assert queue.job(job.id).state == "done", queue.job(job.id)
    with closing(open_store(file)) as store:
        (stage,) = store.stages("tiny")
        columns = store.columns(stage, numbers=range(have, have + trials))
    seconds = (max(columns["finished"]) - min(columns["started"])).total_seconds()
    return Run(seconds, sum(process.cpu_times()[:2]) - began, process.memory_info().rss / 2**20)


def percentiles(values: Sequence[float]) -> tuple[str, str, str]:
    """The median, the 99th percentile and the largest."""
    ordered = sorted(values)
    return tuple(f"{ordered[int(share * (len(ordered) - 1))]:,.0f} ms" for share in (0.5, 0.99, 1))  # type: ignore[return-value]


def under_load(folder: Path, trials: int, rounds: int) -> str:
    """A stage with and without load in turn: how quick the answers are, how late the events, how slow the stage."""
    (folder / "studies").mkdir()
    data, network, training = {"train": 1000, "validation": 500}, {"hidden": [64]}, {"epochs": 10}
    tiny.write(folder / "studies", "tiny", data=data, network=network, training=training)
    quiet, busy, loads = list[Run](), list[Run](), list[Load]()
    with server(folder) as at:
        with closing(open_service(str(folder / STORAGE))) as database:
            token = Credentials(database).create("load", Role.READ)
        run(at, folder, trials)
        for _ in range(rounds):
            quiet.append(run(at, folder, trials))
            with loaded(at.url, token) as measured:
                busy.append(run(at, folder, trials))
            loads += measured
    answers, delays = ([v for load in loads for v in getattr(load, name)] for name in ("answers", "delays"))
    alone, beside = (statistics.median(of.seconds for of in runs) for runs in (quiet, busy))
    events = sum((load.events for load in loads), Counter[str]())
    rows = [
        (f"{len(answers):,} answers at {RATE}/s: median, 99 %, longest", *percentiles(answers)),
        ("their statuses", str(dict(sum((load.statuses for load in loads), Counter[int]()))), "", ""),
        (f"{len(delays):,} ends of trials at {STREAMS} streams: how late", *percentiles(delays)),
        ("events at all streams", str(dict(events)), f"{sum(load.dropped for load in loads)} streams ended", ""),
        (f"{trials} trials alone, and beside the load", f"{alone:.1f} s", f"{beside:.1f} s", f"x{beside / alone:.2f}"),
        *(
            (f"server {name}: CPU, memory", f"{of.cpu / of.seconds:.0%} of a core", f"{of.megabytes:.0f} MB", "")
            for name, of in (("alone", quiet[-1]), ("loaded", busy[-1]))
        ),
    ]
    return markdown(("", "", "", ""), rows)


def replayed(hours: float = 1.0, a_look: int = 50) -> str:
    """Memory of the part that keeps and sends events, in the course of an hour of them to `STREAMS` clients."""

    async def work() -> tuple[float, float, float, int]:
        channel = Channel("tiny")
        streams = [channel.stream(None) for _ in range(STREAMS)]
        for stream in streams:
            await anext(stream), await anext(stream)
        looks, began, size, middle = int(hours * 3600 / EVERY_S), time.perf_counter(), 0, 0.0
        for look in range(looks):
            channel.publish([("epoch", {**POINT, "trial": look * a_look + i, "epoch": i}) for i in range(a_look)])
            size += sum(map(len, await asyncio.gather(*map(anext, streams))))
            if look == looks // 10:
                middle = psutil.Process().memory_info().rss / 2**20
        return middle, psutil.Process().memory_info().rss / 2**20, time.perf_counter() - began, size

    middle, after, seconds, size = asyncio.run(work())
    number = int(hours * 3600 / EVERY_S) * a_look
    megabytes = (f"{of:.0f} MB" for of in (middle, after))
    rows = [(f"{number:,}", str(STREAMS), f"{size / 2**30:.1f} GiB", f"{seconds:.0f} s", *megabytes)]
    return markdown(("events", "streams", "sent", "took", "memory after a tenth", "memory at the end"), rows)


def opened(folder: Path, trials: int, searches: int) -> str:
    """A browser that knows nothing of the pages opens those of a large stage, and of many searches."""
    (folder / "studies").mkdir(exist_ok=True)
    file = folder / STORAGE
    file.unlink(missing_ok=True)
    make_stage(file, trials, 20)
    with closing(open_store(str(file), write=True)) as store:
        for number in range(1, searches):
            name = f"search-{number:04d}"
            fill(store, store.create_stage(replace(new_stage(), search=name)), 10, 5, curves=False)
    large = "/hp/searches/big"
    wanted = {
        f"the list of {searches:,} searches": ("/hp/", f"document.querySelectorAll('tbody tr').length >= {searches}"),
        f"{trials:,} trials: how far it is": (large, "document.querySelector('#part-state')?.children.length"),
        f"{trials:,} trials: its first figure": (large, "document.querySelector('#part-scatter .main-svg')"),
        f"{trials:,} trials: the answer": (large, "document.querySelector('#part-answer')?.children.length"),
    }
    rows = []
    for name, (path, condition) in wanted.items():
        cold, again = list[float](), list[float]()
        for _ in range(3):
            with server(folder) as at, started() as browser, browser.page() as page:
                page.open(f"{at.url}/healthz")
                page.evaluate(f"fetch({at.enter!r}, {{redirect: 'manual'}}).then(() => 0)")  # logs in, opens no page
                page.send("Page.addScriptToEvaluateOnNewDocument", source=SHOWN % condition)
                for times in (cold, again):
                    page.open(f"{at.url}/healthz")
                    page.send("Network.clearBrowserCache")
                    page.send("Page.navigate", url=at.url + path)
                    page.until(f"location.pathname === {path!r} && window.shown > 0")
                    times.append(page.evaluate("shown"))
        rows.append((name, *(f"{statistics.median(times):,.0f} ms" for times in (cold, again))))
    return markdown(("Chromium, median of 3", "a new browser, a new server", "again, nothing cached"), rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--trials", type=int, default=300, help="of a stage")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--large", type=int, nargs=2, default=(100_000, 1000), metavar=("TRIALS", "SEARCHES"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "load" in options.only:
            print(under_load(Path(folder), options.trials, options.rounds), flush=True)
        if "pages" in options.only:
            print(opened(Path(folder), *options.large), flush=True)
    if "replay" in options.only:
        print(replayed(), flush=True)


if __name__ == "__main__":
    main()
