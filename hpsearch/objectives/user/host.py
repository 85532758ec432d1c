"""The process in which a user's function runs: it imports the function once and calls it for trial after trial.

`hpsearch.objectives.user.function` starts it. This module is imported there too, so that it loads little.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from hpsearch.functions import NotFound, imported
from hpsearch.objectives.user.trial import run


class Setup(NamedTuple):
    """A function and where it is found."""

    function: str  # ``train.py:objective`` or ``package.module:name``
    folders: tuple[str, ...]  # where its file or package is looked for, in this order
    mark: bytes  # what stands in the output behind that of each trial, before the trial's number in `NUMBER` bytes


NUMBER = 8  # bytes of a number
_TOGETHER_S = 0.005  # what comes within so many seconds is sent together
_CHANGES = ("os.chdir", "os.putenv", "os.unsetenv")  # Python's events of what a trial may leave changed


def main(descriptor: int) -> None:
    """Answer requests until the other end of the connection is gone."""
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _answer(Connection(descriptor))
    os._exit(0)  # no thread of the user's keeps it


def _answer(connection: Connection[Any, Any]) -> None:
    # The worker that started this ignores or blocks them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP})
    setup: Setup = connection.recv()
    try:
        call = imported(setup.function, setup.folders)
    except NotFound as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        connection.send([error])
        return
    connection.send([None])
    output = os.dup(sys.stdout.fileno())
    send, restore = _Sender(connection), _restorer()
    while True:
        study, tasks = connection.recv()
        for task in tasks:
            outcome = run(call, task, study, send)
            sys.stdout.flush()
            sys.stderr.flush()
            os.write(output, setup.mark + task.trial.number.to_bytes(NUMBER, "big"))
            send(outcome)
            restore()  # the next trial begins as this one did
        send.flush()


class _Sender:
    """Sends points and outcomes, those of quick trials together."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self._connection = connection
        self._kept: list[Any] = []
        self._sent = time.perf_counter()

    def __call__(self, item: object) -> None:
        self._kept.append(item)
        if time.perf_counter() - self._sent >= _TOGETHER_S:
            self.flush()

    def flush(self) -> None:
        """Send what is kept."""
        kept, self._kept = self._kept, []
        if kept:
            self._connection.send(kept)
        self._sent = time.perf_counter()


def _restorer() -> Callable[[], None]:
    """Return a function that brings the working folder and the environment back, if somebody has changed them."""
    folder, environment, changes = os.getcwd(), os.environ.copy(), list[str]()

    def note(event: str, _: object) -> None:
        if event in _CHANGES:
            changes.append(event)

    def restore() -> None:
        if changes:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            changes.clear()

    sys.addaudithook(note)  # to compare the whole environment takes longer than many a trial
    return restore
