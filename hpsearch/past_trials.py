"""Trials that were run elsewhere, as an import brings them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.space import Value


@dataclass(frozen=True, slots=True, eq=False)
class PastTrials:
    """Trials that were run elsewhere, N of them: the i-th of each list is trial number i.

    Args:
        states: Optuna's names of their states, shape (N,). One that was running is no longer: it is ``WAITING``.
        scores: Their values, finite or infinite, None for none, shape (N,); every ``COMPLETE`` trial has one.
        started: When they began, UTC, None for not yet, shape (N,).
        finished: When they ended, UTC, likewise.
        params: Their values by parameter name, None for none, each of shape (N,).
        points: The learning curves: numbers, steps and scores, three arrays of shape (P,), by number and step.
        attributes: (number, key, value) of what else is kept of them, in any order; read once.
    """

    states: Sequence[str]
    scores: Sequence[float | None]
    started: Sequence[datetime | None]
    finished: Sequence[datetime | None]
    params: Mapping[str, Sequence[Value | None]]
    points: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
    attributes: Iterable[tuple[int, str, Any]] = ()

    def __len__(self) -> int:
        return len(self.states)
