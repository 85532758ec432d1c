"""The next stage's ranges from a stage's best trials, with the evidence for each.

Pure functions: trials in, ranges out. Positions and widths are on each parameter's own scale (``log10`` of
the value where the range is logarithmic).

The whole narrowing is bootstrapped: trials are drawn again from those there are, each one's score is counted again on
images drawn again, and the best of these make new ends. A trial that is drawn twice counts once, for the ends rest on
how far apart k trials lie. tests/benchmarks/interval_coverage.py holds what comes of it against how far the ends of
simulated searches really differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput, NotEnoughTrials
from hpsearch.search.evidence import (
    CLEAR,
    LEAST_FOR_EDGES,
    WEAK,
    Edge,
    Side,
    better_trials,
    find_edges,
    spread_p,
    uniform_ends,
)
from hpsearch.search.evidence import Scored as Scored  # callers find it beside narrow()
from hpsearch.space import (
    Categorical,
    Float,
    Int,
    Parameter,
    Space,
    Value,
    contains,
    from_scale,
    parameter_to_dict,
    space_to_dict,
    to_scale,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.objectives.base import UsedBy
    from hpsearch.records import Direction
    from hpsearch.search.evidence import Scored
    from hpsearch.space import Parameter, Space


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


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """Finished, successful trials, N of them.

    Args:
        number: Their numbers, shape (N,).
        score: Their objective values, shape (N,).
        loss: Their validation losses, NaN for none, shape (N,).
        params: The drawn values by parameter name, each of shape (N,).
    """

    number: NDArray[np.int64]
    score: NDArray[np.float64]
    loss: NDArray[np.float64]
    params: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.number)

    @classmethod
    def of(cls, trials: Sequence[Scored], space: Space) -> Finished:
        """Records as columns.

        Raises:
            BadInput: A trial lacks a parameter of the space.
        """
        for trial in trials:
            for name in space:
                if name not in trial.params:
                    raise BadInput(f"trial {trial.number} has no value of {name!r}; use trials of this stage only")
        names = [name for name in (trials[0].params if trials else space) if all(name in t.params for t in trials)]
        return cls(
            np.array([trial.number for trial in trials], dtype=np.int64),
            np.array([trial.score for trial in trials], dtype=float),
            np.array([trial.validation_loss for trial in trials], dtype=float),  # None becomes NaN
            {name: _objects(trial.params[name] for trial in trials) for name in names},
        )

    @classmethod
    def from_columns(cls, space: Space, columns: Mapping[str, NDArray[Any]]) -> Finished:
        """Completed trials in the database as narrowing takes them.

        A trial that somebody ran in the stage's study by other means may have values outside the ranges, or a score
        that is not finite. It says nothing about the stage's draws and is left out.

        Args:
            space: The stage's ranges.
            columns: What `hpsearch.store.Store.scores` gives.
        """
        params = {name: columns[f"param:{name}"] for name in space}
        score = columns["score"]
        kept = np.isfinite(score)
        for name, parameter in space.items():
            kept &= inside(parameter, params[name])
        return cls(columns["number"], score, columns["validation_loss"], params)._take(kept)

    def best_first(self, direction: Direction) -> Finished:
        """The trials as `hpsearch.records.rank_key` sorts them: by score, lower loss (none last), lower number."""
        sign = -1.0 if direction == "maximize" else 1.0
        loss = np.where(np.isnan(self.loss), np.inf, self.loss)
        return self._take(np.lexsort((self.number, loss, sign * self.score)))

    def led_by(self, numbers: Sequence[int]) -> Finished:
        """The trials with these ones first, in this order, and the others behind them as they were.

        Raises:
            BadInput: One of them is not among the trials.
        """
        place = {number: at for at, number in enumerate(self.number.tolist())}
        for number in numbers:
            if number not in place:
                raise BadInput(f"trial {number} is not among the stage's finished trials with values in its ranges")
        first = [place[number] for number in numbers]
        return self._take(np.array([*first, *sorted(set(place.values()) - set(first))], dtype=np.intp))

    def best(self, many: int, direction: Direction) -> Finished:
        """The first so many of `best_first`, without ranking the others."""
        if many >= len(self):
            return self.best_first(direction)
        goodness = self.score if direction == "maximize" else -self.score
        last = np.partition(goodness, len(self) - many)[len(self) - many]
        return self._take(np.flatnonzero(goodness >= last)).best_first(direction)._take(np.arange(many))

    def users(self, condition: UsedBy | None, settings: Mapping[str, Any]) -> NDArray[np.intp]:
        """The places of the trials for which a condition holds; of all for None.

        Args:
            condition: Which trials use a hyperparameter.
            settings: Values of the hyperparameters that are not drawn.
        """
        if condition is None:
            return np.arange(len(self))
        name, allowed = condition
        if name in self.params:
            return np.flatnonzero([value in allowed for value in self.params[name].tolist()])
        return np.arange(len(self) if condition.holds(settings) else 0)

    def _take(self, which: NDArray[Any]) -> Finished:
        params = {name: column[which] for name, column in self.params.items()}
        return Finished(self.number[which], self.score[which], self.loss[which], params)


def inside(parameter: Parameter, values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are ones that the parameter may have; `hpsearch.space.contains` of each."""
    if isinstance(parameter, Categorical) or values.dtype.kind not in "ifb":
        return np.fromiter((contains(parameter, value) for value in values.tolist()), bool, len(values))
    return np.asarray((parameter.low <= values) & (values <= parameter.high))


def _objects(values: Iterable[Any]) -> NDArray[Any]:
    """Values in an array that keeps each one's type."""
    listed = list(values)
    found = np.empty(len(listed), dtype=object)
    found[:] = listed
    return found


@dataclass(frozen=True, slots=True)
class NarrowedRange:
    """What narrowing made of one parameter, and why.

    Args:
        name: The parameter's name.
        before: The range that the trials were drawn from.
        after: The new range.
        top: Number of trials it rests on.
        evidence: Probability that ``top`` trials lie this close together if the parameter does not matter; None
            where fewer than two of the best trials used it.
        lowest: Smallest value among them; None for a categorical parameter, or where nothing rests on them.
        highest: Largest value among them; None likewise.
        kept: New width as a share of the old one, on the own scale (of choices: their number).
        edges: The bounds towards which the score still rises.
        expanded: Whether a bound moved outwards.
        stopped: The limits that ended or forbade such a move, by side.
        expanding: Whether bounds were allowed to move outwards.
        direction: Whether a higher or a lower score is better.
        best: Number of best trials, of which ``top`` use the parameter; None where all trials use it.
        used_by: Which trials use it; None: all.
        few: How many trials ran to the end, where pruning left too few to look for edges; otherwise None.
    """

    name: str
    before: Parameter
    after: Parameter
    top: int
    evidence: float | None
    lowest: float | None
    highest: float | None
    kept: float
    edges: tuple[Edge, ...] = ()
    expanded: bool = False
    stopped: Mapping[str, float] | None = None
    expanding: bool = False
    direction: Direction = "maximize"
    best: int | None = None
    used_by: UsedBy | None = None
    few: int | None = None

    def sentences(self) -> tuple[str, ...]:
        """The evidence and the edges in plain words, a sentence each."""
        if isinstance(self.before, Categorical) and len(self.before.choices) == 1:
            return ("no evidence: there was only one choice",)
        if self.evidence is None:
            return (self._unused_sentence(),)
        p = f"{self.evidence:.1g}" if self.evidence < CLEAR else f"{self.evidence:.2f}"
        many = isinstance(self.before, Categorical)
        close = "agree far more than chance would" if many else "lie far closer together than chance would put them"
        who = f"the top {self.top}"
        if self.best is not None and self.top < self.best:
            who = f"of the best {self.best} the {self.top} that use it"
        if self.evidence <= CLEAR:
            words = f"evidence {p}: {who} {close}"
        elif self.evidence <= WEAK:
            words = f"some evidence ({p}): {who} {close.replace('far ', '')}"
        else:
            words = f"no evidence ({p}): {who} are spread as if {self.name} did not matter"
        if self.few is not None:
            return words, f"{self.few} trials that ran to the end are too few to say whether a bound was cut too low"
        return (words, *map(self._edge_sentence, self.edges))

    def _unused_sentence(self) -> str:
        many = f"only {self.top}" if self.top else "none"
        where = "" if self.used_by is None else f" ({self.used_by.name} {', '.join(self.used_by.values)})"
        return f"{many} of the best {self.best} trials used {self.name}{where}: range kept"

    def _edge_sentence(self, edge: Edge) -> str:
        bound = f"{'upper' if edge.side == 'high' else 'lower'} bound {edge.bound:.4g}"
        start = f"the score still {'rises' if self.direction == 'maximize' else 'falls'} towards the {bound}"
        if not self.expanding or isinstance(self.after, Categorical):
            return f"{start}: widen with --expand"
        moved = self.after.high if edge.side == "high" else self.after.low
        limit = (self.stopped or {}).get(edge.side)
        if limit is None:
            return f"{start}: widened to {moved:.4g}"
        if moved == edge.bound:
            return f"{start}, but the limit {limit:.4g} allows no wider range"
        return f"{start}: widened to {moved:.4g}, where the limit {limit:.4g} stopped it"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """The next stage's ranges and where they come from.

    Args:
        space: The new ranges, in the old order.
        ranges: What was made of each parameter, in the same order.
        used: Numbers of the trials that it rests on, best first.
        rule: The options it was made with, JSON-able.
    """

    space: Space
    ranges: Mapping[str, NarrowedRange]
    used: tuple[int, ...]
    rule: dict[str, Any]


def narrowing_to_dict(narrowing: Narrowing) -> dict[str, Any]:
    """A narrowing as JSON-able data, as it is stored with the stage."""
    return {
        "space": space_to_dict(narrowing.space),
        "ranges": {
            name: {
                "before": parameter_to_dict(r.before),
                "after": parameter_to_dict(r.after),
                **{key: getattr(r, key) for key in ("top", "evidence", "lowest", "highest", "kept", "expanded")},
                "edges": [asdict(edge) for edge in r.edges],
                "stopped": dict(r.stopped or {}),
                "sentences": list(r.sentences()),
            }
            for name, r in narrowing.ranges.items()
        },
        "used": list(narrowing.used),
        "rule": dict(narrowing.rule),
    }


_UNMOVED = 1.005
"""A factor that is written as 1.00 is none."""
FAR = 0.1
"""An end is said to have moved where it lies farther than this share of the old range from where it is."""


@dataclass(frozen=True, slots=True)
class Movement:
    """How far the two ends of one narrowed range move, on the parameter's own scale.

    Args:
        low: Standard deviation of the lower end over the resamples.
        high: Of the upper one.
        low_often: Share of the resamples in which the lower end lies more than a tenth of the old range elsewhere.
        high_often: In which the upper one does.
        images: Whether images were drawn again too; otherwise trials alone, as hits on single images are not stored.
    """

    low: float
    high: float
    low_often: float
    high_often: float
    images: bool

    def sentence(self, parameter: Parameter) -> str:
        """The movement in plain words: by a factor where the range is logarithmic.

        Args:
            parameter: The range.
        """
        moves = [moved_by(parameter, by) for by in (self.low, self.high)]
        if moves[0] == moves[1]:
            return f"other {self.again} would move both ends {moves[0]}"
        return f"other {self.again} would move its low end {moves[0]}, its high end {moves[1]}"

    @property
    def again(self) -> str:
        """What was drawn again, in words."""
        return "trials and images" if self.images else "trials"


def moved_by(parameter: Parameter, by: float) -> str:
    """A distance on a parameter's own scale in words: by a factor where its range is logarithmic.

    Args:
        parameter: The range.
        by: The distance; decades on a logarithmic scale.
    """
    if not getattr(parameter, "log", False):
        return f"by {by:.2g}" if by else "not at all"
    factor = 10**by
    return (
        "not at all" if factor < _UNMOVED else f"by a factor of {factor:.2f}" if factor < 10 else f"{factor:.2g}-fold"
    )


RESAMPLES = 100
"""They leave a fourteenth of a standard deviation's own value as its error."""


def within_reach(k: int) -> int:
    """How many of the best trials can be among the best ``k`` of a resample, but for one in millions.

    A resample leaves out 37 % of the trials, and luck with images lets others pass.
    """
    return 4 * k + 80


def movement(
    narrowing: Narrowing,
    ranked: Finished,
    users: Mapping[str, NDArray[np.intp]],
    first_space: Space,
    *,
    total: int,
    hits: NDArray[np.bool_] | None,
    seed: int,
) -> dict[str, Movement]:
    """How far the ends of each numeric range would move. Bounds that ``--expand`` moves are looked at as if it did not.

    Args:
        narrowing: What narrowing made of these trials.
        ranked: The best of the trials, as many as are `within_reach`, best first.
        users: The places among them of those that use a parameter, by name.
        first_space: The search's stage-1 ranges.
        total: How many trials there are.
        hits: Which images ``ranked`` got right, shape (len(ranked), images); None where that is not stored.
        seed: The same one gives the same movement.

    Returns:
        By name, for ranges that were narrowed by at least two trials.
    """
    k = len(narrowing.used)
    reach = len(ranked)
    drawn, order = _resamples(reach, total, hits, np.random.default_rng(seed))
    in_order = np.take_along_axis(drawn, order, axis=1)
    among_best = np.empty_like(drawn)
    np.put_along_axis(among_best, order, in_order & (np.cumsum(in_order, axis=1) <= k), axis=1)
    found = {}
    for name, made in narrowing.ranges.items():
        if isinstance(made.before, Categorical) or made.evidence is None:
            continue
        mask = np.zeros(reach, dtype=bool)
        mask[users[name]] = True
        values = ranked.params[name].astype(float)
        positions = np.log10(values) if made.before.log else values
        ends = _ends(made.before, positions, among_best & mask, first_space.get(name, made.before))
        at = _ends(made.before, positions, (np.arange(reach) < k)[None] & mask, first_space.get(name, made.before))[0]
        width = to_scale(made.before, made.before.high) - to_scale(made.before, made.before.low)
        often = np.mean(np.abs(ends - at) > FAR * width, axis=0)
        low, high = ends.std(axis=0)
        found[name] = Movement(float(low), float(high), float(often[0]), float(often[1]), hits is not None)
    return found


def _resamples(
    reach: int, total: int, hits: NDArray[np.bool_] | None, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which trials a resample has, and the trials best first there; both (resamples, reach)."""
    many = max(20, min(RESAMPLES, 100_000 // reach))
    if total == reach:
        drawn = rng.multinomial(total, np.full(total, 1 / total), size=many) > 0
    else:  # of a few among many: they come independently of each other
        drawn = rng.poisson(1.0, size=(many, reach)) > 0
    if hits is None:
        return drawn, np.broadcast_to(np.arange(reach), drawn.shape)
    images = hits.shape[1]
    weights = rng.multinomial(images, np.full(images, 1 / images), size=many)
    # Whole numbers far below 2**24: float32 counts them exactly, by a fast matrix product.
    scores = weights.astype(np.float32) @ hits.T.astype(np.float32)  # (resamples, images) @ (images, reach)
    # Ties stay in the order that narrowing has them in.
    return drawn, np.argsort(-scores, axis=1, kind="stable")


def _ends(
    before: Float | Int, positions: NDArray[np.float64], chosen: NDArray[np.bool_], first: Parameter
) -> NDArray[np.float64]:
    """Ends by `uniform_ends` of the chosen trials of each resample, before ints are rounded; shape (resamples, 2).

    Where fewer than two were chosen the old range stays, as in narrowing.
    """
    low, high = to_scale(before, before.low), to_scale(before, before.high)
    full = high - low if isinstance(first, Categorical) else to_scale(before, first.high) - to_scale(before, first.low)
    found = np.empty((len(chosen), 2))
    for row, which in enumerate(chosen):
        drawn = positions[which]
        if len(drawn) < 2:
            found[row] = low, high
            continue
        extremes = float(drawn.min()), float(drawn.max())
        found[row] = uniform_ends(extremes, len(drawn), within=(low, high), floor=FLOOR * full)
    return found
