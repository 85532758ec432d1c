"""What Dask costs a batch, beside the pool: ``python tests/benchmarks/dask_overhead.py`` prints Markdown tables.

Two objectives that train nothing. One returns at once, so that what is left is the way there and back. One sleeps for a
known time and so takes no core from the other processes: what its batches take beyond that is what workers idled.
The rounds of all engines are interleaved, each round submits whenever there is room, and medians are given with the
lowest and the highest round. Starting the workers is not counted; it is given by itself.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from measuring import load, machine, machine_table, markdown, spread

from hpsearch.executors.base import Batch, Done, Executor, Lost
from hpsearch.executors.dask.executor import DaskExecutor
from hpsearch.executors.pool import PoolExecutor
from hpsearch.records import Completed, Outcome, Paused, Report, Trial

SLEEP_S = 0.05
ENGINES = ("pool", "dask")


@dataclass(frozen=True)
class Sleeps:
    """Sleeps, then scores a trial by its number. It gives its process, so that one can be killed."""

    seconds: float = 0.0

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        time.sleep(self.seconds)
        yield [Completed(trial.number, trial.number / 8, (), {"pid": os.getpid()}) for trial in trials]


def drive(executor: Executor, batches: int, *, kill_at: int | None = None) -> tuple[float, dict[int, Completed]]:
    """Seconds that so many batches of one trial take, and their outcomes.

    After ``kill_at`` of them the worker that the last one came from is killed: it has the next one by then.
    """
    waiting = [Batch(key, (Trial(key, key, {}),)) for key in range(batches)]
    outcomes: dict[int, Completed] = {}

    def submit() -> None:
        while waiting and executor.free:
            executor.submit(waiting.pop(0))

    began = time.perf_counter()
    while len(outcomes) < batches:
        submit()
        for event in executor.wait(1.0):
            if isinstance(event, Lost):  # what the runner does; Dask does it by itself
                waiting.insert(0, event.batch)
            if isinstance(event, Done):
                (outcome,) = event.outcomes
                assert isinstance(outcome, Completed)
                outcomes[event.batch.key] = outcome
                if len(outcomes) == kill_at:
                    submit()
                    os.kill(outcome.attributes["pid"], signal.SIGKILL)
    return time.perf_counter() - began, outcomes


def started(engine: str, workers: int) -> tuple[Executor, float]:
    """An executor all of whose workers have evaluated something, and how long that took."""
    began = time.perf_counter()
    executor: Executor = PoolExecutor(workers) if engine == "pool" else DaskExecutor(jobs=workers)
    executor.load(Sleeps(SLEEP_S))
    seen: set[int] = set()
    while len(seen) < workers:
        _, outcomes = drive(executor, workers)
        seen |= {outcome.attributes["pid"] for outcome in outcomes.values()}
    return executor, time.perf_counter() - began


def milliseconds(values: Sequence[float]) -> str:
    """Median and extremes."""
    of = spread(values)
    return f"{1e3 * of.value:.1f} ({1e3 * of.low:.1f} .. {1e3 * of.high:.1f})"


def main() -> None:
    """Measure both engines, then each with a worker that is killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=100, help="of a round that returns at once")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    before, rows, killed = load(), [], []
    for workers in options.workers:
        made = {engine: started(engine, workers) for engine in ENGINES}
        at_once: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        idle: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        for _ in range(options.rounds):
            for engine, (executor, _) in made.items():
                executor.load(Sleeps())
                at_once[engine].append(drive(executor, options.batches)[0] / options.batches)
                executor.load(Sleeps(SLEEP_S))
                idle[engine].append(drive(executor, 10 * workers)[0] / 10 - SLEEP_S)
        for engine, (executor, took) in made.items():
            executor.close()
            cells = (milliseconds(at_once[engine]), milliseconds(idle[engine]))
            rows.append((engine, str(workers), f"{took:.1f}", *cells))
    heading = ("engine", "workers", "start, s", "returns at once: ms a batch", f"sleeps {SLEEP_S} s: ms idle a batch")
    print(markdown(heading, rows))
    for engine in ENGINES:
        executor, _ = started(engine, 2)
        plain, expected = drive(executor, 60)
        hurt, outcomes = drive(executor, 60, kill_at=20)
        executor.close()
        assert [outcomes[key].score for key in range(60)] == [expected[key].score for key in range(60)]
        killed.append((engine, f"{plain:.2f}", f"{hurt:.2f}", "the same"))
    print(markdown(("engine", "60 batches, 2 workers, s", "a worker killed at the 20th, s", "scores"), killed))
    print(machine_table(machine(**{"load before and after": f"{before:.1f}, {load():.1f}"})))


if __name__ == "__main__":
    main()
