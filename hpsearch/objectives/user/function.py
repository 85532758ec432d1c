"""A Python function as the objective: workers call it in a child process, which trials share until one ends it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, NoReturn

from hpsearch.errors import Argument, BadInput
from hpsearch.functions import NotFound
from hpsearch.objectives.user.child import Child, InChildProcess, OneByOne, Slot, Tail, ended_words, environment
from hpsearch.objectives.user.host import Setup, main
from hpsearch.objectives.user.trial import Study, Task, Trial, run, tasks_of
from hpsearch.records import ENDED, OUTPUT, SECONDS, Failed, Outcome, Paused, Report
from hpsearch.records import Trial as Claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

INLINE = Argument("engine", "inline")
_POLL_S = 0.05  # how often a child that says nothing is looked at
_IMPORT_S = 60.0  # an import may take as long as a trial, but at least this long


class _Ended(NamedTuple):
    """The end of a child process, or of its time."""

    reason: str
    ended: str  # as `hpsearch.records.ENDED`


class _Host(Slot):
    """The place in a worker where the function runs: one child process after another, on one device.

    See `hpsearch.objectives.user.host`.
    """

    _child: Child | None = None

    def _start(self, objective: FunctionObjective) -> Child:
        mark = os.urandom(16)
        self._output = Tail(mark)
        self._connection, theirs = Pipe()
        path = [*map(str, sys.path)]
        start = f"import sys; sys.path[:] = {path!r}; from {main.__module__} import main; main({theirs.fileno()})"
        child = Child(
            [sys.executable, "-c", start],
            guard=self.guard,
            environment=environment(self.device),
            files=[theirs.fileno()],
            on_output=self._output.add,
        )
        theirs.close()
        child.listen(self._connection)
        self._send(Setup(objective.function, (objective.folder, os.getcwd()), mark))
        return child

    def _stop(self) -> None:
        if self._child is not None:
            self._child.end()
            self._connection.close()
            self._child = None

    def close(self) -> None:
        self._stop()
        super().close()

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # it has ended, which `_receive` notices
            self._connection.send(message)

    def _receive(self, child: Child, began: float, seconds: float | None) -> Any:
        """Return what the process has sent; None if that is nothing yet; an `_Ended` if nothing will come in time."""
        message, gone = None, False
        if child.wait(_POLL_S):
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                gone = True
        elif child.code is not None:
            gone = not child.wait(0)  # what it has sent is there by then
        if gone:
            code = child.code_within(_POLL_S)
            if code is None:
                return _Ended("its process closed the connection to the worker", "exit")
            return _Ended(ended_words(code), "exit" if code >= 0 else "signal")
        if seconds is not None and isinstance(message, Report | None) and time.monotonic() - began > seconds:
            return _Ended(f"no result within {seconds:g} s", "timeout")
        return message

    def run(self, objective: FunctionObjective, tasks: list[Task]) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Run trials until all are done or the process has ended; those that are done leave the list.

        Raises:
            NotFound: The function cannot be imported, or its import ends the process or takes too long.
        """
        if self._child is not None and self._child.code is not None:  # it has ended since its last trial
            self._stop()
        if self._child is None:
            self._child = self._start(objective)
            began, limit = time.monotonic(), objective.seconds and max(objective.seconds, _IMPORT_S)
            while (message := self._receive(self._child, began, limit)) is None:
                yield []
            if isinstance(message, _Ended):
                self._stop()  # which reads the rest of its output
                last = str(self._output).strip().rpartition("\n")[2][:300]
                raise NotFound(f"importing {objective.function} failed: {message.reason}{last and f': {last}'}")
            if isinstance(message, NotFound):
                raise message
        self._send((objective.study, tasks))
        while tasks and self._child is not None:
            task = tasks.pop(0)
            began, curve = time.monotonic(), [*task.known]
            while isinstance(message := self._receive(self._child, began, objective.seconds), Report | None):
                curve += [] if message is None else [message.value]
                yield [] if message is None else [message]
            if isinstance(message, _Ended):
                self._stop()
                facts = {SECONDS: round(task.spent + time.monotonic() - began, 6), ENDED: message.ended}
                message = Failed(task.trial.number, message.reason, tuple(curve), facts)
            elif isinstance(message, Failed):
                self._child.read()
                self._send(None)
            if isinstance(message, Failed):
                message = replace(message, attributes={**message.attributes, OUTPUT: str(self._output), **self.facts})
            yield [message]


@dataclass(eq=False, kw_only=True)
class FunctionObjective(InChildProcess):
    """Calls a user's function for each trial, in a process that lives as long as no trial ends it.

    Raises:
        NotFound: The function cannot be imported.
    """

    function: str  # ``train.py:objective`` or ``package.module:name``
    slot: ClassVar[type[Slot]] = _Host

    def _run_all(self, tasks: list[Task], slot: _Host) -> Iterator[Sequence[Report | Outcome | Paused]]:
        while tasks:
            yield from slot.run(self, tasks)


LOCAL: dict[str, Callable[[Any], Any]] = {}
"""The functions that can be called in this process alone, by the name that a study file has for them."""


def name_of(call: Callable[[Any], Any], search: str = "") -> str:
    """Return the name by which a study file has a Python object, as ``package.module:name`` or ``/a/file.py:name``.

    One that other processes cannot import by its name, as a lambda, a closure, or what a notebook defines, becomes
    that of its search in `LOCAL`: ``<search>:name``.
    """
    module, name = getattr(call, "__module__", None) or "__main__", getattr(call, "__qualname__", type(call).__name__)
    value: Any = sys.modules.get(module)
    file = getattr(value, "__file__", None) or ""
    for part in name.split("."):
        value = getattr(value, part, None)
    if value is call and (module != "__main__" or os.path.exists(file)):
        return f"{os.path.abspath(file) if module == '__main__' else module}:{name}"
    LOCAL[f"<{search}>:{name}"] = call
    return f"<{search}>:{name}"


@dataclass(frozen=True, eq=False)
class LocalObjective(OneByOne):
    """Calls a function of this process, which it may end; for functions that no other process can import."""

    call: Callable[[Any], Any]
    study: Study

    def __reduce__(self) -> NoReturn:
        raise BadInput("no other process can import this objective, which was given from Python; use {}", INLINE)

    def evaluate(
        self, trials: Sequence[Claimed], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Call the function for one trial after the other; see `hpsearch.objectives.base.Objective`."""
        for task in tasks_of(trials, until, paused):
            points: list[Report] = []
            outcome = run(self.call, Trial(task, self.study, points.append))
            yield [*points, outcome]
