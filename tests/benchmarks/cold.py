"""Whole commands from a cold process: what a person waits for."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory import Watch

from hpsearch.executors.blas import VARIABLES

HERE = Path(__file__).resolve().parent
PYTHON = (sys.executable,)
HPSEARCH = (*PYTHON, "-m", "hpsearch")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did.

    Args:
        began: The monotonic clock when it was started; the clock is the same in all processes.
        seconds: From its start to its end.
        output: Its standard output.
        largest_rss: Bytes of its largest single process, as the kernel counted.
        memory: Bytes of all its processes together, at most; 0 where it was not watched.
    """

    began: float
    seconds: float
    output: str
    largest_rss: int
    memory: int

    def json(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.output)


def environment() -> dict[str, str]:
    """This process's, without what sets threads or hpsearch's defaults, and with the benchmark's modules."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in (*VARIABLES, "PYTHONPATH", "PYTHONWARNINGS") and not name.startswith("HPSEARCH_")
    }
    return kept | {"PYTHONPATH": os.pathsep.join((str(HERE), str(HERE.parents[1])))}


def run(command: Sequence[str], *, folder: Path, watch: bool = False, extra: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end.

    Args:
        command: Its words.
        folder: Where it runs.
        watch: Whether to watch its memory, which costs it some time.
        extra: Further environment variables.

    Raises:
        RuntimeError: It failed.
    """
    # Files instead of pipes: nobody has to read while it runs.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment(), **(extra or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        watching = Watch(process.pid) if watch else None
        try:
            with watching or contextlib.nullcontext():
                _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, complaint = out.read().decode(), err.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{complaint[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Ran(began, seconds, output, usage.ru_maxrss * unit, watching.most if watching else 0)


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of the benchmark's modules in a process of its own."""
    return (*PYTHON, "-m", name, *arguments)
