"""The process in which a user's function runs: it imports the function once and calls it for trial after trial.

`hpsearch.objectives.user.function` starts it. This module is imported there too, so that it loads little.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any, NamedTuple

from hpsearch.functions import NotFound, imported
from hpsearch.objectives.user.trial import Trial, run
from hpsearch.records import Failed


class Setup(NamedTuple):
    """A function and where it is found."""

    function: str  # ``train.py:objective`` or ``package.module:name``
    folders: tuple[str, ...]  # where its file or package is looked for, in this order
    mark: bytes  # what stands in the output before that of each trial


_CHANGES = ("os.chdir", "os.putenv", "os.unsetenv")  # Python's events of what a trial may leave changed


GENERATORS = {"random": attrgetter("seed"), "numpy": attrgetter("random.seed"), "torch": attrgetter("manual_seed")}
"""The functions that seed the global generators of modules, as far as these are loaded when a trial begins."""


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
    output = os.dup(1)  # the function's module may put another object in the place of `sys.stdout`
    try:
        call = imported(setup.function, setup.folders)
    except NotFound as error:
        connection.send(error)
        return
    connection.send(True)
    os.register_at_fork(after_in_child=connection.close)
    restore = _restorer()
    while True:
        study, tasks = connection.recv()
        for task in tasks:
            trial = Trial(task, study, connection.send)
            for name, seed in GENERATORS.items():  # so that a trial's score depends on no trial before it
                if (module := sys.modules.get(name)) is not None:
                    seed(module)(trial.seed)
            outcome = run(call, trial)
            if connection.closed:  # this is a process that the function has forked
                return
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):  # the function has closed it, or put another object there
                    stream.flush()
            answer = pickle.dumps(outcome)  # before the mark, so that the worker wakes once
            if isinstance(outcome, Failed):
                connection.send_bytes(answer)
                connection.recv()  # its output has been read
                os.write(output, setup.mark)
            else:
                os.write(output, setup.mark)
                connection.send_bytes(answer)
            restore()  # the next trial begins as this one did


def _restorer() -> Callable[[], None]:
    """Return a function that brings the working folder and the environment back, if a trial has changed them."""
    folder, environment, changes = os.getcwd(), os.environ.copy(), list[str]()

    def restore() -> None:
        if changes:
            with contextlib.suppress(OSError):  # the trial has deleted it
                os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            changes.clear()

    # To compare an environment of 35 variables takes 50 us, longer than a quick trial.
    sys.addaudithook(lambda event, _: changes.append(event) if event in _CHANGES else None)
    return restore
