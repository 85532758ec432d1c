"""Commands in processes of their own, made in milliseconds: each is a copy of one that has loaded everything."""

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

import bounded

from hpsearch.executors.blas import pinned_children

Hook = Callable[[], object]
"""Changes something in the process before the command runs; picklable."""

LIMIT_S = 120.0


@cache
def warm() -> ForkServerContext:
    """What copies the process that has loaded everything; that one is made now."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faulty.warm"])
    # It looks for what it is to load where Python does by itself; what it does not find it does without.
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
    """A command under way, or over.

    Args:
        process: Its process.
        told: The file with what it printed on standard error.
        said: The file with what it printed on standard output.
    """

    process: BaseProcess
    told: Path
    said: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def over(self) -> bool:
        return not self.process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless the command is over."""
        if self.process.is_alive():
            os.kill(self.pid, number)

    def wait(self, limit: float = LIMIT_S) -> int:
        """Its exit code, below 0 for a signal."""
        self.process.join(limit)
        if self.process.is_alive():
            self.end()
            raise AssertionError(f"no end within {limit:.0f} s; it said:\n{self.told.read_text()}")
        assert self.process.exitcode is not None
        return self.process.exitcode

    def end(self) -> None:
        """End it, if it is still there."""
        if self.process.is_alive():
            self.process.kill()
            self.process.join()

    @property
    def lines(self) -> list[str]:
        """What it printed on standard error."""
        return self.told.read_text(errors="replace").splitlines()


def start(arguments: Sequence[str], folder: Path, hooks: Sequence[Hook] = ()) -> Run:
    """Run ``hpsearch ARGUMENTS`` in a folder, in a process of its own."""
    number = len(list(folder.glob("*.err")))
    told, said = folder / f"{number}.err", folder / f"{number}.out"
    told.touch()
    ready = folder / f"{number}.ready"
    process = warm().Process(target=_work, args=(tuple(arguments), folder, told, said, tuple(hooks), ready))
    process.start()
    # From here on a signal meets the command, not what comes before it.
    bounded.until(lambda: ready.exists() or not process.is_alive(), what="a process that is ready")
    return Run(process, told, said)


def _work(
    arguments: tuple[str, ...], folder: Path, told: Path, said: Path, hooks: tuple[Hook, ...], ready: Path
) -> None:
    os.chdir(folder)
    for stream, path in ((1, said), (2, told)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, stream)
        os.close(descriptor)
    import hpsearch.__main__ as door

    sys.modules["__main__"] = door  # as with ``python -m hpsearch``: workers that are started import it too
    for hook in hooks:
        hook()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        ready.touch()
        code = door.main(list(arguments))
    except KeyboardInterrupt:  # between the two: as good as the first moment of the command
        code = 130
    sys.stdout.flush()
    sys.exit(code)


@dataclass
class Running:
    """The commands of one fault, all of which are ended with it."""

    folder: Path
    runs: list[Run] = field(default_factory=list)

    def start(self, *arguments: str, hooks: Sequence[Hook] = ()) -> Run:
        """Run a command."""
        run = start(arguments, self.folder, hooks)
        self.runs.append(run)
        return run

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: Any) -> None:
        for run in self.runs:
            if run.process.is_alive():
                os.kill(run.pid, signal.SIGCONT)
            run.end()
