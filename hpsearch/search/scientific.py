"""Scientific values compared, each with the nuisance parameters tuned for it: "adam beats sgd by 0.012".

All trials of the stages whose scores compare are pooled, so that narrowed stages sharpen the answer. How good each
value can be is what `hpsearch.statistics.tuned` draws from a process over them, at their values and at those that
further trials would have.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.constraints import is_function
from hpsearch.objectives import kinds
from hpsearch.records import Action, Direction, Sentence, Stage, draw_seed
from hpsearch.roles import Combination, has, label, scientific
from hpsearch.samplers import RandomSampler
from hpsearch.search.by_example import by_example
from hpsearch.search.evidence import FEW
from hpsearch.search.noise import score_bounds
from hpsearch.search.parts import part_with, parts_of
from hpsearch.search.stage import actions_for, comparable, latest_with_trials, params_at
from hpsearch.search.surrogate import Encoding, columns_as, columns_of, delivered_space
from hpsearch.statistics.intervals import Interval
from hpsearch.statistics.tuned import differences_to_best, example_error, middle, tuned
from hpsearch.text import decimals, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.space import Parameter, Space
    from hpsearch.store import Store

_MOST_MORE = 4  # times the trials; beyond that a difference is not worth its trials
LEAST = 5  # with fewer scores a value is not compared
_MOST = 240  # trials with a score that are learned from: the latest of each value, as many of each
_BEYOND = 10**6  # blocks of trials that no stage runs
_FURTHER = 100  # values of further trials at which each value's score is drawn, fewer where there are many values
_NEAR = 5  # best trials of each value by whose hits the examples' part in a difference is known


@dataclass(frozen=True, slots=True)
class ScientificValue:
    """A combination of scientific values, and its trials in all stages whose scores compare."""

    combination: Combination
    complete: int  # trials with a score
    failed: int
    pruned: int
    best: float | None  # the best score; None without any
    best_stage: str | None
    best_trial: int | None
    expected: float | None = None  # its score when it is tuned; None: too few trials
    interval: Interval | None = None  # of that score

    @property
    def label(self) -> str:
        """The values in a few words."""
        return label(self.combination)


@dataclass(frozen=True, slots=True)
class Behind:
    """The distance of a value from the best one when each is tuned."""

    value: ScientificValue
    difference: float  # in units of the score, 0 or more
    interval: Interval  # of that; those of all values hold at once

    @property
    def certain(self) -> bool:
        """True if the interval leaves 0 out."""
        return self.interval.low > 0


@dataclass(frozen=True, slots=True)
class ScientificValues:
    """The values of a search's scientific parameters, compared."""

    names: tuple[str, ...]
    metric: str
    direction: Direction
    compared: tuple[ScientificValue, ...]  # in the order of the study file
    best: ScientificValue | None = None  # the one that is expected to be best when each is tuned; None: too few trials
    others: tuple[Behind, ...] = ()  # the others with enough trials, the nearest first
    sentences: tuple[Sentence, ...] = ()
    action: Action | None = None  # more trials, where a value is tied with the best

    @property
    def decided(self) -> bool | None:
        """True if every other value is worse than the best; None: too few trials to say."""
        return all(of.certain for of in self.others) if self.others else None


def scientific_values(store: Store, stages: Sequence[Stage]) -> ScientificValues | None:
    """Return the comparison of the scientific values of a search's stages; None without scientific parameters."""
    stages = [stage for stage in stages if stage.refinement is None] or stages  # a model chose its values
    like = latest_with_trials(store, stages)
    names = tuple(scientific(like.space))
    if not names:
        return None
    same = comparable(stages, like)
    pooled = [_pool(store, same, part.combination, like.direction) for part in parts_of(like)]
    values = tuple(of.value for of in pooled)
    result = ScientificValues(names, like.metric, like.direction, values)
    known = [of for of in pooled if of.value.complete >= LEAST]
    if len(known) > 1:
        scores = _possible(known, same, like)
        differences = differences_to_best(scores, _example_errors(store, known, kinds.examples(like)))
        sign = 1.0 if like.direction == "maximize" else -1.0
        compared = [
            replace(of.value, expected=sign * float(score.mean()), interval=middle(sign * score))
            for of, score in zip(known, scores, strict=True)
        ]
        best = compared[differences[0].better]
        others = tuple(Behind(compared[of.other], of.value, of.interval) for of in differences)
        of_label = {value.label: value for value in compared}
        values = tuple(of_label.get(value.label, value) for value in values)
        result = replace(result, compared=values, best=best, others=others)
        near = next((place for place, of in enumerate(others) if not of.certain), None)
        if near is not None and not kinds.foreign(like):
            finished = sum(store.counts(stage).finished for stage in same)
            least = min(of.value.complete for of in known)
            by_trials = differences_to_best(scores)[near].interval  # other examples left out
            factor = FEW / least if least < FEW else _factor(others[near], by_trials)
            if least < FEW or factor <= _MOST_MORE:
                trials = store.counts(like).finished + math.ceil(round((factor - 1) * finished, 6))
                action = actions_for(store, like.search)("start", trials=trials, stage=like.number)
                result = replace(result, action=action)
            else:
                far = Sentence(_too_near(best, others[near], kinds.examples(like)))
                return replace(result, sentences=(*_sentences(result), far))
    return replace(result, sentences=tuple(_sentences(result)))


def _factor(other: Behind, by_trials: Interval) -> float:
    """Return how many times the trials would show a difference as large as it seems; infinity: no number would."""
    of_trials, whole = (((of.high - of.low) / 2) ** 2 for of in (by_trials, other.interval))
    room = other.difference**2 - max(whole - of_trials, 0.0)  # what other examples leave of it
    return of_trials / room if room > 0 else math.inf


def _too_near(best: ScientificValue, other: Behind, examples: int | None) -> str:
    words = f"{_MOST_MORE} times the trials would not tell {other.value.label} from {best.label} either: take either"
    return words if examples is None else f"{words}, or score on more than {examples:,} validation examples"


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """The N trials of a combination with a score, and those that failed."""

    value: ScientificValue
    space: Space  # the last ranges of its parts, by the names there
    goodness: NDArray[np.float64]  # (N,) more is better; NaN of failed ones
    params: Mapping[str, NDArray[Any]]  # (N,) each, by the names in its part
    trials: Sequence[tuple[Stage, int, float]]  # of those with a score: their stage, number and score


def _pool(store: Store, stages: Sequence[Stage], combination: Combination, direction: Direction) -> _Pool:
    """Return the trials of some stages with a combination, in the order of the stages."""
    sign, trials, tables = 1.0 if direction == "maximize" else -1.0, [], []
    space: dict[str, Parameter] = {}
    counts: Counter[str] = Counter()
    for stage in stages:
        part = part_with(parts_of(stage), combination)
        if part is None:
            continue
        space |= part.space
        complete = part.select(store.scores(stage))
        ended = store.columns(stage, states=("FAIL", "PRUNED"))
        values = columns_of(stage.space, [params_at(stage, ended, at) for at in range(len(ended["number"]))])
        cells = {name: np.array(ended[name], dtype=object) for name in ("number", "state")}
        rest = part.select(cells | {f"param:{name}": column for name, column in values.items()})
        counts.update(rest["state"].tolist())
        trials += [(stage, *row) for row in zip(complete["number"].tolist(), complete["score"].tolist(), strict=True)]
        failed = {name: column[rest["state"] == "FAIL"] for name, column in rest.items()}
        tables += [(complete, sign * complete["score"]), (failed, np.full(len(failed["number"]), np.nan))]
    params = {
        name: np.concatenate(
            [columns.get(f"param:{name}", np.full(len(scores), np.nan, dtype=object)) for columns, scores in tables]
        )
        for name in space
    }
    first = max(trials, key=lambda of: sign * of[2], default=None)
    best = (None, None, None) if first is None else (first[2], first[0].name, first[1])
    value = ScientificValue(combination, len(trials), counts["FAIL"], counts["PRUNED"], *best)
    return _Pool(value, space, np.concatenate([scores for _, scores in tables]), params, trials)


def _possible(known: Sequence[_Pool], stages: Sequence[Stage], like: Stage) -> NDArray[np.float64]:
    """Return possible scores of each combination when it is tuned, (G, F)."""
    own = {name: like.space[name] for name in scientific(like.space)}
    encoding = Encoding(delivered_space(own, *(part.space for stage in stages for part in parts_of(stage))))
    latest, further = _MOST // len(known), _further(stages, min(_FURTHER, 1200 // len(known)))
    tried, more, goodness = [], [], []
    for pool in known:
        combination, failed = pool.value.combination, np.isnan(pool.goodness)
        scored = np.flatnonzero(~failed)
        chosen = np.concatenate([scored[-latest:], np.flatnonzero(failed)[-latest:]])
        goodness.append(pool.goodness[chosen])
        params = dict(pool.params)
        params |= {name: np.array([value] * len(failed), dtype=object) for name, value in combination.items()}
        points = encoding.points(columns_as(encoding.space, {**own, **pool.space}, params))
        tried.append(points[chosen])
        rows = encoding.rows({**own, **pool.space}, [row for row in further if has(row, combination)])
        more.append(np.concatenate([points[scored[:-latest]], rows]))
    of, further_of = (np.repeat(np.arange(len(known)), [len(some) for some in points]) for points in (tried, more))
    seed = draw_seed(like.seed, 0, "scientific")
    sign = 1.0 if like.direction == "maximize" else -1.0
    possible = tuned(
        np.concatenate(tried),
        np.concatenate(goodness),
        of,
        np.concatenate(more),
        further_of,
        encoding.groups,
        seed=seed,
    )
    return np.asarray(sign * np.clip(sign * possible, *score_bounds(like)))


def _further(stages: Sequence[Stage], count: int) -> list[dict[str, Any]]:
    """Return the values of so many further trials of each combination, by the names in their parts.

    Half of them are from the first ranges, and half from the last ones.
    """
    rows, ends = [], [stages[0], *([stages[-1]] if len(stages) > 1 else [])]
    for stage in ends:
        # A reader runs no functions of the user's.
        texts = [text for text in stage.study_file.get("constraints", ()) if not is_function(text)]
        without = replace(stage.as_begun(), study_file={**stage.study_file, "constraints": texts})
        sampler, parts = RandomSampler(), parts_of(stage)
        for number in range(_BEYOND * len(parts), (_BEYOND + count // len(ends)) * len(parts)):
            params = sampler.params(without, number)
            part = next(part for part in parts if has(params, part.combination))
            rows.append({**part.params(params), **part.combination})
    return rows


def _example_errors(store: Store, known: Sequence[_Pool], examples: int | None) -> NDArray[np.float64] | None:
    """Return the part of other examples in each difference, (G, G); None where no hits are stored."""
    if examples is None:
        return None
    hits = [_hits(store, pool, examples) for pool in known]
    errors = np.zeros((len(known), len(known)))
    for a, b in combinations(range(len(known)), 2):
        if len(hits[a]) > 1 and len(hits[b]) > 1:
            errors[a, b] = errors[b, a] = example_error(hits[a], hits[b])
    return errors


def _hits(store: Store, pool: _Pool, examples: int) -> NDArray[np.bool_]:
    """Return the hits of a combination's best trials, of those that have them: (T, V)."""
    scored = pool.goodness[~np.isnan(pool.goodness)]
    known: list[NDArray[np.bool_]] = []
    for place in np.argsort(-scored, kind="stable")[:_NEAR].tolist():
        stage, number, score = pool.trials[place]
        known += by_example(store, stage, {number: score})[0].values()
    return np.array(known).reshape(len(known), examples)


def _sentences(of: ScientificValues) -> Iterator[Sentence]:
    what = " and ".join(of.names)
    few = [value for value in of.compared if value.complete < LEAST]
    if of.best is None:
        counts = ", ".join(f"{value.label} {value.complete}" for value in of.compared)
        yield Sentence(f"too few trials have a score to compare the values of {what}: {counts}")
        return
    behind = [other for other in of.others if other.certain]
    tied = [other for other in of.others if not other.certain]
    leads = [f"{other.value.label} by {_gap(other)} ({_interval(other)})" for other in behind or tied]
    words = f"{of.best.label} {'beats' if behind else 'leads'} {', '.join(leads)} when each is tuned"
    if behind:
        close = [f"{other.value.label} ({_gap(other)} behind, {_interval(other)})" for other in tied]
        words += f"; statistically tied with it: {', '.join(close)}" if close else ""
    else:
        words += f": all values of {what} are statistically tied"
    yield Sentence(words)
    if few:
        yield Sentence(f"too few trials with a score to compare: {', '.join(value.label for value in few)}")
    pruned = [f"{value.pruned} of {value.label}" for value in of.compared if value.pruned]
    if pruned:
        yield Sentence(
            f"pruned trials ({', '.join(pruned)}) are left out: a value that is slow at first may be better than this"
        )


def _gap(other: Behind) -> str:
    return rounded(other.difference, _places(other))


def _interval(other: Behind) -> str:
    low, high = (rounded(end, _places(other)) for end in (other.interval.low, other.interval.high))
    return f"95 % interval {low} to {high}"


def _places(other: Behind) -> int:
    return decimals((other.interval.high - other.interval.low) / 2)
