"""The interface of executors, which evaluate batches of trials; the one in this process; one BLAS thread."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, final

from hpsearch.errors import BadInput
from hpsearch.records import CHILD_THREADS, Completed, Failed, Outcome, Paused, Report, Trial
from hpsearch.text import reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


FLUSH_S = 1.0  # points of learning curves leave an executor at most this long after their epoch's end, in seconds


class Evaluates(Protocol):
    """The part of an objective that an executor calls; see `hpsearch.objectives.base.Objective`."""

    def evaluate(
        self, trials: Sequence[Trial], *, until: int | None = None, paused: Sequence[Paused] = ()
    ) -> Iterator[Sequence[Report | Outcome | Paused]]:
        """Evaluate trials together: points of curves as they come, and exactly one outcome or pause for each trial."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Trials to be evaluated together."""

    key: int  # unique among batches
    trials: tuple[Trial, ...]
    attempt: int = 1  # 1 for the first time
    until: int | None = None  # the epoch to pause at; None: evaluate to the end
    paused: tuple[Paused, ...] = ()  # where the trials stand, one each in their order; empty: at the start


@dataclass(frozen=True, slots=True)
class Progress:
    """Points of the learning curves of trials that are still running."""

    reports: tuple[Report, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """A finished batch."""

    batch: Batch
    outcomes: tuple[Outcome | Paused, ...]
    worker: str = ""  # the worker that evaluated it


@dataclass(frozen=True, slots=True)
class Lost:
    """A lost batch: its worker died, or its evaluation raised."""

    batch: Batch
    reason: str
    fatal: bool = False  # whether its worker would lose every other batch too, as it cannot have the objective
    worker: str = field(default="", compare=False)  # the worker that evaluated it


Event: TypeAlias = Progress | Done | Lost


class Executor(Protocol):
    """Evaluates batches. Workers never touch the database."""

    slots: int  # the batches that are evaluated at a time; where workers come and go, the number of them now

    @property
    def free(self) -> int:
        """Return how many batches may be submitted now."""

    def load(self, objective: Evaluates) -> None:
        """Set the objective from now on. Before the first batch, and again for another stage."""

    def expect(self, batches: int) -> None:
        """Announce how many more batches could be submitted now, for executors that start workers on demand."""

    def submit(self, batch: Batch) -> None:
        """Begin a batch. Only while `free` is above 0."""

    def wait(self, timeout: float) -> list[Event]:
        """Return the events since the last call; blocks up to ``timeout`` seconds for the first event."""

    def quarantine(self, worker: str) -> bool:
        """Give a worker no further batches; return False, and go on giving it some, if there is no other one."""

    def close(self, *, kill: bool = False) -> None:
        """End the workers. With ``kill``, batches in flight are dropped at once."""


def _finite(outcome: Outcome | Paused) -> Outcome | Paused:
    # One NaN among a study's scores makes every later read of it raise in Optuna.
    if not isinstance(outcome, Completed) or math.isfinite(outcome.score):
        return outcome
    return Failed(outcome.number, f"the score is {outcome.score}", outcome.intermediate, outcome.attributes)


def drive(objective: Evaluates, batch: Batch) -> Iterator[Progress | Done | Lost | None]:
    """Evaluate a batch: its progress at most every `FLUSH_S`, then `Done`, or `Lost` with the error's text.

    Yields None in between, at every point where the caller may do something else.
    """
    outcomes: list[Outcome | Paused] = []
    reports: list[Report] = []
    flushed = time.monotonic()
    try:
        for items in objective.evaluate(batch.trials, until=batch.until, paused=batch.paused):
            reports += [item for item in items if isinstance(item, Report)]
            outcomes += [_finite(item) for item in items if not isinstance(item, Report)]
            if reports and time.monotonic() - flushed >= FLUSH_S:
                yield Progress(tuple(reports))
                reports = []
                flushed = time.monotonic()
            else:
                yield None
    except BadInput as error:
        yield Lost(batch, str(error), fatal=True)
        return
    except Exception as error:  # whatever an objective raises is its trials' failure, not the runner's
        yield Lost(batch, reason(error))
        return
    expected = Counter(trial.number for trial in batch.trials)
    given = Counter(outcome.number for outcome in outcomes)
    if missing := expected - given:
        yield Lost(batch, f"the objective gave no outcome for trials {sorted(missing)}")
        return
    if extra := given - expected:
        yield Lost(batch, f"the objective returned more than one outcome for trials {sorted(extra)}")
        return
    yield Done(batch, tuple(outcomes))


@final
class InlineExecutor:
    """Evaluates batches in this process: nothing to start, easy to debug.

    `wait` works on the batch until its timeout, so that the caller keeps writing curves and receives Ctrl-C.
    """

    slots = 1

    def __init__(self) -> None:
        self._objective: Evaluates | None = None
        self._running: Iterator[Event | None] | None = None

    @property
    def free(self) -> int:
        return 0 if self._running is not None else 1

    def load(self, objective: Evaluates) -> None:
        self._objective = objective

    def expect(self, batches: int) -> None:
        """Do nothing: the number of workers is fixed."""

    def submit(self, batch: Batch) -> None:
        assert self._objective is not None
        self._running = drive(self._objective, batch)

    def wait(self, timeout: float) -> list[Event]:
        """Work on the batch until there is an event or the time is over."""
        until = time.monotonic() + timeout
        while self._running is not None:
            event = next(self._running, None)
            if event is not None:
                if not isinstance(event, Progress):
                    self._running = None
                return [event]
            if time.monotonic() >= until:
                break
        return []

    def quarantine(self, worker: str) -> bool:
        return False

    def close(self, *, kill: bool = False) -> None:
        self._running = None


# Two processes with two BLAS threads each on two cores run several times slower than with one each. A BLAS reads these
# variables when it is loaded, so they are set before NumPy is imported.
VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


_before_pin: dict[str, str] | None = None  # those that the user had set


def pin() -> None:
    """Give this process one BLAS thread, whatever the environment says. Call it before NumPy is imported."""
    global _before_pin
    if "numpy" not in sys.modules:
        _before_pin = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        os.environ.update(dict.fromkeys(VARIABLES, "1"))


@contextlib.contextmanager
def child_threads(count: int | None) -> Iterator[None]:
    """Say inside how many BLAS threads processes of the user's code have: what the user set, or else ``count``.

    None: as many as the library takes.
    """
    users = {name: os.environ[name] for name in VARIABLES if name in os.environ} if _before_pin is None else _before_pin
    default = None if users or count is None else str(count)
    os.environ[CHILD_THREADS] = json.dumps({name: users.get(name, default) for name in VARIABLES})
    try:
        yield
    finally:
        os.environ.pop(CHILD_THREADS, None)


@contextlib.contextmanager
def pinned_children() -> Iterator[None]:
    """Give processes that are started inside one BLAS thread each."""
    before = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    try:
        yield
    finally:
        for name in VARIABLES:
            del os.environ[name]
        os.environ.update(before)
