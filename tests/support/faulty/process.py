"""Commands in processes of their own that start in milliseconds: copies of one that has loaded everything.

A fault takes three commands, and loading what a command needs takes half a second of a core each time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bounded import until

from hpsearch.executors.base import pinned_children

Hook = Callable[[], object]  # changes something in the process before the command runs; picklable

LIMIT_S = 120.0


@cache
def warm() -> ForkServerContext:
    """The context whose processes are copies of one that has loaded everything; that one is made now."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faulty.loaded"])
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), before)))
    try:
        with pinned_children():
            forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


@dataclass(frozen=True)
class Run:
    """A command under way, or over, and the files with its standard error and standard output."""

    process: BaseProcess
    err: Path
    out: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def over(self) -> bool:
        return not self.process.is_alive()

    @property
    def lines(self) -> list[str]:
        """Its standard error."""
        return self.err.read_text(errors="replace").splitlines()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the command is over."""
        if self.process.is_alive():
            os.kill(self.pid, number)

    def wait(self, limit: float = LIMIT_S) -> int:
        """Its exit code, below 0 for a signal."""
        self.process.join(limit)
        if self.process.is_alive():
            self.end()
            raise AssertionError(f"no end within {limit:.0f} s; standard error:\n{self.err.read_text()}")
        assert self.process.exitcode is not None
        return self.process.exitcode

    def end(self) -> None:
        """End it, if it is still there, stopped or not."""
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@dataclass
class Running:
    """Commands in a folder, all of which are ended with the block."""

    folder: Path
    runs: list[Run] = field(default_factory=list)

    def start(self, *arguments: str, hooks: Sequence[Hook] = ()) -> Run:
        """Run ``hpsearch ARGUMENTS`` in a process of its own."""
        err, out, ready = (self.folder / f"{len(self.runs)}.{end}" for end in ("err", "out", "ready"))
        err.touch()
        process = warm().Process(target=_work, args=(arguments, self.folder, err, out, tuple(hooks), ready))
        process.start()
        # From here on a signal meets the command, not what comes before it.
        until(lambda: ready.exists() or not process.is_alive(), what="a process that is ready")
        self.runs.append(Run(process, err, out))
        return self.runs[-1]

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: Any) -> None:
        for run in self.runs:
            run.end()


def _work(arguments: tuple[str, ...], folder: Path, err: Path, out: Path, hooks: tuple[Hook, ...], ready: Path) -> None:
    os.chdir(folder)
    for stream, path in ((1, out), (2, err)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    import hpsearch.__main__ as program

    sys.modules["__main__"] = program  # as with ``python -m hpsearch``: workers that are started import it too
    for hook in hooks:
        hook()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ready.touch()
        code = program.main(list(arguments))
    except KeyboardInterrupt:  # between the two: as good as the first moment of the command
        code = 130
    sys.stdout.flush()
    sys.exit(code)
