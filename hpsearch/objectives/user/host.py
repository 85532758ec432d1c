"""The process in which a user's function runs: it imports the function once and calls it for trial after trial.

`hpsearch.objectives.user.function` starts it. This module is imported there too, so that it loads little.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.errors import BadInput
from hpsearch.objectives.user.trial import reason_of, run

if TYPE_CHECKING:
    from types import ModuleType


class Setup(NamedTuple):
    """A function and where it is found."""

    function: str  # ``train.py:objective`` or ``package.module:name``
    folders: tuple[str, ...]  # where its file or package is looked for, in this order
    mark: bytes  # what stands in the output behind that of each trial, before the trial's number in `NUMBER` bytes


NUMBER = 8  # bytes of a number
_TOGETHER_S = 0.005  # what comes within so many seconds is sent together
_CHANGES = ("os.chdir", "os.putenv", "os.unsetenv")  # Python's events of what a trial may leave changed


class NotFound(BadInput):
    """A function that cannot be imported; the message says where it was looked for."""


def is_file(module: str) -> bool:
    """Return whether the first part of a function's name is a file, not a module."""
    return module.endswith(".py") or "/" in module


def find_file(module: str, folders: tuple[str, ...]) -> Path:
    """Return the file of a function.

    Raises:
        NotFound: There is none.
    """
    places = list(dict.fromkeys(Path(folder, module) for folder in folders))  # an absolute path stays as it is
    for place in places:
        if place.is_file():
            return place
    raise NotFound(f"there is no file {' nor '.join(map(str, places))}")


def imported(setup: Setup) -> Callable[[Any], Any]:
    """Import the function.

    Raises:
        NotFound: It is not there, or its module cannot be imported.
    """
    source, _, name = setup.function.rpartition(":")
    for folder in reversed(setup.folders):
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        module = _from_file(find_file(source, setup.folders)) if is_file(source) else importlib.import_module(source)
    except NotFound:
        raise
    except BaseException as error:
        traceback.print_exception(error)
        looked = "" if is_file(source) else f"; looked for in {', '.join(map(repr, sys.path))}"
        raise NotFound(f"importing {source} failed: {reason_of(error)}{looked}") from error
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if value is None:
        known = sorted(key for key, of in vars(module).items() if callable(of) and not key.startswith("_"))
        raise NotFound(f"{getattr(module, '__file__', source)} has no {name!r}; it has: {', '.join(known[:20])}")
    if not callable(value):
        raise NotFound(f"{setup.function} is a {type(value).__name__}, which cannot be called")
    return value  # type: ignore[no-any-return]  # it is callable


def _from_file(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)  # what stands beside the file is imported as in a script
    # Under the name by which others import it, so that its objects can be pickled; not in place of another module.
    name = path.stem if path.stem not in sys.modules else f"hpsearch_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise NotFound(f"{path} is not a Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
        call = imported(setup)
    except NotFound as error:
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
