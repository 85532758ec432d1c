"""How far one stage goes: trials a second, rows, and load, up to 1,000 workers and millions of trials.

``python tests/benchmarks/scale.py --json scale.json --images FOLDER`` (extras ``[dask,images,postgres]`` and a
PostgreSQL server's programs) measures and simulates everything, and prints the tables of ``studies/scale.md``;
``--quick`` does a little of each. Measurements that stand in the file already are kept where ``--only`` leaves
them out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from measuring import load, machine
from postgres import Server, binaries
from scaling import growth, loop, told
from scaling.cluster import on_dask
from scaling.loop import Run
from scaling.model import Costs, costs, simulate
from scaling.work import Work, new_stage

from hpsearch.store import Owner

KINDS = ("sqlite", "postgresql")
PARTS = ("runner", "clock", "dask", "growth")
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "autovacuum": "on"}
"""Of the PostgreSQL server, which is durable: each commit is on the disk."""
_SIZES = ((1, 1), (10, 4), (100, 1), (100, 32), (1000, 1), (1000, 100))
"""Batches under way, and how many come back at a time."""
_WORKERS = (1, 4, 16, 64, 256, 1000)
_LANES = 4
_EPOCHS = 2
_FOREVER = (1.0, 10.0, 60.0, 600.0)
"""Medians of the simulated batches' seconds."""


class Databases:
    """New study databases of both kinds, in a folder that is thrown away."""

    def __init__(self, folder: Path, kinds: list[str]) -> None:
        self._folder, self._made = folder, 0
        programs = binaries() if "postgresql" in kinds else None
        self.server = None if programs is None else Server(programs, durable=True, settings=SETTINGS)
        self.kinds = [kind for kind in kinds if kind != "postgresql" or self.server is not None]

    def new(self, kind: str) -> str:
        """The URL of an empty one."""
        if kind == "postgresql":
            assert self.server is not None
            return self.server.database()
        self._made += 1
        return f"sqlite:///{self._folder}/{self._made}.db"

    def drop(self, url: str) -> None:
        """Remove one."""
        if url.startswith("postgresql") and self.server is not None:
            self.server.drop(url)
        else:
            for file in self._folder.glob(f"{url.rpartition('/')[2]}*"):
                file.unlink()

    def close(self) -> None:
        """End the server."""
        if self.server is not None:
            self.server.close()


def measure_runner(databases: Databases, quick: bool) -> dict[str, Any]:
    """What the runner's calls cost, by how many batches are under way and how many come back together."""
    found: dict[str, Any] = {"runs": {}, "statements": {}}
    for kind in databases.kinds:
        runs = []
        for slots, together in _SIZES[: 4 if quick else None]:
            work, seconds = Work(0.5, _LANES), 0.3 if quick else 2.0
            url = databases.new(kind)
            runs.append({"together": together, **asdict(_on_slots(url, work, slots, seconds, together))})
            databases.drop(url)
            told.say(f"runner, {kind}: {slots} batches under way, {together} back at a time")
        url = databases.new(kind)
        # Batches of half a minute report their curves: what that costs is measured here.
        long = _on_slots(url, Work(30.0, _LANES), 16, 0.3 if quick else 2.0, 4)
        found["runs"][kind] = [*runs, {"together": 4, **asdict(long)}]
        databases.drop(url)
        url = databases.new(kind)
        found["statements"][kind] = loop.statements(url, Work(0.5, _LANES), 10, seconds=0.3 if quick else 1.0)
        databases.drop(url)
    return found


def _on_slots(url: str, work: Work, slots: int, seconds: float, together: int | None) -> Run:
    return loop.on_slots(url, work, slots, seconds=seconds, together=together)


def measure_clock(databases: Databases, quick: bool) -> dict[str, Any]:
    """Trials a second of batches that take two seconds each, on slots that cost nothing, by the real clock."""
    found: dict[str, Any] = {}
    for kind in databases.kinds:
        found[kind] = []
        for slots in _WORKERS[: 3 if quick else None]:
            url = databases.new(kind)
            work = Work(0.2 if quick else 2.0, _LANES)
            found[kind].append(asdict(_on_slots(url, work, slots, 0.5 if quick else 6.0, None)))
            databases.drop(url)
            told.say(f"clock, {kind}: {slots} workers")
    return found


def measure_dask(databases: Databases, quick: bool) -> dict[str, Any]:
    """The same with a Dask scheduler and workers that sleep."""
    found = []
    for workers in (4,) if quick else _WORKERS:
        url = databases.new("sqlite")
        work = Work(0.5 if quick else 2.0, _LANES)
        found.append(asdict(on_dask(url, work, workers, seconds=1.0 if quick else 8.0)))
        databases.drop(url)
        told.say(f"dask: {workers} workers")
    return {"sqlite": found}


def measure_growth(databases: Databases, quick: bool, sizes: list[int], before: dict[str, Any]) -> dict[str, Any]:
    """What the store takes when a stage has many trials; sizes that were measured before are kept."""
    found: dict[str, Any] = dict(before)
    for kind in databases.kinds:
        found[kind] = [one for one in before.get(kind, []) if one["trials"] not in sizes]
        for trials in [1_000, 10_000] if quick else sizes:
            url = databases.new(kind)
            grown = growth.grow(url, new_stage(), trials, _EPOCHS, Owner.current(), rounds=1 if quick else 2)
            databases.drop(url)
            found[kind] = sorted([*found[kind], asdict(grown)], key=lambda one: int(one["trials"]))
            told.say(f"growth, {kind}: {trials:,} trials")
    return found


def simulated(found: dict[str, Any], quick: bool) -> dict[str, Any]:
    """What the model says: of the measured points, for comparison, and beyond them."""
    said: dict[str, Any] = {"costs": {}, "beyond": []}
    batches = 300 if quick else 3000
    for kind, runs in found["runner"]["runs"].items():
        of = costs([told.run(one) for one in runs])
        said["costs"][kind] = asdict(of)
        for slots in _WORKERS:
            for seconds in _FOREVER:
                work = Work(seconds, _LANES, 10)
                there = simulate(work, slots, of, batches=max(batches, 4 * slots))
                said["beyond"].append({"kind": kind, "slots": slots, "seconds": seconds, **asdict(there)})
    for part in ("clock", "dask"):
        for kind, runs in found.get(part, {}).items():
            of = costs([told.run(one) for one in found["runner"]["runs"][kind]])
            for one in runs:
                one["predicted"] = _predicted(told.run(one), of, part, quick)
    return said


def _predicted(run: Run, of: Costs, part: str, quick: bool) -> float:
    """Trials a second by the model, had every call taken as much longer than its CPU seconds as in that run."""
    seconds = (0.5 if part == "dask" else 0.2) if quick else 2.0
    at = Costs(of.claim, of.record, of.counts, of.report, run.other if part == "dask" else of.engine)
    work = Work(seconds, run.lanes)
    return simulate(work, run.slots, at.times(run.stretch), batches=max(200, 4 * run.slots)).rate


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a little of each part, in less than a minute")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="every measurement, written and, without a part, read")
    parser.add_argument("--images", type=Path, help="a folder for the figures")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--trials", default="10000,100000,1000000", help="sizes of the stages of the part growth")
    asked = parser.parse_args(words)
    asked.only = [part for part in asked.only.split(",") if part]
    if unknown := set(asked.only) - set(PARTS):
        parser.error(f"unknown parts: {','.join(sorted(unknown))}; known: {','.join(PARTS)}")
    try:
        asked.trials = [int(size) for size in asked.trials.split(",")]
    except ValueError:
        parser.error(f"--trials {asked.trials}: give numbers with commas between them")
    return asked


def _keep(found: dict[str, Any], file: Path | None) -> None:
    if file is not None:
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")


def main() -> None:
    """Measure, simulate, print, draw."""
    asked = parse()
    found: dict[str, Any] = {}
    if asked.json is not None and asked.json.exists():
        found = json.loads(asked.json.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        databases = Databases(Path(folder), asked.databases)
        try:
            parts: dict[str, Callable[[], dict[str, Any]]] = {
                "runner": lambda: measure_runner(databases, asked.quick),
                "clock": lambda: measure_clock(databases, asked.quick),
                "dask": lambda: measure_dask(databases, asked.quick),
                "growth": lambda: measure_growth(databases, asked.quick, asked.trials, found.get("growth", {})),
            }
            for part in asked.only:
                found[part] = parts[part]()
                found.setdefault("load", {})[part] = load()
                _keep(found, asked.json)
        finally:
            databases.close()
    found["machine"] = machine()
    if "runner" in found:
        found["simulated"] = simulated(found, asked.quick)
    _keep(found, asked.json)
    print(told.page(found))
    if asked.images is not None:
        from scaling.drawing import draw

        draw(found, asked.images)


if __name__ == "__main__":
    main()
