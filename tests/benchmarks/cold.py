"""Whole commands from a cold process, their memory, and the same work on every core at once."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, TypeAlias, TypeVar

import numpy as np
from measuring import cores

from hpsearch.executors.base import VARIABLES, pinned_children

HERE = Path(__file__).resolve().parent
PYTHON = (sys.executable,)
HPSEARCH = (*PYTHON, "-m", "hpsearch")
WATCH_EVERY_S = 0.02
SGEMM_SIZES, SGEMM_FOR_S = (256, 512, 1024), 0.4
"""Sizes of square matrices, of which the fastest counts, and how long each is multiplied."""
T = TypeVar("T")
Start: TypeAlias = Callable[[], object]
"""Returns when all processes are ready."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has run."""

    seconds: float  # from its start to its end
    output: str  # its standard output
    largest_rss: int  # bytes of its largest single process, as the kernel counted
    memory: int  # most bytes of all its processes together; 0 where it was not watched

    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.output)


def environment() -> dict[str, str]:
    """This process's, without what sets threads or hpsearch's defaults, and with the benchmark's modules."""
    dropped = (*VARIABLES, "PYTHONPATH", "PYTHONWARNINGS")
    kept = {k: v for k, v in os.environ.items() if k not in dropped and not k.startswith("HPSEARCH_")}
    return kept | {"PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}


def run(command: Sequence[str], *, folder: Path, watch: bool = False) -> Ran:
    """Run a command in a folder, to its end.

    Args:
        command: Its words.
        folder: Its working directory.
        watch: Watch its memory, which costs it some time.

    Raises:
        RuntimeError: It failed.
    """
    # Files instead of pipes: nobody has to read while it runs.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        try:
            with watched(process.pid) if watch else contextlib.nullcontext([0]) as most:
                _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, errors = out.read().decode(), err.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-2000:]}")
    return Ran(seconds, output, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), most[0])


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of the benchmark's modules."""
    return (*PYTHON, "-m", name, *arguments)


def processes_of(pid: int) -> list[int]:
    """A process and its descendants."""
    tree = [pid]
    for parent in tree:  # grows while it is walked
        with contextlib.suppress(OSError):  # gone meanwhile
            for task in Path(f"/proc/{parent}/task").iterdir():
                tree += map(int, (task / "children").read_text().split())
    return tree


def memory_of(pid: int) -> int:
    """Bytes of one process: its proportional share (PSS), or where the kernel does not say, all it maps (RSS)."""
    for name, entry in (("smaps_rollup", rb"^Pss:\s+(\d+) kB"), ("status", rb"^VmRSS:\s+(\d+) kB")):
        with contextlib.suppress(OSError):
            if match := re.search(entry, Path(f"/proc/{pid}/{name}").read_bytes(), re.M):
                return int(match[1]) * 1024
    return 0


@contextlib.contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Watch a process and its descendants in a thread; the only item is the most memory they had together.

    PSS divides a page that several processes map among them; where only RSS can be had it is counted in each.
    """
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_EVERY_S):
            most[0] = max(most[0], sum(map(memory_of, processes_of(pid))))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def at_once(work: Callable[[int, Start], T], *, processes: int) -> list[T]:
    """Call ``work(index, start)`` in processes with one BLAS thread each, each bound to a core.

    Args:
        work: A function of a module, or a partial of one; it calls ``start`` when it is ready, and all begin together.
        processes: How many; at most as many as there are cores makes sense.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    pipes, workers = [], []
    with pinned_children():
        for index in range(processes):
            mine, theirs = context.Pipe(duplex=False)
            core = cores()[index % len(cores())]
            workers.append(context.Process(target=_work, args=(work, index, core, barrier, theirs), daemon=True))
            workers[-1].start()
            theirs.close()
            pipes.append(mine)
    answers = [pipe.recv() for pipe in pipes]  # EOFError where a worker died
    for worker in workers:
        worker.join()
    return answers


def _work(work: Callable[[int, Start], Any], index: int, core: int, barrier: Any, answer: Connection[Any, Any]) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    try:
        answer.send(work(index, barrier.wait))
    except BaseException:
        barrier.abort()  # the others would wait for ever
        raise


def sgemm_rate(processes: int) -> float:
    """FLOP/s of the median core's float32 matrix product, with so many cores at it."""
    return median(at_once(_sgemm, processes=processes))


def _sgemm(index: int, start: Start) -> float:
    rng = np.random.default_rng(index)
    best = 0.0
    start()
    for size in SGEMM_SIZES:
        a, b = (rng.standard_normal((size, size)).astype(np.float32) for _ in range(2))
        out = np.empty_like(a)
        np.matmul(a, b, out=out)
        seconds = []
        end = time.perf_counter() + SGEMM_FOR_S
        while (began := time.perf_counter()) < end:
            np.matmul(a, b, out=out)
            seconds.append(time.perf_counter() - began)
        best = max(best, 2 * size**3 / median(seconds))
    return best
