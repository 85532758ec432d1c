"""Services, jobs and machines that are killed at a random moment, and what that costs, as a Markdown table.

``python tests/benchmarks/service_faults.py --count 20`` hands in a stage of 100 small networks as a job, kills
something, starts what is missing again, and compares all trials with an undisturbed run's, to the bit. ``database``
needs PostgreSQL, which is killed and started again. ``machine`` needs root too: a second machine, with a network,
processes and a name of its own, has the job when its cable is pulled and it is killed; the first one goes on once the
leases have run out, after two minutes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import tiny
from faulty import search
from job_processes import running_here
from measuring import markdown
from postgres import Server, served

from hpsearch.records import Action, Job
from hpsearch.service.database import open_service
from hpsearch.service.jobs import Queue
from hpsearch.store import open_store
from hpsearch.store.leases import Owner

TRIALS = 100
LIMIT_S = 300.0
START = Action("start", {"search": "tiny", "stage": 1, "trials": TRIALS, "jobs": 2, "lanes": 4})
HEADING = (
    "killed",
    "count",
    "losses",
    "repeated",
    "differing",
    "running left",
    "attempts, at most",
    "seconds until done",
)
NETWORK = "10.203.17"  # of the cable to the second machine


@dataclass(frozen=True)
class Result:
    """The cost of a fault."""

    losses: int  # trials that had finished before it and are missing, or were finished again
    repeated: int  # rows that are there more than once
    differing: int  # trials that differ from an undisturbed run's
    running_left: int
    attempts: int
    seconds: float  # from the fault to the end of the job


class Place:
    """A folder with a study file, a database, and services over it."""

    def __init__(self, storage: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hpsearch-service-"))
        (self.folder / "studies").mkdir()
        tiny.write(self.folder / "studies", trials={"count": TRIALS})
        self.storage = storage or str(self.folder / "studies" / "my.db")
        self.url = self.storage if storage else f"sqlite:///{self.storage}"
        open_store(self.storage, create=True).close()
        self._database = open_service(self.storage)
        self.queue = Queue(self._database)
        self._services: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """End what still runs, and remove the folder."""
        for service in self._services:
            service.kill()
            service.wait()
        for owner in running_here(self.queue):
            os.killpg(owner.pid, signal.SIGKILL)
        self._database.close()
        shutil.rmtree(self.folder)

    def serve(self, *words: str, before: Sequence[str] = (), storage: str | None = None) -> subprocess.Popen[bytes]:
        """Start a service, or a worker."""
        with (self.folder / "log").open("ab") as log:
            service = subprocess.Popen(
                [*before, sys.executable, "-m", "hpsearch", "serve", *words],
                cwd=self.folder,
                env={**os.environ, "HPSEARCH_STORAGE": storage or self.storage},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._services.append(service)
        return service

    def submit(self) -> int:
        """Hand the stage in; the job's id."""
        return self.queue.submit([START], by="benchmark").id

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until it comes to that."""
        end = time.monotonic() + LIMIT_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError((self.folder / "log").read_text()[-3000:])
            time.sleep(0.01)

    def done(self, id: int) -> Job:
        """Wait for the end of the job."""
        self.wait(lambda: self.queue.job(id).ended is not None)
        job = self.queue.job(id)
        assert job.state == "done", (job, self.queue.log(id))
        return job

    def runner(self) -> list[Owner]:
        """The process that runs the job, as soon as it has it."""
        return [owner for owner in running_here(self.queue) if owner.pid not in {s.pid for s in self._services}]


def kill_service(place: Place, service: subprocess.Popen[bytes]) -> None:
    service.kill()


def end_service(place: Place, service: subprocess.Popen[bytes]) -> None:
    service.send_signal(signal.SIGTERM)


def kill_job(place: Place, service: subprocess.Popen[bytes]) -> None:
    for owner in place.runner():
        os.kill(owner.pid, signal.SIGKILL)


def kill_everything(place: Place, service: subprocess.Popen[bytes]) -> None:
    """As when the power fails: the service, the job, and its workers."""
    owners = place.runner()
    service.kill()
    for owner in owners:
        os.killpg(owner.pid, signal.SIGKILL)


KINDS: dict[str, tuple[str, Callable[[Place, subprocess.Popen[bytes]], None]]] = {
    "service": ("the service, kill -9", kill_service),
    "ended": ("the service, SIGTERM", end_service),
    "job": ("the job, kill -9", kill_job),
    "power": ("service, job and workers, kill -9", kill_everything),
}

ON_POSTGRES = {"database": "PostgreSQL", "machine": "a second machine: cable, then kill -9"}


def suffer(kind: str, seed: int, rows: search.Rows, seconds: float, server: Server | None) -> Result:
    """Let a fault of a kind happen at a moment that the seed decides, on the server or on SQLite."""
    with closing(Place(None if server is None else server.empty())) as place:
        service = place.serve("--port", "0")
        job = place.submit()
        place.wait(lambda: bool(place.runner()))
        time.sleep(random.Random(seed).uniform(0, seconds))
        before, began = finished(place), time.monotonic()
        if kind == "database":
            assert server is not None
            server.kill()
            time.sleep(random.Random(seed).uniform(0, 5))
            server.start()
        else:
            KINDS[kind][1](place, service)
        if kind in ("service", "ended", "power"):
            service.wait()
            place.serve("--port", "0")
        return judged(place, place.done(job), before, rows, time.monotonic() - began)


def finished(place: Place) -> dict[int, object]:
    """When each finished trial ended."""
    return search.read(place.url).finished_at


def judged(place: Place, job: Job, before: dict[int, object], rows: search.Rows, seconds: float) -> Result:
    """Compare what is in the database with what was there before the fault, and with an undisturbed run."""
    found = search.read(place.url)
    losses = sum(found.finished_at.get(number) != when for number, when in before.items())
    differing = sum(found.rows.get(number) != row for number, row in rows.items()) + len(
        found.rows.keys() - rows.keys()
    )
    return Result(losses, found.repeated, differing, found.running, job.attempts, seconds)


@contextmanager
def second_machine(server: Server) -> Iterator[tuple[list[str], str]]:
    """A machine with a network, processes and a name of its own, from which the server is reached by a cable.

    Yields the beginning of a command that runs there, and the address of the server as it is seen from there.
    """
    here, there = f"{NETWORK}.1", f"{NETWORK}.2"
    hosts = server.folder / "data" / "pg_hba.conf"
    hosts.write_text(f"{hosts.read_text()}\nhost all all {NETWORK}.0/24 trust\n")
    commands = [
        "ip netns add hpsearch-2",
        "ip link add hpsearch-a type veth peer name hpsearch-b netns hpsearch-2",
        f"ip addr add {here}/24 dev hpsearch-a",
        "ip link set hpsearch-a up",
        f"ip -n hpsearch-2 addr add {there}/24 dev hpsearch-b",
        "ip -n hpsearch-2 link set hpsearch-b up",
    ]
    for command in commands:
        subprocess.run(command.split(), check=True)
    try:
        server.stop()
        server.start(listen=f"127.0.0.1,{here}")
        named = 'hostname machine-2; exec "$@"'
        space = [
            "ip",
            "netns",
            "exec",
            "hpsearch-2",
            "unshare",
            "--pid",
            "--uts",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ]
        yield [*space, "sh", "-c", named, "sh"], here
    finally:
        subprocess.run(["ip", "netns", "del", "hpsearch-2"], check=True)


def lose_machine(seed: int, rows: search.Rows, seconds: float, server: Server) -> Result:
    """Let a second machine have the job, and lose it."""
    with second_machine(server) as (there, address), closing(Place(server.empty())) as place:
        database = urlsplit(place.storage).path
        there_storage = f"postgresql+psycopg://tests@{address}:{server.port}{database}"
        machine = place.serve("--worker", before=there, storage=there_storage)
        job = place.submit()
        place.wait(lambda: "machine-2" in (place.queue.job(job).owner or ""))
        place.serve("--worker")  # which has nothing to do yet
        moment = random.Random(seed).uniform(0.2, 0.8)
        place.wait(lambda: len(finished(place)) >= moment * TRIALS)
        subprocess.run(["ip", "link", "set", "hpsearch-a", "down"], check=True)
        before, began = finished(place), time.monotonic()
        machine.kill()
        machine.wait()
        return judged(place, place.done(job), before, rows, time.monotonic() - began)


def undisturbed() -> tuple[search.Rows, float]:
    """The trials where nothing happens, and the seconds from a process's having the job to its end."""
    with closing(Place()) as place:
        place.serve("--port", "0")
        job = place.submit()
        place.wait(lambda: bool(place.runner()))
        began = time.monotonic()
        place.done(job)
        return search.read(place.url).rows, time.monotonic() - began


def main() -> int:
    """Make faults happen; returns how many were not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="faults of each kind; one of the last")
    kinds = [*KINDS, *ON_POSTGRES]
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--seed", type=int, default=0, help="of the first fault of each kind")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL, all kinds")
    options = parser.parse_args()
    rows, seconds = undisturbed()
    table, bad = [], 0
    with ExitStack() as stack:
        server = None
        if options.postgres or not ON_POSTGRES.keys().isdisjoint(options.kinds):
            server = stack.enter_context(served(sys.exit))
        for kind in options.kinds:
            results = []
            for seed in range(options.seed, options.seed + (1 if kind == "machine" else options.count)):
                if kind == "machine":
                    assert server is not None
                    result = lose_machine(seed, rows, seconds, server)
                else:
                    result = suffer(
                        kind, seed, rows, seconds, server if options.postgres or kind in ON_POSTGRES else None
                    )
                results.append(result)
                if result.losses or result.repeated or result.differing or result.running_left:
                    bad += 1
                    print(f"--kinds {kind} --seed {seed}: {result}", file=sys.stderr)
                print(f"{kind} {seed}: {result.seconds:.1f} s", file=sys.stderr, flush=True)
            words = KINDS[kind][0] if kind in KINDS else ON_POSTGRES[kind]
            sums = [
                sum(getattr(r, name) for r in results) for name in ("losses", "repeated", "differing", "running_left")
            ]
            most = max(r.attempts for r in results), f"{max(r.seconds for r in results):.1f}"
            table.append(tuple(map(str, (words, len(results), *sums, *most))))
    print(markdown(HEADING, table))
    return min(bad, 100)


if __name__ == "__main__":
    sys.exit(main())
