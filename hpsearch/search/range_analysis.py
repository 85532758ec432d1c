"""Narrowing as a pure function: finished trials in, the next ranges with the evidence for each out.

Positions and widths are on each parameter's transformed scale (log10 where its range is logarithmic).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch.errors import BadArgument, BadInput, NotEnoughTrials
from hpsearch.records import Argument, Direction, Sentence
from hpsearch.search.edges import LEAST_FOR_EDGES, Edge, Side, find_edges, with_earlier
from hpsearch.search.evidence import (
    CLEAR,
    FEW,
    WEAK,
    Effect,
    columns,
    effect,
    either_p,
    lost_choices,
    spread_p,
    uniform_ends,
)
from hpsearch.space import (
    Categorical,
    Float,
    Int,
    Parameter,
    Space,
    Value,
    When,
    contains,
    from_scale,
    shown,
    stepped,
    to_scale,
)
from hpsearch.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.objectives.base import UsedBy
    from hpsearch.search.plausible import Plausible

FLOOR = 0.02  # no range gets narrower than this share of its stage-1 width
_FITTED = 10  # number of parameters, those with the strongest effect, that the response at a bound is fitted to
_EXPONENTS = 300.0  # 10**x stays a finite number above 0
_SAME = 1e-9  # scores that differ by no more than this share are equal but for rounding


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Completed trials column by column, N of them: narrowing reads all of a stage's, however many there are."""

    number: NDArray[np.int64]  # (N,)
    score: NDArray[np.float64]  # (N,)
    loss: NDArray[np.float64]  # (N,) validation losses, which break ties of the score; NaN for none
    params: Mapping[str, NDArray[Any]]  # (N,) each, by name; NaN where a trial does not have the parameter

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def from_columns(
        cls, space: Space, columns: Mapping[str, NDArray[Any]], may_lack: Collection[str] = ()
    ) -> Finished:
        """Return trials of the database, without those that say nothing about a stage with these ranges.

        A trial that another program ran in the stage's study may have values outside the ranges or too few, or a score
        that is not finite.

        Args:
            may_lack: The parameters that a trial need not have.
        """
        params = {name: columns[f"param:{name}"] for name in space}
        kept = np.isfinite(columns["score"])
        for name, parameter in space.items():
            within = inside(parameter, params[name])
            kept &= (within | missing(params[name])) if name in may_lack else within
        return cls(columns["number"], columns["score"], columns["validation_loss"], params)._take(kept)

    def best_first(self, direction: Direction) -> Finished:
        """Return the trials as `hpsearch.records.rank_key` sorts them: by score, lower loss (none last), number."""
        sign = -1.0 if direction == "maximize" else 1.0
        loss = np.where(np.isnan(self.loss), np.inf, self.loss)
        return self._take(np.lexsort((self.number, loss, sign * self.score)))

    def led_by(self, numbers: Sequence[int]) -> Finished:
        """Return the trials with these ones first, in this order, and the others behind them as they were."""
        place = {number: at for at, number in enumerate(self.number.tolist())}
        for number in numbers:
            if number not in place:  # a repair has released it since, say
                raise BadInput(f"trial {number} is not among the stage's finished trials with values in its ranges")
        first = [place[number] for number in numbers]
        return self._take(np.array([*first, *sorted(set(place.values()) - set(first))], dtype=np.intp))

    def best(self, count: int, direction: Direction) -> Finished:
        """Return the first ``count`` of `best_first`, without ranking the others."""
        if count >= len(self):
            return self.best_first(direction)
        goodness = self.score if direction == "maximize" else -self.score
        last = np.partition(goodness, len(self) - count)[len(self) - count]
        return self._take(np.flatnonzero(goodness >= last)).best_first(direction)._take(np.arange(count))

    def users(self, name: str, condition: UsedBy | None, settings: Mapping[str, Any]) -> NDArray[np.intp]:
        """Return the places of the trials that have a parameter and meet the condition under which it has an effect.

        Args:
            name: The parameter.
            condition: None: it always has one.
            settings: The values of parameters that are not sampled.
        """
        there = ~missing(self.params[name])
        if condition is not None and condition.name in self.params:
            there &= [value in condition.values for value in self.params[condition.name].tolist()]
        elif condition is not None and not condition.holds(settings):
            there[:] = False
        return np.flatnonzero(there)

    def others(
        self, name: str, space: Space, users: NDArray[np.intp], among: Collection[str]
    ) -> list[NDArray[np.float64]]:
        """Return what a regression has of the parameters beside one that all its users have."""
        others = {other: self.params[other][users] for other in among if other != name}
        return [columns(space[other], values) for other, values in others.items() if not missing(values).any()]

    def _take(self, which: NDArray[Any]) -> Finished:
        params = {name: column[which] for name, column in self.params.items()}
        return Finished(self.number[which], self.score[which], self.loss[which], params)


def inside(parameter: Parameter, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values the parameter may have; `hpsearch.space.contains` of each."""
    if isinstance(parameter, Categorical) or values.dtype.kind not in "ifb":
        return np.fromiter((contains(parameter, value) for value in values.tolist()), bool, len(values))
    return np.asarray((parameter.low <= values) & (values <= parameter.high))


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values trials do not have: NaN among numbers and among choices alike."""
    return np.asarray(values != values, dtype=bool)


@dataclass(frozen=True, slots=True)
class NarrowedRange:
    """The next range of one parameter, with its evidence."""

    before: Parameter  # the range that the trials were sampled from
    after: Parameter  # the next range
    top: int  # number of trials it rests on
    # p-value that the parameter does not matter, of two tests: that ``top`` trials, and the ``equal`` ones, lie this
    # close together, and that the scores of all differ as much; None where fewer than two of the best trials used it
    evidence: float | None
    kept: float = 1.0  # new width as a share of the old one, on the transformed scale (of choices: their number)
    expanded: bool = False  # whether a bound moved outwards
    edges: tuple[
        Edge, ...
    ] = ()  # the bounds towards which the score still rises, or rose before the range was narrowed
    # the limits that ended or forbade a move outwards, by side
    stopped: Mapping[str, float] = field(default_factory=dict)
    # number of further trials whose score is that of the last of the ``top``
    equal: int = field(default=0, repr=False)
    sentences: tuple[Sentence, ...] = ()  # the evidence and the edges in words
    # the range with its pressed bounds moved outwards; None: no edge
    widened: Parameter | None = field(default=None, repr=False)
    effect: Effect | None = field(default=None, repr=False)  # the second of the two tests
    spread: float | None = field(default=None, repr=False)  # the p-value of the first
    gap: tuple[float, float] | None = field(default=None, repr=False)  # a stretch inside it without plausible values
    narrowed: bool = field(default=False, repr=False)  # whether ``before`` is another range than stage 1's
    scored: int = field(default=0, repr=False)  # number of complete trials that use it

    @property
    def verdict(self) -> Literal["clear", "weak", "none"] | None:
        """The strength of the evidence that the parameter matters; None where nothing can be said of it."""
        p, before = self.evidence, self.before
        if p is None or (isinstance(before, Categorical) and len(before.choices) == 1):
            return None
        return "clear" if p <= CLEAR else "weak" if p <= WEAK else "none"

    @property
    def few(self) -> bool:
        """True if nothing is seen and that says nothing, as so few trials use it."""
        return self.verdict == "none" and self.scored < FEW

    @property
    def widens(self) -> bool:
        """True if expanding makes another range than plain narrowing."""
        return self.widened is not None and self.widened != self.after

    @property
    def advised(self) -> Parameter:
        """The next range that is advised: the widened one where there is one."""
        return self.after if self.widened is None else self.widened


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The next ranges of a stage."""

    space: Space
    ranges: Mapping[str, NarrowedRange]
    used: tuple[int, ...]  # numbers of the trials that it rests on, best first
    rule: dict[str, Any]  # the options it was made with, JSON-able
    level: bool = field(default=False, repr=False)  # whether all trials have the same score


def narrow(
    space: Space,
    trials: Finished,
    *,
    top: int | None = None,
    quantile: float | None = None,
    direction: Direction,
    first_space: Space,
    expand: bool = False,
    natural: Mapping[str, tuple[float | None, float | None]] | None = None,
    used_by: Mapping[str, UsedBy] | None = None,
    settings: Mapping[str, Any] | None = None,
    constrained: Collection[str] = (),
    pruned: int = 0,
    leaders: Mapping[int, float] | None = None,
    by_evidence: bool = False,
    plausible: Callable[[], Mapping[str, Plausible] | None] | None = None,
    earlier: Mapping[str, Sequence[Edge]] | None = None,
) -> Narrowing:
    """Narrow each range to where the best trials are.

    With smallest a and largest b of the k best on the transformed scale, the new range is [a - w, b + w] with
    w = (b - a)/(k - 1), the unbiased estimate of a uniform range's ends (see `uniform_ends`). With ``plausible`` values
    a and b are the ends of these and of the k best together, and k is the number of trials with plausible values.

    Args:
        top: Use this many of the best; at least 2.
        quantile: Or this share of all of them and of the pruned ones, in (0, 1].
        first_space: The search's stage-1 ranges: none gets narrower than 2 % of those.
        expand: Move a bound outwards where the score still rises towards it.
        natural: The lowest and highest possible values by name (None: no bound), which end an expansion as limits do.
        used_by: The conditions under which a parameter has an effect, by name (not there: always). Only the trials
            among the k best that have it and use it are the k of the above; of fewer than two its range is kept.
        settings: Values of the parameters that are not sampled.
        constrained: The parameters whose draws are not uniform, as constraints reject some: what their evidence rests
            on is what a regression on the others of them leaves of the scores.
        pruned: Number of further trials, which were pruned: beaten by all of ``trials``. The best k are k uniform draws
            all the same if a parameter does not matter; bounds are judged by the others, if they are not few.
        leaders: At least k trials that another evaluation of the same values puts first, best first, with their scores
            in it: its first k are the k best, and k uniform draws too.
        by_evidence: Keep the range of a parameter without evidence, and each choice that may be as good as others.
        plausible: Returns the plausible values of parameters (`hpsearch.search.plausible`) beside the k best, by name;
            called once a range does not stay. None: the k best alone.
        earlier: The edges that the trials of earlier stages showed at bounds of these ranges, by name.

    Raises:
        BadInput: Both or neither of ``top`` and ``quantile``, or one out of its range.
        NotEnoughTrials: Fewer completed trials than are to be used.
    """
    k = used_count(len(trials), pruned, top, quantile)
    ranked = trials.best_first(direction)
    if leaders is not None:
        ranked = ranked.led_by([*leaders])
    goodness = ranked.score if direction == "maximize" else -ranked.score
    equal = _equal(goodness, k, [] if leaders is None else [*leaders.values()])
    users_of = {name: ranked.users(name, (used_by or {}).get(name), settings or {}) for name in space}
    tests: dict[str, Effect] = {}
    for name, users in users_of.items():
        tied = None
        if name in constrained:
            others = ranked.others(name, space, users, constrained)
            squares = [of[:, None] ** [1, 2] if of.ndim == 1 else of for of in others]
            tied = np.column_stack([np.empty((len(users), 0)), *squares])
        tests[name] = effect(space[name], ranked.params[name][users], goodness[users], direction, tied)
    strongest = sorted(space, key=lambda name: tests[name].p)[:_FITTED]
    ranges: dict[str, NarrowedRange] = {}
    for name, old in space.items():
        condition, users = (used_by or {}).get(name), users_of[name]
        values, best = ranked.params[name][users], int(np.sum(users < k))
        first, outer, likely = first_space.get(name, old), (natural or {}).get(name, (None, None)), None
        few = bool(pruned) and len(users) < LEAST_FOR_EDGES and not isinstance(old, Categorical)
        stays = False
        if best < 2:
            made = NarrowedRange(old, old, best, None)
        else:
            more = values[equal[users]].tolist()
            # Of all trials nothing was chosen, so where they lie is no evidence.
            chosen = k + np.sum(equal) < len(trials) + pruned
            spread = spread_p(old, [*values[:best].tolist(), *more]) if chosen else 1.0
            p = tests[name].p if name in constrained else either_p(spread, tests[name].p)
            rests, count, stays = values[:best].tolist(), best, by_evidence and p > WEAK
            likely = None if stays or plausible is None else (plausible() or {}).get(name)
            if likely is not None:
                rests, count = [*rests, *likely.values], max(best, likely.trials)
            if isinstance(old, Categorical):
                lost = () if stays or name in constrained else lost_choices(old, values, goodness[users])
                made = _narrow_choices(old, [c for c in old.choices if c not in lost] + rests if by_evidence else rests)
            else:
                seen = find_edges(old, values, goodness[users], ranked.others(name, space, users, strongest))
                edges = with_earlier(seen, (earlier or {}).get(name, ()))
                ends = [old.low, old.high] if stays else [min(rests), max(rests)]
                made = _narrow_range(old, ends, count, first, edges, expand, outer)
            made = replace(
                made,
                top=best,
                evidence=p,
                effect=tests[name],
                spread=spread,
                equal=len(more),
                narrowed=old != first,
                scored=len(users),
                gap=None if likely is None else likely.gap,
            )
        some = condition is not None or old.when is not None or len(users) < len(ranked)
        of, left = k if some else None, len(users) if few else None
        where = {condition.name: condition.values} if condition else old.when or {}
        words = _sentences(name, made, best=of, where=where, stays=stays, few=left, expand=expand, direction=direction)
        ranges[name] = replace(made, sentences=words)
    rule = {"top": top, "quantile": quantile, "used": k, "finished": len(trials) + pruned, "expand": expand}
    rule |= {"pruned": pruned} if pruned else {}
    new = {name: made.after for name, made in ranges.items()}
    level = len(trials) > 1 and not pruned and bool(np.ptp(trials.score) == 0)
    return Narrowing(new, ranges, tuple(ranked.number[:k].tolist()), {**rule, "direction": direction}, level)


def _equal(goodness: NDArray[np.float64], k: int, leaders: Sequence[float]) -> NDArray[np.bool_]:
    """Return which of the ranked trials, (N,), are left out of the first k by the order of equal scores alone.

    Args:
        leaders: The scores of the first ones in another evaluation. Trials may have been left out of that, too.
    """
    equal = np.zeros(len(goodness), dtype=bool)
    count = len(leaders) or k
    equal[k:count] = np.isclose(leaders[k:], leaders[k - 1 : k], rtol=_SAME, atol=0)
    equal[count:] = np.isclose(goodness[count:], goodness[:count].min(), rtol=_SAME, atol=0)
    return equal


def _sentences(
    name: str,
    made: NarrowedRange,
    *,
    best: int | None,  # number of best trials, of which some use the parameter; None where all do
    where: When,  # the condition under which it has an effect
    stays: bool,  # whether its range is kept for lack of evidence
    few: int | None,  # number of complete trials, where pruning left too few to look for edges
    expand: bool,
    direction: Direction,
) -> tuple[Sentence, ...]:
    p, top, choices = made.evidence, made.top, isinstance(made.before, Categorical)
    if isinstance(made.before, Categorical) and len(made.before.choices) == 1:
        return (Sentence("no evidence: there was only one choice"),)
    if p is None:
        users = f"only {top}" if top else "none"
        conditions = "; ".join(f"{other} {', '.join(map(shown, values))}" for other, values in where.items())
        used = f"used {name} ({conditions})" if conditions else f"used {name}"
        return (Sentence(f"{users} of the best {best} trials {used}: range kept"),)
    assert made.effect is not None
    assert made.spread is not None
    who = f"of the best {best} the {top} that use it" if best is not None and top < best else f"the top {top}"
    who += f" and {made.equal} more that score the same as the last of them" if made.equal else ""
    close = "agree {}more than chance would" if choices else "lie {}closer together than chance would put them"
    within = " within this range" if made.narrowed else ""
    by_spread = p != made.effect.p and made.spread <= made.effect.p
    far = "far " if made.verdict == "clear" else ""
    seen = f"{who} {close.format(far)}" if by_spread else made.effect.sentence(name)
    stay = ": range kept" if stays else ""
    words = {
        "clear": f"p = {p:.1g}{within}: {seen}",
        "weak": f"p = {p:.2f}{within}, weak evidence: {seen}",
    }.get(made.verdict or "", f"p = {p:.2f}{within}, no evidence: {who} are spread as if {name} did not matter{stay}")
    if made.few:
        words = f"no evidence{within}: {counted(made.scored, 'trial')} with a score are too few to see any{stay}"
    edges = [_edge_sentence(made, edge, expand, direction) for edge in made.edges]
    if few is not None:
        too_few = f"{few} complete trials are too few to say whether a bound was cut too low"
        return Sentence(words), Sentence(too_few), *edges
    groups = [] if made.gap is None else [Sentence(_groups(*made.gap))]
    return Sentence(words), *groups, *edges


def _groups(low: float, high: float) -> str:
    return f"two groups of good values, up to {low:.4g} and from {high:.4g} on: both are kept"


def _edge_sentence(made: NarrowedRange, edge: Edge, expand: bool, direction: Direction) -> Sentence:
    bound = f"{'upper' if edge.side == 'high' else 'lower'} bound {edge.bound:.4g}"
    rises, rose = ("rises", "rose") if direction == "maximize" else ("falls", "fell")
    start = f"the score still {rises} towards the {bound}"
    if edge.stage is not None:
        start = f"the scores of {edge.stage} {rose} towards the {bound}, and no stage has gone beyond it"
    if not expand or isinstance(made.after, Categorical):
        return Sentence(f"{start}: widen with {{}}", (Argument("expand"),))
    moved = made.after.high if edge.side == "high" else made.after.low
    limit = made.stopped.get(edge.side)
    if limit is None:
        return Sentence(f"{start}: widened to {moved:.4g}")
    if moved == edge.bound:
        return Sentence(f"{start}, but the limit {limit:.4g} allows no wider range")
    return Sentence(f"{start}: widened to {moved:.4g}, where the limit {limit:.4g} stopped it")


def used_trials(complete: int, pruned: int, top: int | None, quantile: float | None) -> int:
    """Return how many of the best trials are to be used, before that is checked.

    Where all trials use all parameters, nothing in the result of `narrow` depends on the order of equal scores behind.
    """
    return (top or 0) if quantile is None else max(2, math.ceil(quantile * (complete + pruned)))


def used_count(complete: int, pruned: int, top: int | None, quantile: float | None) -> int:
    """Return how many of the best trials are used.

    Raises:
        BadInput: Both or neither of ``top`` and ``quantile``, or one out of its range.
        NotEnoughTrials: Fewer trials are complete.
    """
    if (top is None) == (quantile is None):
        raise BadInput("{} and {}: give one of them", Argument("top", top), Argument("quantile", quantile))
    if top is not None:
        if top < 2:
            raise BadArgument("top", top, "one value has no spread", "give at least 2")
        k, which = top, f"the top {top}"
    else:
        assert quantile is not None
        if not 0 < quantile <= 1:
            raise BadArgument("quantile", quantile, "give a share above 0 and at most 1, such as 0.1")
        # 0.07 * 100 is 7.000000000000001 in floating point, and means 7.
        k, which = max(2, math.ceil(quantile * (complete + pruned) - 1e-9)), f"a quantile of {quantile}"
    if k > complete:
        remedy = "run more trials" + (f" or use the top {complete}" if top and complete >= 2 else "")
        stopped = f" ({pruned} more were pruned)" if pruned else ""
        raise NotEnoughTrials(
            f"{which} needs {k} trials that finished with a score and there {'is' if complete == 1 else 'are'} "
            f"{complete}{stopped}; {remedy}"
        )
    return k


def _narrow_choices(old: Categorical, kept: Sequence[Value]) -> NarrowedRange:
    new = replace(old, choices=tuple(choice for choice in old.choices if choice in kept))
    return NarrowedRange(old, new, 0, None, kept=len(new.choices) / len(old.choices))


def _full_width(old: Float | Int, first: Parameter) -> float:
    """Return the width of a parameter's stage-1 range on the transformed scale of this stage's."""
    of = old if isinstance(first, Categorical) else first
    return to_scale(old, of.high) - to_scale(old, of.low)


def _narrow_range(
    old: Float | Int,
    rests: Sequence[float],  # the values that it rests on
    count: int,  # taken as so many uniform draws
    first: Parameter,
    edges: tuple[Edge, ...],
    expand: bool,
    natural: tuple[float | None, float | None],
) -> NarrowedRange:
    low, high = to_scale(old, old.low), to_scale(old, old.high)
    lowest, highest = (_aligned(old, value, up=False) for value in (min(rests), max(rests)))
    inner = uniform_ends(
        (to_scale(old, lowest), to_scale(old, highest)),
        count,
        within=(low, high),
        floor=FLOOR * _full_width(old, first),
    )
    ends = [  # at the old bounds exactly these: 10**log10(x) need not be x
        old.low if inner[0] <= low else min(max(_value_at(old, inner[0], "low"), old.low), lowest),
        old.high if inner[1] >= high else max(min(_value_at(old, inner[1], "high"), old.high), highest),
    ]
    if not ends[0] < ends[1]:  # a range of a few floating-point numbers
        ends = [old.low, old.high]
    for edge in edges:  # better values are expected there and beyond
        ends[1 if edge.side == "high" else 0] = edge.bound
    wide, stopped = list(ends), dict[str, float]()
    for edge in edges:
        reach = max(high - inner[0] if edge.side == "high" else inner[1] - low, edge.reach)
        target = _value_at(old, high + reach if edge.side == "high" else low - reach, edge.side)
        limit = outermost(old, natural, edge.side)
        # Signs make one rule of both sides: `sign * value` grows outwards.
        side, sign = (1, 1.0) if edge.side == "high" else (0, -1.0)
        if limit is not None and sign * target > sign * limit:
            stopped[edge.side] = limit
            target = _aligned(old, limit, up=edge.side == "low")
        if sign * target > sign * edge.bound:
            wide[side] = target
    widened, new = _between(old, *wide), _between(old, *(wide if expand else ends))
    kept = (to_scale(new, new.high) - to_scale(new, new.low)) / (high - low)
    made = NarrowedRange(old, new, count, None, kept, edges=edges, widened=widened if edges else None)
    return replace(made, expanded=new.low < old.low or new.high > old.high, stopped=stopped) if expand else made


def _between(old: Float | Int, low: float, high: float) -> Float | Int:
    return replace(old, low=int(low), high=int(high)) if isinstance(old, Int) else replace(old, low=low, high=high)


def _value_at(old: Float | Int, position: float, side: Side) -> float:
    """Return the value at a position; of ints the next one outwards."""
    value = from_scale(old, min(max(position, -_EXPONENTS), _EXPONENTS) if old.log else position)
    return _aligned(old, value, up=side == "high")


def _aligned(old: Float | Int, value: float, *, up: bool) -> float:
    """Return the value; with steps the next one that is whole steps from the low, unless it is one but for rounding."""
    if old.step is None:
        return value
    steps, slack = (value - old.low) / old.step, 1e-9 + 1e-12 * abs(value) / old.step
    return stepped(old, math.ceil(steps - slack) if up else math.floor(steps + slack))


def outermost(old: Float | Int, natural: tuple[float | None, float | None], side: Side) -> float | None:
    """Return how far a bound may move: the tighter of the parameter's own limit and its natural bound."""
    own = old.limit or (None, None)
    if side == "high":
        return min((b for b in (own[1], natural[1]) if b is not None), default=None)
    least = 1 if old.log and isinstance(old, Int) else None
    return max((b for b in (own[0], natural[0], least) if b is not None), default=None)
