"""Trials that others have run, however they come: which hyperparameters stay, and the stage that they become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.exchange.columns import TRIALS
from hpsearch.exchange.header import checked_space
from hpsearch.exchange.restore import FINISHED, times
from hpsearch.records import CURVES, HITS, REASON, SECONDS, VALIDATION_LOSS, Direction, NewStage, PastTrials
from hpsearch.space import Parameter, Space, Value, contains
from hpsearch.study_file import check_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = (
    "narrow's p-values take the trials for random draws from their ranges; of trials that a grid, a person or a "
    "sampler that learns has chosen they say little"
)
"""What everyone should know who narrows trials of others."""
_LOSS_WORDS = ("loss", "error", "rmse", "mse", "mae", "perplexity")


@dataclass(frozen=True, slots=True)
class Foreign:
    """Trials of others, N of them; the i-th becomes trial number i.

    Args:
        source: The file or the study, for messages and for the database; without folders or passwords.
        name: What the search may be called.
        kind: What that is: ``table`` or ``optuna study``.
        metric: The name of the score.
        direction: Whether a higher or a lower one is better.
        states: Optuna's names, shape (N,).
        scores: None or not finite for none, shape (N,).
        params: The values of each hyperparameter, None for none, shape (N,).
        ranges: Where they were drawn from, likewise by name.
        points: The curves; see `hpsearch.records.PastTrials`.
        attributes: Of the trials, likewise.
        started: When they began, if that is known.
        finished: When they ended, likewise.
        notes: What the person who imports them should know.
    """

    source: str
    name: str
    kind: str
    metric: str
    direction: Direction
    states: Sequence[str]
    scores: Sequence[float | None]
    params: Mapping[str, Sequence[Value | None]]
    ranges: Mapping[str, Parameter]
    points: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
    attributes: Sequence[tuple[int, str, Any]] = ()
    started: Sequence[datetime | None] = ()
    finished: Sequence[datetime | None] = ()
    notes: list[str] = field(default_factory=list)


def likely_direction(metric: str) -> Direction:
    """Whether a score of this name is better when it is higher: a loss and an error are not."""
    return "minimize" if any(word in metric.lower() for word in _LOSS_WORDS) else "maximize"


def to_stage(foreign: Foreign, *, name: str, now: datetime) -> tuple[NewStage, PastTrials, list[str]]:
    """Trials of others as the first stage of a search, with what to know of it.

    Raises:
        BadInput: No hyperparameter is left, or their names cannot be used.
        NotEnoughTrials: No trial has a score.
    """
    rows = len(foreign.states)
    notes = list(foreign.notes)
    scores = [_number(score) for score in foreign.scores]
    states = list(foreign.states)
    for row, score in enumerate(scores):
        if states[row] == "COMPLETE" and score is None:
            states[row] = "FAIL"
        elif states[row] not in FINISHED:
            states[row] = "WAITING"
    ranked = [row for row, state in enumerate(states) if state == "COMPLETE"]
    if not ranked:
        raise NotEnoughTrials(f"{foreign.source} has no trial with a score {foreign.metric!r}")
    reasons = dict.fromkeys((row for row in range(rows) if states[row] != foreign.states[row]), "no score")
    kept: dict[str, Parameter] = {}
    for parameter, drawn in foreign.ranges.items():
        missing = sum(foreign.params[parameter][row] is None for row in ranked)
        if missing:
            notes.append(
                f"{parameter} is left out: {missing} of {len(ranked)} scored trials have no value of it (it is "
                "conditional), and narrowing needs one of each"
            )
            continue
        outside = sum(not contains(drawn, foreign.params[parameter][row]) for row in ranked)
        if outside:
            notes.append(f"{outside} of {len(ranked)} scored trials lie outside the range of {parameter}: not narrowed")
        kept[parameter] = drawn
    if not kept:
        why = "; ".join(notes) or "none at all"
        raise BadInput(f"{foreign.source} has no hyperparameter that can be narrowed ({why})")
    space: Space = checked_space(kept)
    ended = [state in FINISHED for state in states]
    about = {"from": foreign.source, "kind": foreign.kind, "imported": f"{now.isoformat()}Z", "notes": notes}
    new = NewStage(
        search=check_name(name),
        number=1,
        direction=foreign.direction,
        seed=0,
        space=space,
        # No study file: what the score is and no more, so that nothing can be trained by it.
        study_file={"objective": {"metric": foreign.metric, "direction": foreign.direction}},
        imported=about,
    )
    unknown: list[datetime | None] = [None] * rows
    past = PastTrials(
        states=states,
        scores=[s if state in ("COMPLETE", "PRUNED") else None for s, state in zip(scores, states, strict=True)],
        started=times(foreign.started or unknown, ended, now),
        finished=times(foreign.finished or unknown, ended, now),
        params={name: foreign.params[name] for name in space},
        points=foreign.points,
        attributes=[
            *((row, REASON, reason) for row, reason in reasons.items() if states[row] == "FAIL"),
            *(one for one in foreign.attributes if _fits(*one[1:]) and (one[1] != REASON or one[0] not in reasons)),
        ],
    )
    return new, past, [*notes, RANDOM]


def _number(score: float | None) -> float | None:
    """A score; None where it is no finite number: trials are ranked by it."""
    return float(score) if score is not None and math.isfinite(score) else None


def _fits(key: str, value: Any) -> bool:
    """Whether an attribute is what hpsearch takes one of that name for; other names are free."""
    if key in (VALIDATION_LOSS, SECONDS):
        return type(value) in (int, float)
    return key not in (CURVES, HITS) and (key != REASON or isinstance(value, str))


def metric_name(metric: str, params: Sequence[str]) -> str:
    """What a score is called: its own name, or ``score`` where that is another column's."""
    taken = {column.name for column in TRIALS} - {VALIDATION_LOSS}
    return "score" if metric in taken or metric in params else metric


def no_points() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The curves of trials that have none."""
    return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
