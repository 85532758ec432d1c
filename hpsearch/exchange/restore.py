"""From an export to stages and trials that the store can write."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.exchange.columns import SERIES
from hpsearch.exchange.header import column_of
from hpsearch.records import CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS, NewStage, PastTrials, stage_name
from hpsearch.space import Float, Int, Parameter, Value
from hpsearch.store.frames import FIXED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.exchange.archive import Archive
    from hpsearch.exchange.header import StageHeader

FINISHED, UNFINISHED = ("COMPLETE", "PRUNED", "FAIL"), ("RUNNING", "WAITING")
_ATTRIBUTES = (VALIDATION_LOSS, SECONDS, REASON, HITS)
"""The attributes of trials that have columns, under the same names."""
_MOST_STEP = 2**31 - 1


def restore(archive: Archive, *, name: str | None, now: datetime) -> list[tuple[NewStage, PastTrials]]:
    """The stages of an export with their trials, to be written by `hpsearch.store.Store.import_stages`.

    Args:
        archive: What was read.
        name: The search's name; None for its own.
        now: When it is imported, UTC.

    Raises:
        BadInput: Rows are missing, twice there, or hold what no trial has.
    """
    header = archive.header
    made = header.new_stages(name)
    numbers = _rows_by_stage(archive)
    curves = _Curves(archive, made)
    restored = []
    for of_header, new in zip(header.stages, made, strict=True):
        old = stage_name(header.search, new.number)
        rows = _in_order(archive, of_header, numbers.get(old, []), old)
        about = {
            "from": archive.source,
            "kind": "export of hpsearch",
            "stage": old,
            "exported": header.exported,
            "imported": f"{now.isoformat()}Z",
            **({"before": dict(new.imported)} if new.imported else {}),
        }
        new = replace(new, imported=about)
        restored.append((new, _past(archive, new, of_header, rows, curves, now)))
    return restored


def _rows_by_stage(archive: Archive) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, stage in enumerate(archive.trials["stage"]):
        rows.setdefault(stage, []).append(row)
    described = {stage_name(archive.header.search, stage.number) for stage in archive.header.stages}
    for stage in rows:
        if stage not in described:
            raise BadInput(f"{archive.source} is damaged: it does not describe the stage {str(stage)[:80]!r}")
    return rows


def _in_order(archive: Archive, header: StageHeader, rows: list[int], name: str) -> list[int]:
    """The rows of a stage's trials, by number."""
    numbers = archive.trials["trial"]
    if any(numbers[row] is None for row in rows):
        raise BadInput(f"{archive.source} is damaged: a trial of {name} has no number")
    rows = sorted(rows, key=lambda row: numbers[row])
    if [numbers[row] for row in rows] != list(range(header.trials or 0)):
        raise BadInput(
            f"{archive.source} is damaged: of the {header.trials or 0} trials of {name} some are missing or there twice"
        )
    return rows


def _past(
    archive: Archive, new: NewStage, header: StageHeader, rows: list[int], curves: _Curves, now: datetime
) -> PastTrials:
    columns = {name: [archive.trials[name][row] for row in rows] for name in (*FIXED[1:], HITS)}
    states, scores = checked_states(columns["state"], columns["score"], source=f"{archive.source}: {new.name}")
    ended = [state in FINISHED for state in states]
    params: dict[str, list[Value | None]] = {}
    for name, parameter in new.space.items():
        cells = archive.trials.get(column_of(name), [])  # of an ancestor's own there is no column, and no trial
        params[name] = typed(parameter, [cells[row] for row in rows], source=f"{archive.source}: {name}")
    number, step, columns_of_curves = curves.of(new.number, np.array(ended, dtype=bool))
    score = columns_of_curves["score"]
    pointed = ~np.ma.getmaskarray(score)
    points = number[pointed], step[pointed], np.asarray(score.data[pointed], dtype=float)

    def attributes() -> Iterator[tuple[int, str, Any]]:
        for key in _ATTRIBUTES:
            for n, value in enumerate(columns[key]):
                # Why a trial was stopped early is read from its curve.
                if value is not None and ended[n] and not (key == REASON and states[n] == "PRUNED"):
                    yield n, key, value
        yield from _curve_attributes(number, columns_of_curves, header.series)

    return PastTrials(
        states=states,
        scores=scores,
        started=times(columns["started"], ended, now),
        finished=times(columns["finished"], ended, now),
        params=params,
        points=points,
        attributes=attributes(),
    )


def checked_states(
    states: Sequence[Any], scores: Sequence[float | None], *, source: str
) -> tuple[list[str], list[float | None]]:
    """States and scores that may stand in a database.

    A trial that was running waits to be run again; one without an end has no score.

    Raises:
        BadInput: No such state, or a complete trial without a score.
    """
    for number, (state, score) in enumerate(zip(states, scores, strict=True)):
        if state not in (*FINISHED, *UNFINISHED):
            raise BadInput(f"{source} is damaged: trial {number} has the state {str(state)[:40]!r}")
        if score != score or (state == "COMPLETE" and score is None):
            raise BadInput(f"{source} is damaged: trial {number} is {state} and has no score")
    kept = [state if state in FINISHED else "WAITING" for state in states]
    return kept, [score if state in ("COMPLETE", "PRUNED") else None for state, score in zip(kept, scores, strict=True)]


def times(times: Sequence[datetime | None], ended: Sequence[bool], now: datetime) -> list[datetime | None]:
    """When trials began, or ended: of one that ended at a time that nobody knows, when it was imported."""
    return [(time or now) if over else None for time, over in zip(times, ended, strict=True)]


def typed(parameter: Parameter, values: Sequence[Any], *, source: str) -> list[Value | None]:
    """Values as their parameter has them.

    Raises:
        BadInput: One is none that it may have; a number outside its range may stay.
    """
    choices = set() if isinstance(parameter, Float | Int) else {(type(choice), choice) for choice in parameter.choices}
    for value in values:
        if value is None:
            continue
        if isinstance(parameter, Float | Int):
            fine = type(value) in (int, float) and abs(value) <= 2.0**1023
            fine = fine and (isinstance(parameter, Float) or (value == int(value) and abs(value) <= 2**53))
        else:
            fine = (type(value), value) in choices
        if not fine:
            raise BadInput(f"{source} is damaged: it has the value {repr(value)[:40]}")
    if isinstance(parameter, Float):
        return [None if value is None else float(value) for value in values]
    if isinstance(parameter, Int):
        return [None if value is None else int(value) for value in values]
    return list(values)


def _joined(pieces: list[np.ma.MaskedArray[Any, Any]]) -> np.ma.MaskedArray[Any, Any]:
    data = [np.asarray(piece.data, dtype=float) for piece in pieces]
    masks = [np.ma.getmaskarray(piece) for piece in pieces]
    return np.ma.array(np.concatenate(data or [np.empty(0)]), mask=np.concatenate(masks or [np.empty(0, bool)]))


class _Curves:
    """The curves of an archive by stage, as arrays."""

    def __init__(self, archive: Archive, stages: Sequence[NewStage]) -> None:
        self._source = archive.source
        names = {stage_name(archive.header.search, new.number): new.number for new in stages}
        self._known = {stage.number: stage.trials or 0 for stage in archive.header.stages}
        pieces: dict[str, list[Any]] = {name: [] for name in ("stage", "trial", "epoch", "score", *SERIES)}
        for piece in archive.curves:
            if not names.keys() >= set(piece["stage"]):
                raise self._bad("a stage that it does not describe")
            stage = [names[name] for name in piece["stage"]]
            pieces["stage"].append(np.array(stage, dtype=np.int64))
            for name in ("trial", "epoch"):
                pieces[name].append(self._whole(piece[name], name))
            for name in ("score", *SERIES):
                pieces[name].append(piece[name])
        whole = {name: np.concatenate(of or [np.empty(0, np.int64)]) for name, of in list(pieces.items())[:3]}
        self._stage, self._number, self._step = whole["stage"], whole["trial"], whole["epoch"]
        self._columns = {name: _joined(pieces[name]) for name in ("score", *SERIES)}

    def _bad(self, what: str) -> BadInput:
        return BadInput(f"{self._source} is damaged: its curves have {what}")

    def _whole(self, values: Any, name: str) -> NDArray[np.int64]:
        plain = np.asarray(values.data, dtype=float)
        if np.ma.is_masked(values) or not (np.abs(plain) <= _MOST_STEP).all() or (plain != np.floor(plain)).any():
            raise self._bad(f"a {name} that is no whole number")
        return plain.astype(np.int64)

    def of(
        self, stage: int, ended: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[str, np.ma.MaskedArray[Any, Any]]]:
        """A stage's curves, by number and step, without those of trials that did not end."""
        here = np.flatnonzero(self._stage == stage)
        number, step = self._number[here], self._step[here]
        if len(number) and not (number.min() >= 0 and number.max() < self._known[stage]):
            raise self._bad("a trial that is not there")
        order = np.lexsort((step, number))
        order = order[ended[number[order]]]
        number, step = number[order], step[order]
        if ((number[1:] == number[:-1]) & (step[1:] == step[:-1])).any():
            raise self._bad("an epoch twice")
        return number, step, {name: column[here[order]] for name, column in self._columns.items()}


def _curve_attributes(
    number: NDArray[np.int64], columns: Mapping[str, np.ma.MaskedArray[Any, Any]], series: Sequence[str]
) -> Iterator[tuple[int, str, dict[str, list[float]]]]:
    """The attribute with the learning curves, trial by trial."""
    if not series or not len(number):
        return
    data = [(name, columns[name].data, ~np.ma.getmaskarray(columns[name])) for name in series]
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(number)], strict=True):
        part = slice(start, stop)
        kept = {name: values[part][there[part]].tolist() for name, values, there in data if there[part].any()}
        if kept:
            yield int(number[start]), CURVES, kept
