"""How far one stage goes: trials a second, rows, and load, up to 1,000 workers and millions of trials.

``python tests/benchmarks/scale.py --json scale.json`` (extras ``[dask,postgres]`` and a
PostgreSQL server's programs) measures and simulates everything, and prints the tables of ``studies/scale.md``;
``--quick`` does a little of each. Measurements that stand in the file already are kept where ``--only`` leaves
them out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from measuring import load, machine, markdown
from postgres import Server, binaries
from scale_growth import grow, rows_of_trial
from scale_loop import on_dask, on_slots, statements
from scale_model import Costs, Run, Work, costs, new_stage, simulate

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
            say(f"runner, {kind}: {slots} batches under way, {together} back at a time")
        url = databases.new(kind)
        # Batches of half a minute report their curves: what that costs is measured here.
        long = _on_slots(url, Work(30.0, _LANES), 16, 0.3 if quick else 2.0, 4)
        found["runs"][kind] = [*runs, {"together": 4, **asdict(long)}]
        databases.drop(url)
        url = databases.new(kind)
        found["statements"][kind] = statements(url, Work(0.5, _LANES), 10, seconds=0.3 if quick else 1.0)
        databases.drop(url)
    return found


def _on_slots(url: str, work: Work, slots: int, seconds: float, together: int | None) -> Run:
    return on_slots(url, work, slots, seconds=seconds, together=together)


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
            say(f"clock, {kind}: {slots} workers")
    return found


def measure_dask(databases: Databases, quick: bool) -> dict[str, Any]:
    """The same with a Dask scheduler and workers that sleep."""
    found = []
    for workers in (4,) if quick else _WORKERS:
        url = databases.new("sqlite")
        work = Work(0.5 if quick else 2.0, _LANES)
        found.append(asdict(on_dask(url, work, workers, seconds=1.0 if quick else 8.0)))
        databases.drop(url)
        say(f"dask: {workers} workers")
    return {"sqlite": found}


def measure_growth(databases: Databases, quick: bool, sizes: list[int], before: dict[str, Any]) -> dict[str, Any]:
    """What the store takes when a stage has many trials; sizes that were measured before are kept."""
    found: dict[str, Any] = dict(before)
    for kind in databases.kinds:
        found[kind] = [one for one in before.get(kind, []) if one["trials"] not in sizes]
        for trials in [1_000, 10_000] if quick else sizes:
            url = databases.new(kind)
            grown = grow(url, new_stage(), trials, _EPOCHS, rounds=1 if quick else 2)
            databases.drop(url)
            found[kind] = sorted([*found[kind], asdict(grown)], key=lambda one: int(one["trials"]))
            say(f"growth, {kind}: {trials:,} trials")
    return found


def simulated(found: dict[str, Any], quick: bool) -> dict[str, Any]:
    """What the model says: of the measured points, for comparison, and beyond them."""
    said: dict[str, Any] = {"costs": {}, "beyond": []}
    batches = 300 if quick else 3000
    for kind, runs in found["runner"]["runs"].items():
        of = costs([Run.from_json(one) for one in runs])
        said["costs"][kind] = asdict(of)
        for slots in _WORKERS:
            for seconds in _FOREVER:
                work = Work(seconds, _LANES, 10)
                there = simulate(work, slots, of, batches=max(batches, 4 * slots))
                said["beyond"].append({"kind": kind, "slots": slots, "seconds": seconds, **asdict(there)})
    for part in ("clock", "dask"):
        for kind, runs in found.get(part, {}).items():
            of = costs([Run.from_json(one) for one in found["runner"]["runs"][kind]])
            for one in runs:
                one["predicted"] = _predicted(Run.from_json(one), of, part, quick)
    return said


def _predicted(run: Run, of: Costs, part: str, quick: bool) -> float:
    """Trials a second by the model, had every call taken as much longer than its CPU seconds as in that run."""
    seconds = (0.5 if part == "dask" else 0.2) if quick else 2.0
    at = Costs(of.claim, of.record, of.counts, of.report, run.other if part == "dask" else of.engine)
    work = Work(seconds, run.lanes)
    return simulate(work, run.slots, at.times(run.stretch), batches=max(200, 4 * run.slots)).rate


def say(text: str) -> None:
    """Report progress on standard error."""
    print(text, file=sys.stderr, flush=True)


def seconds(value: float) -> str:
    """Seconds for people: ``3.2 ms``, ``0.41 s``, ``12 s``."""
    if value < 0.1:
        return f"{1e3 * value:.2g} ms"
    return f"{value:.2g} s" if value < 100 else f"{value:.0f} s"


def page(found: Mapping[str, Any]) -> str:
    """All tables of what there is."""
    parts = {"runner": _runner, "clock": _clock, "dask": _dask, "growth": _growth, "simulated": _simulated}
    return "\n".join(f"## {name}\n\n{part(found[name])}" for name, part in parts.items() if name in found)


def _runner(found: Mapping[str, Any]) -> str:
    rows = []
    for kind, plain in found["runs"].items():
        for one in plain:
            of = Run.from_json(one)
            calls = [of.calls[name] for name in ("claim", "record", "counts", "report")]
            each = [seconds(call.cpu / call.times) if call.times else "-" for call in calls]
            rows.append((kind, str(of.slots), str(one["together"]), *each, f"{of.rate_cpu:,.0f}", f"{of.stretch:.1f}"))
    heading = ("database", "under way", "back at a time", "claim", "record", "counts", "report", "trials a CPU s", "x")
    told = "; ".join(
        f"{kind}: " + ", ".join(f"{many:.3g} {name}" for name, many in sorted(each.items()))
        for kind, each in found["statements"].items()
    )
    return f"{markdown(heading, rows)}\na trial, {told}\n"


def _clock(found: Mapping[str, Any]) -> str:
    rows = []
    for kind, plain in found.items():
        for one in plain:
            of = Run.from_json(one)
            rows.append((kind, str(of.slots), f"{of.rate:.3g}", f"{one.get('predicted', 0):.3g}", *_late(of)))
    heading = ("database", "workers", "trials/s", "model", "late, median", "late, 95 of 100", "a call, x its CPU time")
    return markdown(heading, rows)


def _late(of: Run) -> tuple[str, str, str]:
    return seconds(of.late_s[0]), seconds(of.late_s[1]), f"{of.stretch:.1f}"


def _dask(found: Mapping[str, Any]) -> str:
    rows = []
    for plain in found.values():
        for one in plain:
            of = Run.from_json(one)
            batches = max(of.trials / of.lanes, 1)
            workers = sum(cpu for name, cpu in of.cpu.items() if name.startswith("workers"))
            cpu = [of.cpu["runner"], of.cpu["scheduler"], workers]
            cells = [f"{1e3 * each / batches:.1f} ms" for each in cpu]
            share = f"{of.cpu['scheduler'] / of.seconds:.0%}"
            rate = (f"{of.rate:.3g}", f"{one.get('predicted', 0):.3g}")
            rows.append((str(of.slots), *rate, *_late(of), *cells, share))
    heading = ("workers", "trials/s", "model", "late, median", "late, 95 of 100", "a call, x its CPU time")
    return markdown((*heading, "runner/batch", "scheduler/batch", "workers/batch", "scheduler, of a core"), rows)


def _growth(found: Mapping[str, Any]) -> str:
    tables = []
    for kind, grown in found.items():
        heading = (kind, *(f"{one['trials']:,}" for one in grown))
        rows = [(name, *(seconds(one["seconds"][name]) for one in grown)) for name in grown[0]["seconds"]]
        rows.append(("rows", *(f"{one['trials'] * rows_of_trial(one['epochs']):,}" for one in grown)))
        rows.append(("bytes a trial", *(f"{one['size'] / one['trials']:,.0f}" for one in grown)))
        rows.append(("made in", *(seconds(one["made_s"]) for one in grown)))
        tables.append(markdown(heading, rows))
    return "\n".join(tables)


def _simulated(found: Mapping[str, Any]) -> str:
    beyond = found["beyond"]
    medians = sorted({one["seconds"] for one in beyond})
    rows = []
    for kind in found["costs"]:
        for slots in sorted({one["slots"] for one in beyond}):
            of = [one for one in beyond if one["kind"] == kind and one["slots"] == slots]
            cells = {one["seconds"]: f"{one['rate']:.3g} ({one['busy']:.0%})" for one in of}
            rows.append((kind, str(slots), *(cells[median] for median in medians)))
    return markdown(("database", "workers", *(f"{median:.0f} s" for median in medians)), rows)


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a little of each part, in less than a minute")
    parser.add_argument("--only", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="every measurement, written and, without a part, read")
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
    """Measure, simulate, print."""
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
    print(page(found))


if __name__ == "__main__":
    main()
