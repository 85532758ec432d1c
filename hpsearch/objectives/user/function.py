"""A Python function as the objective: workers call it in a child process, which trials share until one ends it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import weakref
from collections import defaultdict
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from hpsearch.errors import Argument, BadInput
from hpsearch.functions import NotFound
from hpsearch.objectives.user.child import KEPT_BYTES, Child, Device, Guard, ended_words, environment
from hpsearch.objectives.user.host import NUMBER, Setup, main
from hpsearch.objectives.user.trial import Study, Task, run
from hpsearch.records import DEVICE, ENDED, OUTPUT, SECONDS, Failed, Outcome, Paused, Report, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


INLINE = Argument("engine", "inline")
MOST = 256  # trials in a batch
_POLL_S = 0.05  # how often a child that says nothing is looked at


def tasks_of(trials: Sequence[Trial], until: int | None, paused: Sequence[Paused]) -> list[Task]:
    """Return trials as they are sent to a function; see `hpsearch.objectives.base.Objective.evaluate`."""
    before = {pause.number: (pause.intermediate, pause.attributes[SECONDS]) for pause in paused}
    return [Task(trial, until, *before.get(trial.number, ())) for trial in trials]


@dataclass(eq=False)
class FunctionObjective:
    """Calls a user's function for each trial.

    Raises:
        NotFound: The function cannot be imported.
    """

    function: str  # ``train.py:objective`` or ``package.module:name``
    folder: str  # where it is looked for, before the working folder
    study: Study
    seconds: float | None = None  # how long a trial may take; None: any time
    devices: Sequence[int | str] = ()  # each process gets one of them; empty: all processes have all
    independent: ClassVar[bool] = True
    _idle: list[_Host] = field(default_factory=list, repr=False)  # processes that wait for trials

    def __post_init__(self) -> None:
        weakref.finalize(self, _close, self._idle)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_idle": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__post_init__()

    def lanes(self, trial: Trial | None = None) -> int:
        return MOST

    def structures(self) -> int:
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return [list(trials)] if trials else []

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Call the function for one trial after the other; see `hpsearch.objectives.base.Objective`.

        A trial that paused is called again from its beginning. One in which the process ends fails, and the others go
        on in a new process.
        """
        left = tasks_of(trials, until, paused)
        while left:
            try:
                host = self._idle.pop()
            except IndexError:
                host = _Host(self)
            try:
                yield from host.run(self, left)
            except BaseException:
                host.close()
                raise
            self._idle.append(host)


LOCAL: dict[str, Callable[[Any], Any]] = {}
"""The functions that can be called in this process alone, by the name that a study file has for them."""


def name_of(call: Callable[[Any], Any]) -> str:
    """Return the name by which a study file has a Python object, as ``package.module:name`` or ``/a/file.py:name``.

    One that other processes cannot import by its name, as a lambda, a closure, or what a notebook defines, becomes one
    of `LOCAL`.
    """
    module, name = getattr(call, "__module__", None) or "__main__", getattr(call, "__qualname__", type(call).__name__)
    value: Any = sys.modules.get(module)
    file = getattr(value, "__file__", None) or ""
    for part in name.split("."):
        value = getattr(value, part, None)
    if value is call and (module != "__main__" or os.path.exists(file)):
        return f"{os.path.abspath(file) if module == '__main__' else module}:{name}"
    LOCAL[f"{module}:{name}"] = call
    return f"{module}:{name}"


@dataclass(frozen=True, eq=False)
class LocalObjective:
    """Calls a function of this process, which it may end; for functions that no other process can import."""

    call: Callable[[Any], Any]
    study: Study
    independent: ClassVar[bool] = True

    def __reduce__(self) -> NoReturn:
        raise BadInput("the objective was given from Python, and no other process can import it; use {}", INLINE)

    def lanes(self, trial: Trial | None = None) -> int:
        return 1

    def structures(self) -> int:
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return [[trial] for trial in trials]

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Call the function for one trial after the other; see `hpsearch.objectives.base.Objective`."""
        for task in tasks_of(trials, until, paused):
            points: list[Report] = []
            outcome = run(self.call, task, self.study, points.append)
            yield [*points, outcome]


def _close(idle: list[_Host]) -> None:
    while idle:
        idle.pop().close()


class _Output:
    """The ends of what a child writes in each of its trials, between marks that are unlike anything else."""

    def __init__(self) -> None:
        self.mark = os.urandom(16)
        self._rest = bytearray()
        self._of: dict[int, str] = {}
        self.last: int | None = None  # the number of the trial that was marked last

    def add(self, some: bytes) -> None:
        """Add what has come."""
        self._rest += some
        size = len(self.mark) + NUMBER
        while (at := self._rest.find(self.mark)) >= 0 and len(self._rest) >= at + size:
            number = int.from_bytes(self._rest[at + len(self.mark) : at + size], "big")
            self._of[number], self.last = _text(self._rest[:at]), number
            del self._rest[: at + size]
        del self._rest[: -KEPT_BYTES - size]

    def of(self, number: int) -> str:
        """Return that of a trial that has ended."""
        return self._of.pop(number, "")

    def rest(self) -> str:
        """Return that of the trial under way."""
        return _text(self._rest)


def _text(output: bytearray) -> str:
    return output[-KEPT_BYTES:].decode(errors="replace")[-KEPT_BYTES:]


class _Host:
    """The place in a worker where the function runs: one child process after another, on one device.

    See `hpsearch.objectives.user.host`.
    """

    def __init__(self, objective: FunctionObjective) -> None:
        self._device = Device(objective.devices) if objective.devices else None
        self._facts = {} if self._device is None else {DEVICE: self._device.name}
        self._guard = Guard()
        self._running = self._gone = False  # whether there is a process, and whether it has gone by itself

    def _start(self, objective: FunctionObjective) -> None:
        self._running, self._gone, self._output = True, False, _Output()
        self._connection, theirs = Pipe()
        start = f"import sys; sys.path[:] = {sys.path!r}; from {main.__module__} import main; main({theirs.fileno()})"
        self._child = Child(
            [sys.executable, "-c", start],
            guard=self._guard,
            environment=environment(self._device),
            files=[theirs.fileno()],
            on_output=self._output.add,
        )
        theirs.close()
        self._child.listen(self._connection)
        self._send(Setup(objective.function, (objective.folder, os.getcwd()), self._output.mark))

    def _stop(self) -> None:
        self._running = False
        self._child.end()
        self._connection.close()

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # it has ended, which `_next` notices
            self._connection.send(message)

    def run(self, objective: FunctionObjective, tasks: list[Task]) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Run trials, in their order, until all are done or the process has ended; those that are done leave the list.

        Raises:
            NotFound: The function cannot be imported, or its import ends the process.
        """
        if not self._running:
            self._start(objective)
            while not (messages := self._next()):
                yield []
                if self._gone:
                    raise NotFound(f"importing {objective.function} ended its process: {self._how()[0]}")
            if messages[0] is not None:
                raise messages[0]
        self._send((objective.study, tasks))
        began, points = time.monotonic(), defaultdict[int, list[float]](list)
        while tasks:
            messages = self._next()
            if messages:
                began = time.monotonic()
                self._child.read()
            for at, message in enumerate(messages):
                if isinstance(message, Report):
                    points[message.number].append(message.value)
                    continue
                del tasks[0]
                output = self._output.of(message.number)
                if isinstance(message, Failed):
                    messages[at] = replace(message, attributes={**message.attributes, OUTPUT: output, **self._facts})
            yield messages
            seconds = time.monotonic() - began
            late = objective.seconds is not None and seconds > objective.seconds
            if tasks and not messages and (late or self._gone):
                reason, ended = self._how() if self._gone else (f"no result within {objective.seconds:g} s", "timeout")
                self._stop()
                task = tasks.pop(self._under_way(tasks))
                attributes = {SECONDS: round(task.spent + seconds, 6), OUTPUT: self._output.rest(), ENDED: ended}
                curve = (*task.known, *points[task.trial.number])
                yield [Failed(task.trial.number, reason, curve, {**attributes, **self._facts})]
                return

    def _under_way(self, tasks: Sequence[Task]) -> int:
        """Return the place of the trial that ran when the process ended: that behind the last mark.

        Those before it have ended too, but their outcomes were not sent yet; they are run again.
        """
        marked = next((place for place, task in enumerate(tasks) if task.trial.number == self._output.last), -1)
        return min(marked + 1, len(tasks) - 1)

    def _next(self) -> list[Any]:
        """Return what the process has sent; it has ended once it is gone and all of that has been read."""
        gone = self._child.code is not None  # looked at first: what it has sent is there by then
        if self._child.wait(0 if gone else _POLL_S):
            try:
                messages: list[Any] = self._connection.recv()
                return messages
            except (EOFError, OSError):
                gone = True
        self._gone = gone
        return []

    def _how(self) -> tuple[str, str]:
        """Return how the process ended, in words and as `hpsearch.records.ENDED` has it."""
        code = self._child.code_within(_POLL_S)
        if code is None:
            return "it closed its connection", "exit"
        return ended_words(code), "exit" if code >= 0 else "signal"

    def close(self) -> None:
        """End the process and all that it started, and give the device back."""
        if self._running:
            self._stop()
        self._guard.close()
        if self._device is not None:
            self._device.close()
