"""The next stage's ranges from a stage's best trials, with the evidence for each.

Pure functions: trials in, ranges out. Positions and widths are on each parameter's own scale (``log10`` of
the value where the range is logarithmic).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.search.narrowing.evidence import (
    LEAST_FOR_EDGES,
    Edge,
    Side,
    better_trials,
    find_edges,
    spread_p,
    uniform_ends,
)
from hpsearch.search.narrowing.evidence import Scored as Scored  # callers find it beside narrow()
from hpsearch.search.narrowing.finished import Finished, inside
from hpsearch.search.narrowing.narrowed import NarrowedRange, Narrowing
from hpsearch.space import (
    Categorical,
    Float,
    Int,
    Parameter,
    Space,
    Value,
    from_scale,
    to_scale,
)

if TYPE_CHECKING:
    from hpsearch.objectives.base import UsedBy
    from hpsearch.records import Direction

FLOOR = 0.02  # no range gets narrower than this share of its stage-1 width
_EXPONENTS = 300.0  # 10**x stays a finite number above 0


def narrow(
    space: Space,
    trials: Sequence[Scored] | Finished,
    *,
    top: int | None = None,
    quantile: float | None = None,
    direction: Direction,
    first_space: Space,
    expand: bool = False,
    natural: Mapping[str, tuple[float | None, float | None]] | None = None,
    used_by: Mapping[str, UsedBy] | None = None,
    settings: Mapping[str, Any] | None = None,
    pruned: int = 0,
    leaders: Sequence[int] | None = None,
) -> Narrowing:
    """Narrow each range to where the best trials are.

    With smallest a and largest b of the k best on the own scale, the new range is [a - w, b + w] with
    w = (b - a)/(k - 1), the unbiased estimate of a uniform range's ends (see `uniform_ends`).

    Args:
        space: The ranges that the trials were drawn from.
        trials: The finished, successful trials, in any order.
        top: Use this many of the best; at least 2.
        quantile: Or this share of all of them and of the pruned ones, in (0, 1].
        direction: Whether a higher or a lower score is better.
        first_space: The search's stage-1 ranges: none gets narrower than 2 % of those.
        expand: Move a bound outwards where the score still rises towards it.
        natural: The lowest and highest values that a hyperparameter can have at all (None: no bound), by name;
            bounds an expansion as ``limit`` does.
        used_by: Which trials use a hyperparameter, by name (not there: all). The others' values of it had no
            effect, so only the trials among the k best that use it are the k of the above; of fewer than two its
            range is kept.
        settings: Values of the hyperparameters that are not drawn.
        pruned: How many further trials were stopped early. They are beaten by all of ``trials``, and nothing more is
            known of them: that the best k are k uniform draws if a parameter does not matter holds with them and
            without, but whether the score still rises at a bound is asked of the others alone, if they are not few.

        leaders: Numbers of trials that were found best by other means than their scores, best first: the first of
            these are the k best. Chosen by another look at the same values, they are k uniform draws all the same if
            a parameter does not matter.

    Raises:
        BadInput: Both or neither of ``top`` and ``quantile``, one out of its range, or a trial that does not
            fit the space.
        NotEnoughTrials: Fewer finished trials than asked for.
    """
    k = _how_many(len(trials), pruned, top, quantile)
    columns = trials if isinstance(trials, Finished) else Finished.of(trials, space)
    ranked = columns.best_first(direction)
    if leaders is not None:
        if k > len(leaders):
            raise NotEnoughTrials(f"the top {k} of {len(leaders)} trials; ask for fewer")
        ranked = ranked.led_by(leaders)
    goodness = ranked.score if direction == "maximize" else -ranked.score
    ranges: dict[str, NarrowedRange] = {}
    for name, old in space.items():
        _check_values(ranked, name, old)
        condition = (used_by or {}).get(name)
        users = ranked.users(condition, settings or {})
        values, best = ranked.params[name][users], int(np.sum(users < k))
        first, outer = first_space.get(name, old), (natural or {}).get(name, (None, None))
        if best < 2:
            made = NarrowedRange(name, old, old, best, None, None, None, 1.0)
        elif isinstance(old, Categorical):
            made = _narrow_choices(name, old, values[:best].tolist())
        else:
            numbers = values.astype(float)
            few = bool(pruned) and len(users) < LEAST_FOR_EDGES
            edges = () if few else find_edges(old, numbers, goodness[users], best)
            made = _narrow_range(name, old, numbers[:best].tolist(), first, edges, expand, outer)
            made = replace(made, few=len(users) if few else None)
        ranges[name] = replace(made, direction=direction, best=None if condition is None else k, used_by=condition)
    rule = {"top": top, "quantile": quantile, "used": k, "finished": len(trials) + pruned, "expand": expand}
    rule |= {"pruned": pruned} if pruned else {}
    space = {name: r.after for name, r in ranges.items()}
    used = tuple(ranked.number[:k].tolist())
    return Narrowing(space, ranges, used, {**rule, "direction": direction})


def told_apart(complete: int, pruned: int, top: int | None, quantile: float | None) -> int:
    """How many of the best trials `narrow` tells apart, where all trials use all parameters: nothing that it finds
    depends on the order of the others.

    Args:
        complete: How many trials there are.
        pruned: How many were stopped early.
        top: As `narrow` takes it.
        quantile: Likewise.
    """
    return max(asked_for(complete, pruned, top, quantile), better_trials(complete))


def asked_for(complete: int, pruned: int, top: int | None, quantile: float | None) -> int:
    """How many of the best trials are asked for, before that is checked; arguments as those of `told_apart`."""
    return (top or 0) if quantile is None else math.ceil(quantile * (complete + pruned))


def _how_many(complete: int, pruned: int, top: int | None, quantile: float | None) -> int:
    if top is not None and quantile is not None:
        raise BadInput(f"top = {top} and quantile = {quantile} were both given; give one of them")
    if top is None and quantile is None:
        raise BadInput("neither top nor quantile was given; give one of them")
    if top is not None:
        if top < 2:
            raise BadInput(f"top = {top}; one value has no spread, so give at least 2")
        k, asked = top, f"the top {top}"
    else:
        assert quantile is not None
        if not 0 < quantile <= 1:
            raise BadInput(f"quantile = {quantile}; give a share above 0 and at most 1, such as 0.1")
        # 0.07 * 100 is 7.000000000000001 in floating point, and means 7.
        k, asked = max(2, math.ceil(quantile * (complete + pruned) - 1e-9)), f"a quantile of {quantile}"
    if k > complete:
        remedy = "run more trials" + (f" or ask for top {complete}" if top and complete >= 2 else "")
        stopped = f" ({pruned} more were stopped early)" if pruned else ""
        raise NotEnoughTrials(
            f"{asked} needs {k} trials that finished with a score and there {'is' if complete == 1 else 'are'} "
            f"{complete}{stopped}; {remedy}"
        )
    return k


def _check_values(trials: Finished, name: str, parameter: Parameter) -> None:
    outside = np.flatnonzero(~inside(parameter, trials.params[name]))
    if not len(outside):
        return
    number, value = trials.number[outside[0]], trials.params[name][outside[:1]].tolist()[0]
    if isinstance(parameter, Categorical):
        allowed = f"one of {', '.join(map(str, parameter.choices))}"
    else:
        allowed = f"within [{parameter.low:.6g}, {parameter.high:.6g}]"
    raise BadInput(f"trial {number} has {name} = {value!r}, which is not {allowed}; use this stage's")


def _narrow_choices(name: str, old: Categorical, best: Sequence[Value]) -> NarrowedRange:
    new = Categorical(tuple(choice for choice in old.choices if choice in best))
    kept = len(new.choices) / len(old.choices)
    return NarrowedRange(name, old, new, len(best), spread_p(old, best), None, None, kept)


def _narrow_range(
    name: str,
    old: Float | Int,
    best: Sequence[float],
    first: Parameter,
    edges: tuple[Edge, ...],
    expand: bool,
    natural: tuple[float | None, float | None],
) -> NarrowedRange:
    low, high = to_scale(old, old.low), to_scale(old, old.high)
    lowest, highest = min(best), max(best)
    full = high - low if isinstance(first, Categorical) else to_scale(old, first.high) - to_scale(old, first.low)
    inner = uniform_ends(
        (to_scale(old, lowest), to_scale(old, highest)), len(best), within=(low, high), floor=FLOOR * full
    )
    ends = [  # at the old bounds exactly these: 10**log10(x) need not be x
        old.low if inner[0] <= low else min(max(_value_at(old, inner[0], "low"), old.low), lowest),
        old.high if inner[1] >= high else max(min(_value_at(old, inner[1], "high"), old.high), highest),
    ]
    if not ends[0] < ends[1]:  # a range of a few floating-point numbers
        ends = [old.low, old.high]
    stopped: dict[str, float] = {}
    for edge in edges if expand else ():
        reach = max(high - inner[0] if edge.side == "high" else inner[1] - low, (high - low) / 4)
        target = _value_at(old, high + reach if edge.side == "high" else low - reach, edge.side)
        limit = _limit(old, natural, edge.side)
        # Signs make one rule of both sides: `sign * value` grows outwards.
        side, sign = (1, 1.0) if edge.side == "high" else (0, -1.0)
        if limit is not None and sign * target > sign * limit:
            stopped[edge.side] = limit
            target = _aligned(old, limit, up=edge.side == "low")
        if sign * target > sign * edge.bound:
            ends[side] = target
    new: Float | Int
    if isinstance(old, Int):
        new = replace(old, low=int(ends[0]), high=int(ends[1]))
        lowest, highest = int(lowest), int(highest)
    else:
        new = replace(old, low=ends[0], high=ends[1])
    kept = (to_scale(new, new.high) - to_scale(new, new.low)) / (high - low)
    moved = new.low < old.low or new.high > old.high
    p = spread_p(old, best)
    return NarrowedRange(name, old, new, len(best), p, lowest, highest, kept, edges, moved, stopped, expand)


def _value_at(old: Float | Int, position: float, side: Side) -> float:
    """A position as a value; of ints the next one outwards."""
    value = from_scale(old, min(max(position, -_EXPONENTS), _EXPONENTS) if old.log else position)
    return _aligned(old, value, up=side == "high")


def _aligned(old: Float | Int, value: float, *, up: bool) -> float:
    """A value; of ints the next one that is whole steps from the low, unless it is one but for rounding."""
    if isinstance(old, Float):
        return value
    steps, slack = (value - old.low) / old.step, 1e-9 + 1e-12 * abs(value) / old.step
    return old.low + old.step * (math.ceil(steps - slack) if up else math.floor(steps + slack))


def _limit(old: Float | Int, natural: tuple[float | None, float | None], side: Side) -> float | None:
    """How far a bound may move: the tighter of the parameter's own limit and what is possible at all."""
    own = old.limit or (None, None)
    if side == "high":
        return min((b for b in (own[1], natural[1]) if b is not None), default=None)
    least = 1 if old.log and isinstance(old, Int) else None
    return max((b for b in (own[0], natural[0], least) if b is not None), default=None)
