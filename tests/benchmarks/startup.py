"""Start-up: how long until help is on the screen, the first worker trains, and a small database is shown.

Run as ``python tests/benchmarks/startup.py``. Each figure is the median of fresh processes; those that are compared
take turns, so that a busy machine slows both alike.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

RUNS = 11
HPSEARCH = (sys.executable, "-m", "hpsearch")
SHOWING: Mapping[str, tuple[str, ...]] = {
    "status": ("status",),
    "best": ("best",),
    "trials --top 5": ("trials", "--top", "5"),
    "narrow --top 5 --dry-run": ("narrow", "--top", "5", "--dry-run"),
}


@dataclass(frozen=True, slots=True)
class Start:
    """One `hpsearch start` on a new database, in seconds.

    Args:
        first_step: From the start of the process until a worker began to train.
        beside: What the command took beside the stage itself: start-up and winding up.
        cpu: Processor time beside training: of the main process, and of starting and ending the workers.
    """

    first_step: float
    beside: float
    cpu: float


def wall(command: Sequence[str], *, folder: Path | None = None) -> float:
    """How long a command takes, in seconds."""
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def in_turns(
    commands: Mapping[str, Sequence[str]], *, runs: int = RUNS, folder: Path | None = None
) -> dict[str, float]:
    """The median time of each command, in seconds; the first round only warms the machine's caches."""
    rounds = [{name: wall(command, folder=folder) for name, command in commands.items()} for _ in range(runs + 1)]
    return {name: median(each[name] for each in rounds[1:]) for name in commands}


def help_over_numpy(runs: int = RUNS) -> float:
    """`hpsearch --help` over ``import numpy``, as a ratio of times."""
    took = in_turns({"help": (*HPSEARCH, "--help"), "numpy": (sys.executable, "-c", "import numpy")}, runs=runs)
    return took["help"] / took["numpy"]


def start(folder: Path, *, trials: int = 1) -> Start:
    """Start the book's stage on a new database in a folder.

    A trial's row says when it was recorded and for how long it trained; the difference is when that began.
    """
    storage = folder / f"{time.monotonic_ns()}.db"
    words = ("start", "--trials", str(trials), "--format", "json", "--storage", str(storage))
    began, clock, cpu = datetime.now(UTC), time.perf_counter(), _cpu()
    done = subprocess.run((*HPSEARCH, *words), cwd=folder, check=True, capture_output=True, text=True)
    took, cpu = time.perf_counter() - clock, _cpu() - cpu
    (stage,) = json.loads(done.stdout)["stages"]
    shown = (*HPSEARCH, "trials", "--format", "json", "--storage", str(storage))
    rows = json.loads(subprocess.run(shown, cwd=folder, check=True, capture_output=True, text=True).stdout)
    first = min(rows, key=lambda row: row["finished"])
    lanes = sum(row["finished"] == first["finished"] for row in rows)
    recorded = datetime.fromisoformat(first["finished"]).replace(tzinfo=UTC)
    first_step = (recorded - began).total_seconds() - first["seconds"] * lanes
    return Start(first_step, took - stage["seconds"], cpu - sum(row["seconds"] for row in rows))


def _cpu() -> float:
    """Processor seconds of all child processes that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def starts(runs: int = RUNS, *, trials: int = 1) -> Start:
    """The medians of several starts, each on a new database."""
    with tempfile.TemporaryDirectory() as folder:
        found = [start(Path(folder), trials=trials) for _ in range(runs + 1)][1:]
    return Start(
        first_step=median(one.first_step for one in found),
        beside=median(one.beside for one in found),
        cpu=median(one.cpu for one in found),
    )


def showing(runs: int = RUNS) -> dict[str, float]:
    """How long the commands take that show a small database, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        storage = ("--storage", os.path.join(folder, "small.db"))
        wall((*HPSEARCH, "start", "--trials", "10", *storage), folder=Path(folder))
        commands = {name: (*HPSEARCH, *words, *storage) for name, words in SHOWING.items()}
        return in_turns(commands, runs=runs, folder=Path(folder))


def main() -> None:
    """Print every figure."""
    print(f"hpsearch --help over import numpy: {help_over_numpy():.2f}")
    one = starts()
    print(
        f"hpsearch start --trials 1: {one.first_step:.2f} s to the first training step, {one.cpu:.2f} s of CPU beside"
    )
    for name, seconds in showing().items():
        print(f"hpsearch {name}: {seconds:.2f} s")


if __name__ == "__main__":
    main()
