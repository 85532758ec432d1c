"""How far one stage goes: trials a second, rows, and load, up to 1,000 workers and millions of trials.

``python tests/benchmarks/scale.py`` (extras ``[dask,postgres]`` and a PostgreSQL server's programs) measures and
simulates everything, and prints the tables of ``studies/scale.md``; ``--json FILE`` writes the measurements, and
``--quick`` does a little of each part.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from measuring import load, machine, markdown
from postgres import Server, binaries
from scale_growth import Grown, grow, rows_of_trial
from scale_loop import CALLS, on_dask, on_slots
from scale_model import Costs, Run, Work, costs, new_stage, simulate

KINDS = ("sqlite", "postgresql")
PARTS = ("runner", "clock", "dask", "growth", "model")
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "on"}
"""Of the PostgreSQL server, which is durable: each commit is on the disk."""
SIZES = ((1, 1), (10, 4), (100, 1), (100, 32), (1000, 1), (1000, 100))
"""Batches under way, and how many come back at a time."""
WORKERS = (1, 4, 16, 64, 256, 1000)
LANES, EPOCHS = 4, 2
FOREVER = (1.0, 10.0, 60.0, 600.0)
"""Medians of the simulated batches' seconds."""


@dataclass
class Scale:
    """The measurements: databases to make them on, and what was found so far, by part."""

    folder: Path
    kinds: list[str]
    quick: bool
    sizes: list[int]
    server: Server | None
    found: dict[tuple[str, str], Any] = field(default_factory=dict)
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
        rows = []
        for kind in self.kinds:
            runs = []
            cases = [(Work(0.5, LANES), slots, together) for slots, together in SIZES[: 4 if self.quick else None]]
            for work, slots, together in [*cases, (Work(30.0, LANES), 16, 4)]:  # the last one reports its curves
                with self.database(kind, f"runner: {slots} batches under way, {together} back at a time") as url:
                    run = on_slots(url, work, slots, seconds=0.3 if self.quick else 2.0, together=together)
                calls = [run.calls[name] for name in CALLS]
                each = [seconds(call.cpu / call.times) if call.times else "-" for call in calls]
                rows.append((kind, str(slots), str(together), *each, f"{run.rate_cpu:,.0f}", f"{run.stretch:.1f}"))
                runs.append(run)
            self.costs[kind] = costs(runs)
            self.found["runner", kind] = [asdict(run) for run in runs]
        heading = ("database", "under way", "back at a time", *CALLS, "trials a CPU s", "x")
        return markdown(heading, rows)

    def clock(self) -> str:
        """Trials a second of batches that take two seconds each, on slots that cost nothing, by the real clock."""
        rows = []
        for kind in self.kinds:
            for slots in WORKERS[: 3 if self.quick else None]:
                work = Work(0.2 if self.quick else 2.0, LANES)
                with self.database(kind, f"clock: {slots} workers") as url:
                    run = on_slots(url, work, slots, seconds=0.5 if self.quick else 6.0, together=None)
                self.found.setdefault(("clock", kind), []).append(asdict(run))
                rows.append((kind, *self._served(run, work, kind)))
        return markdown(("database", *SERVED), rows)

    def dask(self) -> str:
        """The same with a Dask scheduler and workers that sleep; CPU milliseconds for a batch."""
        rows = []
        for workers in (4,) if self.quick else WORKERS:
            work = Work(0.5 if self.quick else 2.0, LANES)
            with self.database("sqlite", f"dask: {workers} workers") as url:
                run = on_dask(url, work, workers, seconds=1.0 if self.quick else 8.0)
            self.found.setdefault(("dask", "sqlite"), []).append(asdict(run))
            of_workers = sum(cpu for name, cpu in run.cpu.items() if name.startswith("workers"))
            cpu = (run.cpu["runner"], run.cpu["scheduler"], of_workers)
            cells = [f"{1e3 * part / max(run.trials / run.lanes, 1):.1f} ms" for part in cpu]
            share = f"{run.cpu['scheduler'] / run.seconds:.0%}"
            rows.append((*self._served(run, work, "sqlite", engine=run.other), *cells, share))
        return markdown((*SERVED, "runner/batch", "scheduler/batch", "workers/batch", "scheduler, of a core"), rows)

    def _served(self, run: Run, work: Work, kind: str, *, engine: float | None = None) -> tuple[str, ...]:
        model = "-"
        if (of := self.costs.get(kind)) is not None:
            # Had every call taken as much longer than its CPU seconds as in that run.
            at = Costs(of.claim, of.record, of.counts, of.report, of.engine if engine is None else engine)
            rate = simulate(work, run.slots, at.times(run.stretch), batches=max(200, 4 * run.slots)).rate
            model = f"{rate:.3g}"
        return (str(run.slots), f"{run.rate:.3g}", model, *map(seconds, run.late_s), f"{run.stretch:.1f}")

    def growth(self) -> str:
        """The store's times when a stage has many trials."""
        tables = []
        for kind in self.kinds:
            grown = []
            for trials in [1_000, 10_000] if self.quick else self.sizes:
                with self.database(kind, f"growth: {trials:,} trials") as url:
                    grown.append(grow(url, new_stage(), trials, EPOCHS, rounds=1 if self.quick else 2))
            self.found["growth", kind] = list(map(asdict, grown))
            tables.append(growth_table(kind, grown))
        return "\n".join(tables)

    def model(self) -> str:
        """What the model says of workers and batches that were not measured: trials a second, workers busy."""
        rows = []
        for kind, of in self.costs.items():
            for slots in WORKERS:
                works = [Work(median, LANES, 10) for median in FOREVER]
                batches = max(300 if self.quick else 3000, 4 * slots)
                said = [simulate(work, slots, of, batches=batches) for work in works]
                rows.append((kind, str(slots), *(f"{one.rate:.3g} ({one.busy:.0%})" for one in said)))
        return markdown(("database", "workers", *(f"{median:.0f} s" for median in FOREVER)), rows)


SERVED = ("workers", "trials/s", "model", "late, median", "late, 95 of 100", "a call, x its CPU time")


def growth_table(kind: str, grown: list[Grown]) -> str:
    """Times, rows and bytes by the number of trials."""
    rows = [(name, *(seconds(one.seconds[name]) for one in grown)) for name in grown[0].seconds]
    rows.append(("rows", *(f"{one.trials * rows_of_trial(one.epochs):,}" for one in grown)))
    rows.append(("bytes a trial", *(f"{one.size / one.trials:,.0f}" for one in grown)))
    rows.append(("made in", *(seconds(one.made_s) for one in grown)))
    return markdown((kind, *(f"{one.trials:,}" for one in grown)), rows)


def seconds(value: float) -> str:
    """Seconds for people: ``3.2 ms``, ``0.41 s``, ``12 s``."""
    if value < 0.1:
        return f"{1e3 * value:.2g} ms"
    return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a little of each part, in less than a minute")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="the model needs the runner")
    parser.add_argument("--json", type=Path, help="write every measurement here")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--trials", nargs="+", type=int, default=[10_000, 100_000, 1_000_000], help="of part growth")
    return parser.parse_args(words)


def main() -> None:
    """Measure, simulate, print."""
    options = parse()
    programs = binaries() if "postgresql" in options.databases else None
    server = None if programs is None else Server(programs, durable=True, settings=SETTINGS)
    kinds = [kind for kind in options.databases if kind != "postgresql" or server is not None]
    try:
        with tempfile.TemporaryDirectory() as folder:
            scale = Scale(Path(folder), kinds, options.quick, options.trials, server)
            for part in options.only:
                print(f"## {part}\n\n{getattr(scale, part)()}\nload {load():.1f}\n", flush=True)
    finally:
        if server is not None:
            server.close()
    if options.json is not None:
        measured = {" ".join(name): value for name, value in scale.found.items()}
        options.json.write_text(json.dumps({**measured, "machine": machine()}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
