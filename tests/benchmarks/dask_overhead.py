"""What Dask costs a batch, beside the pool: ``python tests/benchmarks/dask_overhead.py`` prints Markdown tables.

Two objectives that train nothing. One returns at once, so that what is left is the way there and back. One sleeps for a
known time and so takes no core from the other processes: what its batches take beyond that is what workers idled.
The rounds of all engines are interleaved, each round submits whenever there is room, and medians are given with the
lowest and the highest round. Starting the workers is not counted; it is given by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from measuring import load, machine, machine_table, markdown

from hpsearch.executors.base import Batch, Done, Executor, Lost
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Completed, Outcome, Paused, Report, Trial

SLEEP_S = 0.05


@dataclass(frozen=True)
class Sleeps:
    """Sleeps, then scores a trial by its number. It gives its process, so that one can be killed."""

    seconds: float = 0.0

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        if self.seconds:
            time.sleep(self.seconds)
        yield [Completed(trial.number, trial.number / 8, (), {"pid": os.getpid()}) for trial in trials]


def drive(
    executor: Executor, objective: Sleeps, batches: int, *, kill_at: int | None = None
) -> tuple[float, list[float]]:
    """Seconds that so many batches of one trial take, and their scores in order.

    Args:
        executor: Where.
        objective: What evaluates them.
        batches: How many.
        kill_at: After so many, kill the worker that the last one came from: it has the next one by then.
    """
    waiting = [Batch(key, (Trial(key, key, {}),)) for key in range(batches)]
    scores: dict[int, float] = {}
    began = time.perf_counter()
    while len(scores) < batches:
        while waiting and executor.free:
            executor.submit(waiting.pop(0))
        for event in executor.wait(1.0):
            if isinstance(event, Lost):  # what the runner does; Dask does it by itself
                waiting.insert(0, event.batch)
            if isinstance(event, Done):
                (outcome,) = event.outcomes
                assert isinstance(outcome, Completed)
                scores[event.batch.key] = outcome.score
                if len(scores) == kill_at:
                    kill_at = None
                    while waiting and executor.free:
                        executor.submit(waiting.pop(0))
                    os.kill(outcome.attributes["pid"], signal.SIGKILL)
    return time.perf_counter() - began, [scores[key] for key in range(batches)]


def started(engine: str, workers: int) -> tuple[Executor, float]:
    """An executor all of whose workers have evaluated something, and how long that took."""
    began = time.perf_counter()
    executor: Executor = PoolExecutor(workers) if engine == "pool" else DaskExecutor(jobs=workers)
    executor.load(Sleeps(SLEEP_S))
    seen: set[int] = set()
    key = 0
    while len(seen) < workers:
        while executor.free:
            executor.submit(Batch(key, (Trial(key, key, {}),)))
            key += 1
        seen |= {o.attributes["pid"] for e in executor.wait(1.0) if isinstance(e, Done) for o in e.outcomes}
    took = time.perf_counter() - began
    while executor.free < executor.slots:
        executor.wait(1.0)
    return executor, took


def spread(values: Sequence[float]) -> str:
    """Median and extremes, in milliseconds."""
    return f"{1e3 * median(values):.1f} ({1e3 * min(values):.1f} .. {1e3 * max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=100, help="of a round that returns at once")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    before = load()
    engines = ("pool", "dask")
    samples: dict[str, list[float]] = {}
    rows = []
    for workers in options.workers:
        made = {engine: started(engine, workers) for engine in engines}
        for _ in range(options.rounds):
            for engine in engines:
                executor = made[engine][0]
                executor.load(Sleeps())
                took, _ = drive(executor, Sleeps(), options.batches)
                samples.setdefault(f"{engine} {workers} at once", []).append(took / options.batches)
                executor.load(Sleeps(SLEEP_S))
                slept = 10 * workers
                took, _ = drive(executor, Sleeps(SLEEP_S), slept)
                samples.setdefault(f"{engine} {workers} sleeps", []).append(took * workers / slept - SLEEP_S)
        for engine in engines:
            made[engine][0].close()
            at_once, sleeps = samples[f"{engine} {workers} at once"], samples[f"{engine} {workers} sleeps"]
            rows.append([engine, str(workers), f"{made[engine][1]:.1f}", spread(at_once), spread(sleeps)])
    print(
        markdown(
            ("engine", "workers", "start, s", "returns at once: ms a batch", f"sleeps {SLEEP_S} s: ms idle a batch"),
            rows,
        )
    )
    killed = []
    for engine in engines:
        executor, _ = started(engine, 2)
        executor.load(Sleeps(SLEEP_S))
        plain, expected = drive(executor, Sleeps(SLEEP_S), 60)
        hurt, scores = drive(executor, Sleeps(SLEEP_S), 60, kill_at=20)
        executor.close()
        assert scores == expected
        samples[f"{engine} killed"] = [plain, hurt]
        killed.append([engine, f"{plain:.2f}", f"{hurt:.2f}", "the same"])
    print(markdown(("engine", "60 batches, 2 workers, s", "a worker killed at the 20th, s", "scores"), killed))
    print(machine_table({**machine(), "load before and after": f"{before:.1f}, {load():.1f}"}))
    if options.json is not None:
        options.json.write_text(json.dumps(samples, indent=1))


if __name__ == "__main__":
    main()
