"""Functions that run in Dask's workers: the evaluation of a batch, and the facts that results depend on.

`hpsearch.executors.dask.executor` sends these functions by name, so a worker needs an hpsearch that has them.
"""

from __future__ import annotations

import importlib
import os
import pickle
import platform
import signal
import socket
import threading
from dataclasses import replace
from typing import Any

import numpy as np
from distributed import get_worker

from hpsearch import __version__
from hpsearch.executors.base import Batch, Done, Evaluates, Lost, Progress, drive
from hpsearch.executors.pool import hear_no_interrupts
from hpsearch.nn.lanes import fingerprint

# A Dask nanny sets these to 1 before its worker loads NumPy.
BLAS_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_lock = threading.Lock()
# The objective that this process evaluates, and its name; unpickled once, not for each batch.
_loaded: tuple[str, Evaluates] | None = None


def versions() -> dict[str, str]:
    """Return the versions that must be the same in all processes of a run, by name."""
    major, minor, _ = platform.python_version_tuple()
    return {"hpsearch": __version__, "numpy": np.__version__, "Python": f"{major}.{minor}"}


def surroundings(preload: str | None = None) -> dict[str, Any]:
    """Return the facts that results depend on: ``versions``, ``pinned`` (one BLAS thread), ``process``, ``rounding``.

    ``preload`` is a module to import, so that the first batch need not wait for it.
    """
    if signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()):  # a worker of ours
        hear_no_interrupts()
    if preload is not None:
        importlib.import_module(preload)
    return {
        "versions": versions(),
        "pinned": all(os.environ.get(name) == "1" for name in BLAS_VARIABLES),
        "process": (socket.gethostname(), os.getpid()),
        "rounding": fingerprint(),
    }


def evaluate(objective: bytes, token: str, batch: bytes, topic: str) -> bytes:
    """Evaluate a batch as a task.

    Points of curves go out as events of a topic: ``[key of the task, [[number, step, value], ...]]``.

    Returns:
        The pickled `Done` or `Lost`, without the trials.
    """
    worker = get_worker()
    key = worker.get_current_task()
    unpickled: Batch = pickle.loads(batch)
    for event in drive(_objective(objective, token), unpickled):
        match event:
            case Progress(reports):
                worker.log_event(topic, [key, [[report.number, report.step, report.value] for report in reports]])
            case Done() | Lost():
                return pickle.dumps(replace(event, batch=Batch(unpickled.key, ())))
        if _is_dropped(worker, key):
            break
    return pickle.dumps(Lost(Batch(unpickled.key, ()), "dropped"))


def _objective(pickled: bytes, token: str) -> Evaluates:
    global _loaded
    with _lock:
        if _loaded is None or _loaded[0] != token:
            _loaded = None  # two at a time may be more than there is memory for
            _loaded = token, pickle.loads(pickled)
        return _loaded[1]


def _is_dropped(worker: Any, key: object) -> bool:
    # Dask cannot end a thread. The client has let go of the task, or is gone; or the worker is on its way out.
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled" or worker.status.name in ("closing", "closed", "failed")
