"""Whole commands from a cold process, their memory, and the machine's rate of matrix products."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from measuring import cores

from hpsearch.executors.base import VARIABLES, pinned_children

HERE = Path(__file__).resolve().parent
PYTHON = (sys.executable,)
HPSEARCH = (*PYTHON, "-m", "hpsearch")
WATCH_EVERY_S = 0.02
_go: Callable[[], object]
SGEMM_SIZES, SGEMM_FOR_S = (256, 512, 1024), 0.4  # of square matrices, of which the fastest counts; how long each


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that has run."""

    seconds: float  # from its start to its end
    output: str  # its standard output
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
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=nothing, stdout=pipe, stderr=pipe, text=True
    ) as process:
        with watched(process.pid) if watch else contextlib.nullcontext([0]) as most:
            output, errors = process.communicate()
        seconds = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-2000:]}")
    return Ran(seconds, output, most[0])


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of the benchmark's modules."""
    return (*PYTHON, "-m", name, *arguments)


def memory_of(pid: int) -> int:
    """Bytes of a process and its descendants; a page that several of them map is divided among them (PSS)."""
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in (parent := psutil.Process(pid), *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                info = process.memory_full_info()
                total += getattr(info, "pss", info.uss)  # Linux alone counts PSS
    return total


@contextlib.contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """Watch a process and its descendants in a thread; the only item is the most memory they had together."""
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(WATCH_EVERY_S):
            most[0] = max(most[0], memory_of(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        over.set()
        thread.join()


def sgemm_rate() -> float:
    """FLOP/s of the median core's float32 matrix product, with all cores at it, one BLAS thread each."""
    context, many = multiprocessing.get_context("spawn"), len(cores())
    with pinned_children(), context.Pool(many, _ready, (context.Barrier(many),)) as pool:
        return median(pool.map(_sgemm, cores(), chunksize=1))


def _ready(barrier: Any) -> None:
    global _go
    _go = barrier.wait


def _sgemm(core: int) -> float:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    rng = np.random.default_rng(core)
    best = 0.0
    _go()  # all begin together
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
