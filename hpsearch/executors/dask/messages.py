"""What Dask reports, as messages: batches that are back, points of curves, workers that come and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from distributed import Future


@dataclass(frozen=True, slots=True)
class Points:
    """Points of curves: number, step, value."""

    key: str
    points: tuple[tuple[int, int, float], ...]


@dataclass(frozen=True, slots=True)
class Back:
    """A task is back: with pickled outcomes, or with the reason why there are none."""

    key: str
    reason: str | None
    outcomes: bytes = b""


@dataclass(frozen=True, slots=True)
class Returned:
    """A task was dropped by no fault of its own: the data or the connection were lost, or somebody cancelled it."""

    key: str


@dataclass(frozen=True, slots=True)
class Killed:
    """The scheduler itself gave a task up, because its worker died."""

    key: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker that may be given batches, so many at a time, and how it rounds (`hpsearch.nn.lanes`)."""

    worker: str
    threads: int
    rounding: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker that may not, and why."""

    worker: str
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """A worker is gone: sent home as expected, or dead, with the tasks that it had then."""

    worker: str
    keys: frozenset[str]
    expected: bool


@dataclass(frozen=True, slots=True)
class Present:
    """All workers that there are."""

    workers: frozenset[str]


@dataclass(frozen=True, slots=True)
class Mended:
    """The connection was lost and is there again. Whatever was under way is not.

    Args:
        connection: The new one.
    """

    connection: object


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes are at the workers."""

    sending: str
    future: Future


@dataclass(frozen=True, slots=True)
class Unsent:
    """Bytes did not get to the workers, and why."""

    sending: str
    reason: str


@dataclass(frozen=True, slots=True)
class Over:
    """The connection is lost for good, or is not watched any more, and why, where that is known."""

    reason: str = ""

    @property
    def why(self) -> str:
        """The reason in brackets, or nothing."""
        return f" ({self.reason})" if self.reason else ""


Message: TypeAlias = (
    Points | Back | Returned | Killed | Joined | Refused | Left | Present | Mended | Sent | Unsent | Over
)
