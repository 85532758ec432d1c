"""From the store to the rows of an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.exchange.columns import CURVES, SERIES, Piece
from hpsearch.exchange.header import column_of
from hpsearch.records import CURVES as CURVES_ATTRIBUTE
from hpsearch.records import HITS, Stage, ancestry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hpsearch.store import Store


def lineage(stages: Sequence[Stage], number: int | None) -> list[Stage]:
    """The stages that an export describes: all of a search, or one and its ancestors, by number."""
    if number is None:
        return list(stages)
    last = next(stage for stage in stages if stage.number == number)
    return sorted(ancestry(stages, last), key=lambda stage: stage.number)


def trials_of(store: Store, stage: Stage) -> Piece:
    """The rows of a stage's trials; every column of `hpsearch.exchange.columns.trial_columns`."""
    found = store.columns(stage)
    hits = dict(store.attributes(stage, HITS))
    rows = len(found["number"])
    return {
        "stage": [stage.name] * rows,
        "trial": found["number"],
        **{name: found[name] for name in ("state", "score")},
        "metric": [stage.metric] * rows,
        **{name: found[name] for name in ("validation_loss", "seconds", "reason", "started", "finished")},
        **{column_of(name): found[f"param:{name}"] for name in stage.space},
        HITS: [hits.get(number) for number in found["number"]],
    }


@dataclass(frozen=True, slots=True, eq=False)
class StageCurves:
    """A stage's learning curves.

    Args:
        rows: Every column of `hpsearch.exchange.columns.CURVES`.
        series: The curves that its trials keep beside their score's.
    """

    rows: Piece
    series: tuple[str, ...]


def curves_of(store: Store, stage: Stage, numbers: Sequence[int]) -> StageCurves:
    """The rows of a stage's learning curves.

    Args:
        store: The study database.
        stage: The stage. The curve of what its score measures is the score's.
        numbers: The trials that are exported; others may have begun since those were read.
    """
    frame = store.curves(stage)
    points = frame["number"].to_numpy(np.int64), frame["step"].to_numpy(np.int64)
    beside = _Beside()
    for number, curves in store.attributes(stage, CURVES_ATTRIBUTE):
        beside.add(number, curves)
    at, step = _union(points, beside.places())
    known = np.isin(at, np.asarray(numbers, dtype=np.int64))
    at, step = at[known], step[known]
    columns: dict[str, Any] = {"score": _placed((at, step), points, frame["value"].to_numpy(float))}
    for name in SERIES:
        columns[name] = _placed((at, step), *beside.column(name))
    if stage.metric in SERIES and stage.metric not in beside.names:
        columns[stage.metric] = columns["score"]
    rows = {"stage": [stage.name] * len(at), "trial": np.ma.array(at), "epoch": np.ma.array(step), **columns}
    return StageCurves({column.name: rows[column.name] for column in CURVES}, tuple(beside.names))


class _Beside:
    """The curves that trials keep as an attribute, as arrays."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}
        self._values: dict[str, list[NDArray[np.float64]]] = {}

    @property
    def names(self) -> list[str]:
        return [name for name in SERIES if name in self._numbers]

    def add(self, number: int, curves: object) -> None:
        if not isinstance(curves, dict):  # somebody else's attribute of that name
            return
        for name in SERIES:
            values = curves.get(name)
            if isinstance(values, list) and values and all(type(value) in (float, int) for value in values):
                self._numbers.setdefault(name, []).append(number)
                self._values.setdefault(name, []).append(np.array(values, dtype=float))

    def column(self, name: str) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]:
        """A curve of all trials: where its points are, and what."""
        values = self._values.get(name, [])
        lengths = [len(some) for some in values]
        number = np.repeat(np.array(self._numbers.get(name, []), dtype=np.int64), lengths)
        step = np.concatenate([np.arange(1, length + 1) for length in lengths] or [np.empty(0, np.int64)])
        return (number, step), np.concatenate(values or [np.empty(0)])

    def places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where any of them has a point."""
        found = [self.column(name)[0] for name in self.names]
        numbers = [number for number, _ in found] or [np.empty(0, np.int64)]
        steps = [step for _, step in found] or [np.empty(0, np.int64)]
        return np.concatenate(numbers), np.concatenate(steps)


_Places = tuple["NDArray[np.int64]", "NDArray[np.int64]"]


def _union(first: _Places, second: _Places) -> _Places:
    """The places of either, by number and step, each once."""
    number, step = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    order = np.lexsort((step, number))
    number, step = number[order], step[order]
    fresh = np.ones(len(number), dtype=bool)
    fresh[1:] = (number[1:] != number[:-1]) | (step[1:] != step[:-1])
    return number[fresh], step[fresh]


def _placed(places: _Places, of: _Places, values: NDArray[np.float64]) -> np.ma.MaskedArray[Any, Any]:
    """Values at these places, masked where there is none."""
    found: np.ma.MaskedArray[Any, Any]
    found = np.ma.array(np.zeros(len(places[0])), mask=np.ones(len(places[0]), dtype=bool))
    if len(values) == len(found) and all(np.array_equal(a, b) for a, b in zip(places, of, strict=True)):
        return np.ma.array(values, mask=np.zeros(len(values), dtype=bool))
    low = min((part.min() for part in (places[1], of[1]) if len(part)), default=0)
    span = max((part.max() for part in (places[1], of[1]) if len(part)), default=0) - low + 1
    keys, of_keys = (number * span + (step - low) for number, step in (places, of))
    at = np.searchsorted(keys, of_keys)
    there = at < len(keys)
    there[there] = keys[at[there]] == of_keys[there]
    found[at[there]] = values[there]
    return found
