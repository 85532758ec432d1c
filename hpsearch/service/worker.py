"""A worker: claims jobs and has a process of its own run each of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from hpsearch.errors import HpsearchError
from hpsearch.records import Action
from hpsearch.service.client import SERVER, TOKEN
from hpsearch.service.database import open_service
from hpsearch.service.jobs import INTERRUPTED, Queue
from hpsearch.service.settings import Settings
from hpsearch.store import open_store
from hpsearch.store.leases import Owner
from hpsearch.text import printable_line
from hpsearch.wording import words

_LOOK_S = 0.5  # seconds between two looks for jobs
_AGAIN_S = 30.0  # seconds after which a process that was asked to end is asked again; then it ends at once


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run jobs in the background for as long as the block lasts; then stop those that run on this machine.

    Each records what is finished, and goes back to the queue. Another Ctrl-C leaves them to themselves.
    """
    ending = threading.Event()
    with closing(open_service(settings.storage)) as database:
        database.on_disconnect(_warn, stopping=ending.is_set)
        worker = _Worker(Queue(database), settings)
        thread = threading.Thread(target=worker.work, args=(ending,), name="hpsearch-worker", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()
            worker.stop()


def work(settings: Settings, *, on_ready: Callable[[], None]) -> None:
    """Run jobs until Ctrl-C or SIGTERM, without a server.

    Args:
        settings: As the server's; the study database is made where it is missing.
        on_ready: Called once it looks for jobs.
    """
    open_store(settings.storage, create=True, write=True).close()
    with working(settings), suppress(KeyboardInterrupt):
        on_ready()
        threading.Event().wait()


class _Worker:
    def __init__(self, queue: Queue, settings: Settings) -> None:
        self._queue, self._settings = queue, settings
        self._processes: dict[str, subprocess.Popen[bytes]] = {}  # by claim

    def work(self, ending: threading.Event) -> None:
        """Run jobs until told to end."""
        while not ending.is_set():
            try:
                self._reap()
                while not ending.is_set() and self._claim():
                    pass
            except (HpsearchError, OSError) as error:  # the database is away, or there is no memory for a process
                if not ending.is_set():
                    _warn(f"jobs cannot be run: {error}; trying again")
            ending.wait(_LOOK_S)

    def _claim(self) -> bool:
        owner = Owner.current()
        if self._queue.claim(owner, at_once=self._settings.at_once) is None:
            return False
        environment = {name: value for name, value in os.environ.items() if name not in (SERVER, TOKEN)}
        # In the environment, as a URL may hold a password, and every user may read a command line.
        environment["HPSEARCH_STORAGE"] = self._settings.storage
        line = words(Action("serve", {"run_job": owner.run, "studies": str(self._settings.studies)}))
        try:
            self._processes[owner.run] = subprocess.Popen(
                [sys.executable, "-m", "hpsearch", *line],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C and a closed terminal are the worker's; it outlives a killed one
            )
        except OSError:
            self._queue.finish(owner.run, INTERRUPTED)  # it waits again: the machine is at fault
            raise
        return True

    def _reap(self) -> None:
        """Forget processes that have ended; a job that one of them has left behind is begun again."""
        for claim, process in [*self._processes.items()]:
            if (code := process.poll()) is None:
                continue
            if code in (INTERRUPTED, -signal.SIGTERM):  # before it could say so itself
                self._queue.finish(claim, INTERRUPTED)
            else:
                self._queue.abandon(claim)
            del self._processes[claim]

    def stop(self) -> None:
        """Ask the processes that run jobs to end, also those of this machine's workers that were killed, and wait."""
        asked = -_AGAIN_S
        if self._alive():
            _warn("the jobs that run here record what has finished, and go on when this is started again")
        while alive := self._alive():
            if time.monotonic() - asked >= _AGAIN_S:
                asked = time.monotonic()
                for pid in alive:
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGTERM)
            time.sleep(0.05)

    def _alive(self) -> set[int]:
        with suppress(HpsearchError):
            self._reap()
        mine = {process.pid for process in self._processes.values() if process.poll() is None}
        with suppress(HpsearchError):
            return mine | {owner.pid for owner in self._queue.orphans()}
        return mine


def _warn(text: str) -> None:
    print(printable_line(f"hpsearch: {text}"), file=sys.stderr, flush=True)
