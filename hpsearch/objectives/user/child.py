"""Child processes that run the user's code: their start, the end of their output, and the end of all they started.

A child has a session and so a process group of its own. Whatever it does (exits, crashes, hangs, forks, ignores
signals) costs its trial, and its whole group is killed with it. If this process is killed itself, a `Guard` does that.
What starts a session of its own is in no group that is known here, and lives on.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import selectors
import signal
import subprocess
import tempfile
import weakref
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, ClassVar

from hpsearch.objectives.user.trial import Study, Task, tasks_of
from hpsearch.records import CHILD_THREADS, DEVICE, Outcome, Paused, Report, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MOST = 256  # trials in a batch
KEPT_BYTES = 4096  # of a child's output
_CHUNK = 1 << 16
_PIPE = 1 << 20  # bytes that a pipe holds at most
# It reads the group to kill, a line each time that changes; an empty one: none. Its input ends with this process.
# (`kill -9 -- -5` is an error in dash, and `kill -s KILL -5` another.)
_GUARD = 'while read -r group; do last=$group; done; [ -z "$last" ] || kill -9 "-$last"'


class Guard:
    """A shell that kills a process group as soon as this process is gone, however it ended."""

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )

    def watch(self, group: int | None) -> None:
        """Set the group to kill; None: there is none now."""
        assert self._shell.stdin is not None
        with contextlib.suppress(OSError):  # the shell was killed
            self._shell.stdin.write(b"\n" if group is None else b"%d\n" % group)

    def close(self) -> None:
        """End it; nothing is killed."""
        self.watch(None)
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()


class Tail:
    """The end of an output; where that has marks, the end of what follows the last one."""

    def __init__(self, mark: bytes = b"") -> None:
        self._mark, self._end = mark, bytearray()

    def add(self, some: bytes) -> None:
        """Add what has come."""
        self._end += some
        del self._end[: -KEPT_BYTES - len(self._mark)]

    def __str__(self) -> str:
        last = self._end.rpartition(self._mark)[2] if self._mark else self._end
        return last[-KEPT_BYTES:].decode(errors="replace")


class Child:
    """A process in a group of its own.

    Args:
        command: The program and its arguments.
        guard: What kills it if this process is killed.
        environment: Its environment; None: that of this process.
        folder: Its working folder; None: that of this process.
        files: Descriptors that it is to have.
        on_output: Is given what it writes to its standard output, as it comes.
        on_errors: Likewise of its standard error; None: that goes where its output goes.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        guard: Guard,
        environment: Mapping[str, str] | None = None,
        folder: str | None = None,
        files: Sequence[int] = (),
        on_output: Callable[[bytes], None],
        on_errors: Callable[[bytes], None] | None = None,
    ) -> None:
        self._guard = guard
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if on_errors is None else subprocess.PIPE,
            cwd=folder,
            env=environment,
            pass_fds=files,
            start_new_session=True,
            bufsize=0,
        )
        guard.watch(self._process.pid)
        self._over = False
        self._selector = selectors.DefaultSelector()
        self._add(self._process.stdout, on_output)
        if on_errors is not None:
            self._add(self._process.stderr, on_errors)

    @property
    def pid(self) -> int:
        """Return its process number, which is that of its group too."""
        return self._process.pid

    def _add(self, stream: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, selectors.EVENT_READ, take)

    def listen(self, connection: Any) -> None:
        """Have `wait` return as soon as a connection can be read."""
        self._selector.register(connection, selectors.EVENT_READ)

    def wait(self, timeout: float) -> bool:
        """Read output for at most so many seconds; return whether the connection that it listens to can be read."""
        ready = False
        if not self._selector.get_map():  # it has closed its output, and is about to end
            self.code_within(timeout)
            return ready
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                ready = True
            elif self._read(key) == b"":
                self._selector.unregister(key.fileobj)
        return ready

    def _read(self, key: selectors.SelectorKey) -> bytes | None:
        try:
            some = os.read(key.fd, _CHUNK)
        except BlockingIOError:
            return None
        key.data(some)
        return some

    def read(self) -> None:
        """Read the output that is there by now."""
        for key in list(self._selector.get_map().values()):
            left = _PIPE  # what has left the group may write for ever
            while key.data is not None and left > 0 and (some := self._read(key)):
                left -= len(some)

    @property
    def code(self) -> int | None:
        """Return its exit code, or minus the signal that killed it; None while it runs."""
        return self._process.poll()

    def code_within(self, timeout: float) -> int | None:
        """Return the same after at most so many seconds, as soon as it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        return self.code

    def end(self) -> None:
        """Kill it and all that it started, and read the rest of its output. Once more is no harm."""
        if self._over:
            return
        self._over = True
        self._kill()
        self._process.wait()
        self._kill()  # what was forked meanwhile
        self._guard.watch(None)
        self.read()
        self._selector.close()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is empty, or only not yet waited for
            os.killpg(self._process.pid, signal.SIGKILL)


def ended_words(code: int) -> str:
    """Return how a process ended, from its exit code or minus the signal that killed it."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    memory = ", perhaps because memory ran out" if -code == signal.SIGKILL else ""
    return f"killed by signal {-code}{name}{memory}"


class Device:
    """One of some devices, for one process at a time as long as there are enough.

    A process that takes one holds a lock of the operating system, which ends with it: workers of any executor, and of
    several runs on one machine, share devices so without knowing of each other.
    """

    def __init__(self, devices: Sequence[int | str]) -> None:
        for place in itertools.count():  # the second process on each only when each has one
            for device in devices:
                name = f"hpsearch-{os.getuid()}-device-{str(device).replace('/', '_')}-{place}.lock"
                file = os.open(os.path.join(tempfile.gettempdir(), name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(file)
                    continue
                self._file, self.name = file, str(device)
                return

    def close(self) -> None:
        """Give it back."""
        os.close(self._file)


def environment(device: Device | None) -> dict[str, str]:
    """Return the environment of a child process on a device; its libraries have more threads than this one's."""
    variables = dict(os.environ)
    for name, value in json.loads(variables.pop(CHILD_THREADS, "{}")).items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    return variables | ({} if device is None else {"CUDA_VISIBLE_DEVICES": device.name})


class Slot:
    """A worker's guard and device, which it keeps: if the device is broken, no other worker takes it up."""

    def __init__(self, devices: Sequence[int | str]) -> None:
        self.guard = Guard()
        self.device = Device(devices) if devices else None
        self.facts = {} if self.device is None else {DEVICE: self.device.name}

    def close(self) -> None:
        """End what it holds, and give the device back."""
        self.guard.close()
        if self.device is not None:
            self.device.close()


class OneByOne:
    """The base of objectives that evaluate one trial after the other, in batches of any trials."""

    independent: ClassVar[bool] = True

    def lanes(self, trial: Trial | None = None) -> int:
        return MOST

    def structures(self) -> int:
        return 1

    def group(self, trials: Sequence[Trial]) -> list[list[Trial]]:
        return [list(trials)] if trials else []


@dataclass(eq=False, kw_only=True)
class InChildProcess(OneByOne):
    """The base of objectives that run the user's code in child processes."""

    folder: str  # where files of the user's are looked for, before the working folder
    study: Study
    seconds: float | None = None  # how long a trial may take; None: any time
    devices: Sequence[int | str] = ()  # each process gets one of them; empty: all processes have all
    slot: ClassVar[type[Slot]] = Slot
    _idle: list[Any] = field(default_factory=list, repr=False)  # slots; more than one where threads evaluate at a time

    def __post_init__(self) -> None:
        weakref.finalize(self, _close, self._idle)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_idle": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__post_init__()

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Run one trial after the other; see `hpsearch.objectives.base.Objective`.

        One that paused is run again from its beginning.
        """
        slot = self._idle.pop() if self._idle else self.slot(self.devices)
        try:
            yield from self._run_all(tasks_of(trials, until, paused), slot)
        except BaseException:
            slot.close()
            raise
        self._idle.append(slot)

    @abstractmethod
    def _run_all(self, tasks: list[Task], slot: Any) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Run trials, in their order."""


def _close(idle: list[Slot]) -> None:
    while idle:
        idle.pop().close()
