"""The process of a job: runs its actions as the command line does, and writes what they print into the job's log."""

from __future__ import annotations

import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from hpsearch.errors import BadInput, HpsearchError
from hpsearch.records import Job, Line
from hpsearch.service.actions import command_line
from hpsearch.service.database import open_service
from hpsearch.service.jobs import INTERRUPTED, ClaimState, Queue
from hpsearch.service.settings import Settings
from hpsearch.store.leases import Owner

_TICK_S = 0.5  # seconds between two reports
_MOST_LINES = 10_000  # of a job's log; those beyond are left out
_LONGEST_LINE = 10_000  # bytes

StreamName: TypeAlias = Literal["stdout", "stderr"]


def run_job(claim: str, settings: Settings, *, command: Callable[[list[str]], int]) -> int:
    """Run a job that a worker has claimed, and record its end; return its exit code. SIGTERM is as Ctrl-C.

    Args:
        claim: The claim's id, which this process takes over.
        settings: The worker's.
        command: Runs a command: its words in, its exit code out.

    Raises:
        BadInput: Nobody has claimed a job under this id, or another process has it now.
    """
    with closing(open_service(settings.storage)) as database:
        away: list[str] = []  # notes that the server of the database did not answer
        database.on_disconnect(away.append, stopping=lambda: False)
        queue = Queue(database)
        if (job := queue.take(replace(Owner.current(), run=claim))) is None:
            raise BadInput(f"no job is claimed by {claim}; the service starts this process, people do not")
        with closing(_Log(queue, claim, job)) as log:
            code = _run(queue, claim, job, settings, command)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end is recorded
        if code and away:  # a command that begins just then fails; nobody is there to enter it again
            code = INTERRUPTED
        if log.claim_state != "lost":
            queue.finish(claim, code, reason=log.last_error.removeprefix("hpsearch: ") or f"exit code {code}")
    return code


def _run(queue: Queue, claim: str, job: Job, settings: Settings, command: Callable[[list[str]], int]) -> int:
    try:
        for position, action in enumerate(job.actions[job.position :], job.position):
            if code := command(command_line(action, settings)):
                return code
            queue.advance(claim, position + 1)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


class _Log:
    """The standard streams of this process as lines of the job's log; while it is open, the claim is renewed.

    Where the job is to stop, or the claim is lost, it sends SIGTERM to this process.
    """

    def __init__(self, queue: Queue, claim: str, job: Job) -> None:
        self._queue, self._claim = queue, claim
        self._number = queue.last_line(job.id)
        self._lines: list[Line] = []  # that are not in the database yet
        self.claim_state: ClaimState = "go on"
        self.last_error = ""
        self._ending = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._streams = [_Stream("stdout"), _Stream("stderr")]
        for stream in self._streams:
            self._selector.register(stream.reader, selectors.EVENT_READ, stream)
        self._thread = threading.Thread(target=self._work, name="hpsearch-log")
        self._thread.start()

    def close(self) -> None:
        """Give the streams back, once all that was printed is in the log."""
        self._ending.set()
        for stream in self._streams:
            stream.restore()
        self._thread.join()
        self.claim_state = self._queue.report(self._claim, self._lines)

    def _work(self) -> None:
        reported = time.monotonic()
        while True:
            ending = self._ending.is_set()  # before it looks: what was printed until then is in the pipes
            ready = self._selector.select(0 if ending else _TICK_S)
            for key, _ in ready:
                if content := os.read(key.fd, 65536):
                    self._add(key.data.name, key.data.lines(content))
                else:
                    self._selector.unregister(key.fd)
            if ending and not ready:
                break
            if time.monotonic() - reported >= _TICK_S:
                self._report()
                reported = time.monotonic()
        for stream in self._streams:
            self._add(stream.name, stream.rest())
            os.close(stream.reader)

    def _report(self) -> None:
        with suppress(HpsearchError):  # the database is away: the next report has these lines too
            claim_state = self._queue.report(self._claim, self._lines)
            self._lines = []
            if claim_state != "go on" and self.claim_state == "go on":
                self.claim_state = claim_state
                os.kill(os.getpid(), signal.SIGTERM)

    def _add(self, stream: StreamName, texts: list[str]) -> None:
        for text in texts:
            if stream == "stderr" and text.strip():
                self.last_error = text
            self._number += 1
            if self._number < _MOST_LINES:
                self._lines.append(Line(self._number, stream, text))
            elif self._number == _MOST_LINES:
                self._lines.append(Line(self._number, "stderr", f"the log ends here, after {_MOST_LINES:,} lines"))


class _Stream:
    """A standard stream of this process, whatever writes to it, as a pipe."""

    def __init__(self, name: StreamName) -> None:
        self.name = name
        self._stream = getattr(sys, name)
        self._stream.flush()
        self._number = 1 if name == "stdout" else 2
        self._before = os.dup(self._number)
        self.reader, writer = os.pipe()
        os.dup2(writer, self._number)
        os.close(writer)
        lines: dict[str, Any] = {"buffering": 1, "encoding": "utf-8", "errors": "backslashreplace", "closefd": False}
        setattr(sys, name, open(self._number, "w", **lines))  # noqa: SIM115 - `restore` takes it away
        self._part = b""  # a line that has not ended

    def lines(self, content: bytes) -> list[str]:
        """Return the lines that end with what has come; one that is too long is cut."""
        *whole, self._part = (self._part + content).split(b"\n")
        if len(self._part) > _LONGEST_LINE:
            whole, self._part = [*whole, self._part], b""
        return [line.decode(errors="backslashreplace") for line in whole]

    def rest(self) -> list[str]:
        """Return the last line if it has no end."""
        return self.lines(b"\n") if self._part else []

    def restore(self) -> None:
        """Let the stream be what it was."""
        getattr(sys, self.name).close()
        setattr(sys, self.name, self._stream)
        os.dup2(self._before, self._number)
        os.close(self._before)
