"""How far one stage goes: trials a second, rows and load, up to 1,000 workers and millions of trials.

``python tests/benchmarks/scale.py`` (extras ``[dask,postgres]`` and a PostgreSQL server's programs) measures and
simulates everything, and prints the tables of ``studies/scale.md``; ``--quick`` does a little of each part.

Workers sleep. The model is of a runner with a core, and a database, for itself: a round takes all that has come back,
writes the points, claims for every free worker, which begin, and records. Each call of the store costs a constant, a
share for each trial in it, and a share for each trial under way. Heartbeats are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import heapq
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import NormalDist, mean, median
from typing import Any, ClassVar, NamedTuple, TypeAlias, cast

import numpy as np
from big_stage import fill, new_stage
from measuring import load, markdown
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.engine import Connection

from hpsearch.executors.base import FLUSH_S, Batch, Done, Evaluates, Event, Executor, Progress
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.records import CURVES, SECONDS, VALIDATION_LOSS, Completed, Outcome, Paused, Report, Trial
from hpsearch.search.runner import Runner, Tick
from hpsearch.store import Owner, Store, open_store
from hpsearch.store import schema as tables

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from bounded import until
from clusters import cluster
from postgres import Server, served

KINDS = ("sqlite", "postgresql")
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "on"}  # of PostgreSQL, which is durable
SIZES = ((1, 1), (10, 4), (100, 1), (100, 32), (1000, 1), (1000, 100))  # batches under way, back at a time
WORKERS = (1, 4, 16, 64, 256, 1000)
LASTING = (1.0, 10.0, 60.0, 600.0)  # medians of the simulated batches' seconds
LANES = 4  # trials to a batch
SPREAD = 0.5  # standard deviation of the logarithm of a batch's seconds
CALLS = ("claim", "record", "counts", "report")
GOLDEN = 0.6180339887498949
FOREVER = 10**9


@dataclass(frozen=True, slots=True)
class Work:
    """The work of every trial of a stage. It is an objective too, whose workers sleep."""

    seconds: float  # median of a batch's seconds
    epochs: int = 10  # points of each trial's curve

    def duration(self, number: int) -> float:
        """Seconds of the batch that begins with a trial, log-normal around `seconds`."""
        # Multiples of the golden ratio spread evenly: few batches have the mean of many, with the same spread.
        share = (0.5 + (number // LANES) * GOLDEN) % 1.0
        return self.seconds * math.exp(SPREAD * NormalDist().inv_cdf(min(max(share, 1e-4), 1 - 1e-4)))

    @property
    def mean(self) -> float:
        """Mean of a batch's seconds."""
        return self.seconds * math.exp(SPREAD**2 / 2)

    def flushes(self, duration: float) -> list[tuple[float, int]]:
        """Seconds at which points of curves leave a worker, at most every `FLUSH_S`, and up to which epoch."""
        flushed, last = [], 0.0
        for epoch in range(1, self.epochs + 1):
            at = duration * epoch / self.epochs
            if at - last >= FLUSH_S:
                flushed.append((at, epoch))
                last = at
        return flushed

    def outcome(self, number: int) -> Completed:
        """A trial's outcome, with the attributes of a network's trial of so many epochs, hits aside."""
        share = (number * GOLDEN) % 1.0
        curve = tuple(share * step / self.epochs for step in range(1, self.epochs + 1))
        others = {name: list(curve) for name in ("train_loss", "validation_loss", "train_accuracy")}
        return Completed(number, curve[-1], curve, {CURVES: others, SECONDS: 4.125, VALIDATION_LOSS: 1 - share})

    independent: ClassVar[bool] = False

    def lanes(self, trial: Trial | None = None) -> int:
        return LANES

    def structures(self) -> int:
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return [list(trials)] if trials else []

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Sleep as long as the batch takes, epoch by epoch."""
        began, whole = time.monotonic(), self.duration(trials[0].number)
        outcomes = [self.outcome(trial.number) for trial in trials]
        for step in range(1, self.epochs + 1):
            time.sleep(max(0.0, began + whole * step / self.epochs - time.monotonic()))
            yield [Report(one.number, step, one.intermediate[step - 1]) for one in outcomes]
        yield outcomes


class Slots:
    """An executor without workers: batches are under way because a clock says so, and are done when it does.

    Args:
        work: How long each takes, and what comes of it.
        slots: How many are under way at a time.
        together: So many events come back at a time, by a clock that passes only where somebody waits for it: the
            runner is never idle. None: go by the real clock, and sleep while nothing is due.
    """

    def __init__(self, work: Work, slots: int, *, together: int | None) -> None:
        self.slots, self.free = slots, slots
        self._work, self._together, self._now = work, together, 0.0
        self._due: list[tuple[float, int, Batch, range]] = []  # time, a tie's order, batch, epochs (none: it is done)
        self._order = count()

    def load(self, objective: Evaluates) -> None: ...

    def expect(self, batches: int) -> None: ...

    def quarantine(self, worker: str) -> bool:
        return False

    def close(self, *, kill: bool = False) -> None: ...

    def submit(self, batch: Batch) -> None:
        self.free -= 1
        began, whole, before = self._clock(), self._work.duration(batch.trials[0].number), 0
        for at, epoch in self._work.flushes(whole):
            heapq.heappush(self._due, (began + at, next(self._order), batch, range(before + 1, epoch + 1)))
            before = epoch
        heapq.heappush(self._due, (began + whole, next(self._order), batch, range(0)))

    def wait(self, timeout: float) -> list[Event]:
        events: list[Event] = []
        if self._together is None and self._due:
            time.sleep(max(0.0, min(timeout, self._due[0][0] - self._clock())))
        elif timeout == 0:  # whoever stops takes what is there, not what is to come
            return []
        now = self._clock()
        while self._due and (self._due[0][0] <= now if self._together is None else len(events) < self._together):
            at, _, batch, steps = heapq.heappop(self._due)
            self._now = max(self._now, at)
            self.free += not steps
            reports = (Report(trial.number, step, 0.5) for trial in batch.trials for step in steps)
            outcomes = (self._work.outcome(trial.number) for trial in batch.trials)
            events.append(Progress(tuple(reports)) if steps else Done(batch, tuple(outcomes)))
        return events

    def _clock(self) -> float:
        return time.monotonic() if self._together is None else self._now


class Call(NamedTuple):
    """A call of the store."""

    method: str
    items: int  # of how many trials (points of curves, for ``report``)
    wall: float  # seconds until it was done
    cpu: float  # CPU seconds of this process and of the database's; the rest is waiting, for a disk or a core


class Timed:
    """A store whose calls are noted; ``server`` is the process of PostgreSQL that serves it, if there is one."""

    def __init__(self, store: Store) -> None:
        self.store, self.calls, self.server = store, list[Call](), 0
        if store.database.dialect == "postgresql":
            with store.database.engine.connect() as connection:  # the pool has one connection, which everybody gets
                self.server = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)
        if name not in CALLS:
            return method

        def timed(*args: Any, **named: Any) -> Any:
            began, cpu = time.perf_counter(), self._cpu()
            given = method(*args, **named)
            wall, cpu = time.perf_counter() - began, self._cpu() - cpu
            items = len(given.trials) if name == "claim" else 1 if name == "counts" else len(args[1])
            self.calls.append(Call(name, items, wall, cpu))
            return given

        return timed

    def _cpu(self) -> float:
        # Of this thread: an engine's own threads, Dask's say, are no part of the store's work.
        return time.thread_time() + cpu_seconds(self.server)


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process so far, all its threads together; 0 without a process."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir() if pid else ():
        with contextlib.suppress(OSError):  # a thread that has just ended
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a run in which all slots are taken."""

    slots: int  # batches under way
    trials: int  # trials recorded
    seconds: float  # how long it was
    cpu: Mapping[str, float]  # CPU seconds of the processes: runner, database, scheduler
    calls: Sequence[Call]  # of the store

    @property
    def rate_cpu(self) -> float:
        """Trials a second of a machine that has nothing else to do: of CPU seconds, not of the clock's."""
        return self.trials / (self.cpu["runner"] + self.cpu["database"])

    @property
    def stretch(self) -> float:
        """How many times longer the store's calls took than their CPU seconds, as others used the cores too."""
        return sum(call.wall for call in self.calls) / max(sum(call.cpu for call in self.calls), 1e-9)

    @property
    def engine(self) -> float:
        """CPU seconds a batch of the runner's process outside of the store."""
        inside = sum(call.cpu for call in self.calls) - self.cpu["database"]
        return max(self.cpu["runner"] - inside, 0.0) * LANES / self.trials

    def of(self, method: str) -> tuple[float, float]:
        """Mean number of items and mean CPU seconds of the calls of a method; NaN where there was none."""
        calls = [call for call in self.calls if call.method == method]
        return (mean(c.items for c in calls), mean(c.cpu for c in calls)) if calls else (math.nan, math.nan)


def measured(
    url: str, work: Work, executor: Executor, *, seconds: float, warm_up: float = 0.0, scheduler: int = 0
) -> Run:
    """Run a stage in an empty database for so long after its first recorded batch and `warm_up` seconds.

    Args:
        url: The database.
        work: The objective.
        executor: Where it runs.
        seconds: How long.
        warm_up: Seconds that are not counted.
        scheduler: Another process whose CPU seconds are told.
    """
    log: list[tuple[float, int, tuple[float, ...], int]] = []  # by the clock, trials, CPU seconds, calls so far
    with contextlib.closing(open_store(url, create=True, write=True)) as store:
        timed = Timed(store)

        def tick(tick: Tick) -> None:
            if tick.recorded:
                cpu = (time.process_time(), cpu_seconds(timed.server), cpu_seconds(scheduler))
                trials = len(tick.recorded) + (log[-1][1] if log else 0)
                log.append((time.perf_counter(), trials, cpu, len(timed.calls)))

        def over() -> bool:
            return len(log) > 2 and log[-1][0] - log[0][0] >= warm_up + seconds

        watched = cast("Store", timed)
        stage = store.create_stage(new_stage())
        Runner(watched, stage, work, executor, until=FOREVER, lanes=LANES, on_tick=tick, stopping=over).run()
    before = [moment for moment in log if moment[0] <= log[0][0] + warm_up][-1]
    end = log[-1]
    cpu = dict(zip(("runner", "database", "scheduler"), np.subtract(end[2], before[2]).tolist(), strict=True))
    return Run(executor.slots, end[1] - before[1], end[0] - before[0], cpu, timed.calls[before[3] : end[3]])


Costs: TypeAlias = dict[str, NDArray[np.float64]]
"""Seconds by method of the store, and of what is outside of it by batch (``engine``): a constant, for each item in the
call, and for each trial under way."""


def fit(samples: Sequence[tuple[float, float, float]]) -> NDArray[np.float64]:
    """The cost that comes closest to measured calls, in relative terms.

    Args:
        samples: Items in the call, trials under way, and its seconds.
    """
    cost = np.zeros(3)
    used = [0, 1, 2] if len(samples) > 2 else [0] if samples else []
    while used:  # a negative cost is no cost: without it
        columns = np.array([[1 / s, items / s, under_way / s] for items, under_way, s in samples])
        part, *_ = np.linalg.lstsq(columns[:, used], np.ones(len(samples)), rcond=None)
        if (part >= 0).all():
            cost[used] = part
            break
        used.remove(used[int(np.argmin(part))])
    return cost


def costs(runs: Sequence[Run]) -> Costs:
    """Costs in CPU seconds, from runs of several sizes."""
    found: Costs = {}
    for method in CALLS:
        calls = [(run.of(method), run.slots * LANES) for run in runs]
        found[method] = fit([(items, under_way, cpu) for (items, cpu), under_way in calls if items > 0])
    # The median: a heartbeat of all trials under way, one in ten seconds, falls into some of the stretches.
    return {**found, "engine": np.array([0.0, median(run.engine for run in runs), 0.0])}


def simulate(work: Work, slots: int, of: Costs, *, batches: int) -> tuple[float, float]:
    """One runner and so many workers, until so many batches are recorded; the first fifth of the time is left out.

    Args:
        work: What each batch takes.
        slots: Workers; each has one batch at a time.
        of: What the runner's rounds cost.
        batches: How many.

    Returns:
        Trials a second, and the share of the workers' time in which they train.
    """
    due: list[tuple[float, int, int]] = []  # time, batch, points that leave then; 0: it is done
    number, now, recorded = 0, 0.0, 0
    log: list[tuple[float, int]] = []

    def begin(at: float) -> None:
        nonlocal number
        whole, before = work.duration(number * LANES), 0
        for later, epoch in work.flushes(whole):
            heapq.heappush(due, (at + later, number, (epoch - before) * LANES))
            before = epoch
        heapq.heappush(due, (at + whole, number, 0))
        number += 1

    def cost(method: str, items: float) -> float:
        return float(of[method] @ (1.0, items, slots * LANES))

    for _ in range(slots):
        begin(now)
    while recorded < batches:
        now = max(now, due[0][0])
        points = done = 0
        while due and due[0][0] <= now:
            came = heapq.heappop(due)[2]
            points, done = points + came, done + (came == 0)
        if points:
            now += cost("report", points)
        if done:
            now += cost("claim", done * LANES) + cost("engine", done)
            for _ in range(done):
                begin(now)
            now += cost("record", done * LANES) + cost("counts", 1)
        recorded += done
        log.append((now, recorded))
    began, before = next(entry for entry in log if entry[0] >= now / 5)
    rate = (recorded - before) * LANES / (now - began) if now > began else math.nan
    return rate, min(rate * work.mean / (LANES * slots), 1.0)


@dataclass
class Scale:
    """Where measurements are made, and the costs that the first part has found."""

    folder: Path
    server: Server | None
    kinds: list[str]  # of databases
    sizes: list[int]  # trials of the stages that grow
    quick: bool
    costs: dict[str, Costs] = field(default_factory=dict)

    @contextlib.contextmanager
    def database(self, kind: str, what: str) -> Iterator[str]:
        """The URL of an empty study database, which is gone after the block."""
        if kind == "postgresql":
            assert self.server is not None
            url = self.server.database()
            yield url
            self.server.drop(url)
        else:
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                yield f"sqlite:///{folder}/scale.db"
        print(f"{what}, {kind}", file=sys.stderr, flush=True)

    def runner(self) -> str:
        """The cost of the runner's calls, by how many batches are under way and how many come back together."""
        rows, quick = [], self.quick
        for kind in self.kinds:
            runs = []
            cases = [(Work(0.5), slots, together) for slots, together in SIZES[: 4 if quick else None]]
            for work, slots, together in [*cases, (Work(30.0), 16, 4)]:  # the last one reports its curves
                with self.database(kind, f"runner: {slots} batches under way, {together} back at a time") as url:
                    executor = Slots(work, slots, together=together)
                    run = measured(url, work, executor, seconds=0.3 if quick else 2.0)
                each = [seconds(run.of(method)[1]) for method in CALLS]
                rows.append((kind, str(slots), str(together), *each, f"{run.rate_cpu:,.0f}", f"{run.stretch:.1f}"))
                runs.append(run)
            self.costs[kind] = costs(runs)
        return markdown(("database", "under way", "back at a time", *CALLS, "trials a CPU s", "x"), rows)

    def clock(self) -> str:
        """Trials a second of batches that take two seconds each, on slots that cost nothing, by the real clock."""
        rows, quick = [], self.quick
        for kind in self.kinds:
            for slots in WORKERS[: 3 if quick else None]:
                work = Work(0.2 if quick else 2.0)
                with self.database(kind, f"clock: {slots} workers") as url:
                    executor = Slots(work, slots, together=None)
                    run = measured(url, work, executor, seconds=0.5 if quick else 6.0, warm_up=2 * work.mean)
                model = "-"
                if kind in self.costs:  # had every call taken as much longer than its CPU seconds as in that run
                    stretched = {name: cost * run.stretch for name, cost in self.costs[kind].items()}
                    model = f"{simulate(work, slots, stretched, batches=max(200, 4 * slots))[0]:.3g}"
                rows.append((kind, *throughput(run, work), model, f"{run.stretch:.1f}"))
        return markdown(("database", *THROUGHPUT, "model", "a call, x its CPU time"), rows)

    def dask(self) -> str:
        """The same with a Dask scheduler and workers that sleep, in two processes."""
        rows, quick = [], self.quick
        for workers in (4,) if quick else WORKERS:
            work, processes = Work(0.5 if quick else 2.0), min(2, workers)
            with (
                self.database("sqlite", f"dask: {workers} workers") as url,
                cluster(processes, threads=-(-workers // processes)) as made,
            ):
                until(made.ready, what="the workers of Dask")
                executor = DaskExecutor(made.address)
                length = 1.0 if quick else 8.0
                scheduler = made.process.pid or 0
                run = measured(url, work, executor, seconds=length, warm_up=2 * work.mean, scheduler=scheduler)
                executor.close(kill=True)
            each = (run.cpu[name] * LANES / run.trials for name in ("runner", "scheduler"))
            rows.append((*throughput(run, work), *map(seconds, each), f"{run.cpu['scheduler'] / run.seconds:.0%}"))
        return markdown((*THROUGHPUT, "runner, CPU a batch", "scheduler, CPU a batch", "scheduler, of a core"), rows)

    def growth(self) -> str:
        """The store's times when a stage has many trials of two epochs: ten rows each."""
        printed = []
        sizes = [1_000, 10_000] if self.quick else self.sizes
        for kind in self.kinds:
            columns = []
            for trials in sizes:
                with self.database(kind, f"growth: {trials:,} trials") as url:
                    columns.append(grow(url, trials, rounds=1 if self.quick else 2))
            rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
            printed.append(markdown((kind, *(f"{trials:,}" for trials in sizes)), rows))
        return "\n".join(printed)

    def model(self) -> str:
        """What the model says of workers and batches that were not measured: trials a second, workers busy."""
        rows = []
        for kind, of in self.costs.items():
            for slots in WORKERS:
                batches = max(300 if self.quick else 3000, 4 * slots)
                each = [simulate(Work(middle), slots, of, batches=batches) for middle in LASTING]
                rows.append((kind, str(slots), *(f"{rate:.3g} ({busy:.0%})" for rate, busy in each)))
        return markdown(("database", "workers", *(f"{middle:.0f} s" for middle in LASTING)), rows)


PARTS = {part.__name__: part for part in (Scale.runner, Scale.clock, Scale.dask, Scale.growth, Scale.model)}
THROUGHPUT = ("workers", "trials/s", "workers busy")


def throughput(run: Run, work: Work) -> tuple[str, str, str]:
    """How many trials a second, and the share of the workers' time in which they train."""
    rate = run.trials / run.seconds
    return str(run.slots), f"{rate:.3g}", f"{min(rate * work.mean / (LANES * run.slots), 1):.0%}"


def grow(url: str, trials: int, *, rounds: int) -> dict[str, str]:
    """Make a stage of finished trials in an empty database, and time the store: a column of the table."""
    began = time.perf_counter()
    with contextlib.closing(open_store(url, create=True, write=True)) as store:
        have = min(trials, 1000)
        fill(store, store.create_stage(new_stage()), have, 2, curves=True)
        engine = store.database.engine
        postgres = engine.dialect.name == "postgresql"
        while have < trials:
            more = min(have, trials - have)
            with engine.begin() as connection:
                double(connection, have, more)
            have += more
        made = time.perf_counter() - began
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if postgres:
                connection.execute(text("SELECT setval('trials_trial_id_seq', (SELECT max(trial_id) FROM trials))"))
            connection.execute(text("VACUUM ANALYZE" if postgres else "ANALYZE"))
            pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            size = connection.execute(text("SELECT pg_database_size(current_database())" if postgres else pages))
            bytes_ = f"{size.scalar_one() / trials:,.0f}"
    times = {name: seconds(took) for name, took in timings(url, rounds=rounds).items()}
    return {**times, "bytes a trial": bytes_, "made in": seconds(made)}


def double(connection: Connection, have: int, more: int) -> None:
    """Copy the first ``more`` of ``have`` trials of the only stage; their ids are their numbers and 1."""
    if connection.dialect.name == "postgresql":  # the rows refer to each other as they should
        connection.execute(text("SET LOCAL session_replication_role = replica"))
    for table in tables.metadata.sorted_tables:
        if "trial_id" not in table.columns:
            continue
        kept = [c.name for c in table.columns if c.name != "trial_id" and not c.primary_key]
        shifted = ["trial_id + :have", *(f"{name} + :have" if name == "number" else name for name in kept)]
        connection.execute(
            text(
                f"INSERT INTO {table.name} (trial_id, {', '.join(kept)}) SELECT {', '.join(shifted)} "
                f"FROM {table.name} WHERE trial_id <= :more ORDER BY trial_id"
            ),
            {"have": have, "more": more},
        )


def timings(url: str, *, rounds: int) -> dict[str, float]:
    """Seconds that calls of a stage's store take, with 1,000 trials under way; the least of ``rounds``."""
    found: dict[str, float] = {}

    def timed(name: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        given = call(*arguments, **named)
        found[name] = min(found.get(name, math.inf), time.perf_counter() - began)
        return given

    owner = Owner.current()
    for _ in range(rounds):  # each in a store that was just opened
        store: Store = timed("open", open_store, url, write=True)
        (stage,) = store.stages()
        timed("first counts", store.counts, stage)
        store.claim(stage, until=FOREVER, most=1000, owner=owner)
        claimed = timed("claim 32", store.claim, stage, until=FOREVER, most=32, owner=owner).trials
        ids = {trial.number: trial.trial_id for trial in claimed}
        outcomes = [Work(1.0, epochs=2).outcome(number) for number in ids]
        timed("record 32", store.record, stage, outcomes, ids, owner=owner)
        timed("counts", store.counts, stage)
        timed("dead runners", store.release_dead, stage, me=owner)
        timed("latest 5", store.latest, stage, 5)
        timed("who finished", store.finishers, stage, among=10_000)
        timed("top 5", store.columns, stage, top=5)
        timed("narrow", store.scores, stage, ranked=lambda trials: math.ceil(trials / 4))
        timed("release", store.release, stage, owner=owner)
        store.close()
    return found


def seconds(value: float) -> str:
    """Seconds for people: ``3.2 ms``, ``0.41 s``, ``12 s``; ``-`` for NaN."""
    if math.isnan(value):
        return "-"
    if value < 0.1:
        return f"{1e3 * value:.2g} ms"
    return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"


def main() -> None:
    """Measure, simulate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a little of each part, in less than a minute")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="the model needs the runner")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--trials", nargs="+", type=int, default=[10_000, 100_000, 1_000_000], help="of part growth")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        postgres = "postgresql" in options.databases
        server = stack.enter_context(served(sys.exit, durable=True, **SETTINGS)) if postgres else None
        scale = Scale(Path(folder), server, options.databases, options.trials, options.quick)
        for name in options.only:
            print(f"## {name}\n\n{PARTS[name](scale)}\nload {load():.1f}\n", flush=True)


if __name__ == "__main__":
    main()
