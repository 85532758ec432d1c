"""The values to use: by all trials instead of the best single score, and what training them again gives.

`hpsearch.search.best` names the trial with the best score. It was selected for that score, which its seed and its
examples raised: other values may be better, and these will score worse when trained again. Here the setting is chosen,
and its score expected, by a Gaussian process over all finished and failed trials and all repeats of confirmations
(`hpsearch.statistics.retraining`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import variance
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.objectives import kinds
from hpsearch.records import Argument, Sentence, Stage, draw_seed
from hpsearch.search.best import (
    Choice,
    Covers,
    Overview,
    best_trial,
    checked,
    choice_of,
    choose_trial,
    in_order,
    overview,
)
from hpsearch.search.by_example import by_example
from hpsearch.search.confirmation import assess
from hpsearch.search.judgement import Judgement, judge_trials
from hpsearch.search.noise import score_bounds
from hpsearch.search.stage import (
    actions_for,
    best_of,
    comparable,
    compares,
    confirmation_of,
    known_confirmation,
    lacking,
    latest_with_trials,
    left_out,
    params_at,
    pick,
    unscored,
)
from hpsearch.search.surrogate import LEAST
from hpsearch.space import Value, delivered
from hpsearch.statistics.folds import corrected_best, corrected_error, error_interval
from hpsearch.statistics.intervals import MOST_FREEDOM, Interval, share_interval
from hpsearch.statistics.retraining import expected_elsewhere
from hpsearch.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.store import Store

_RIVALS = 100  # settings among which the choice is repeated on other examples: those beyond are never chosen
_RISKY = 0.05  # a probability of failing that is worth a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The recommended values of a search, and the score to expect when they are trained again."""

    stage: str
    trial: int
    # by all trials; by the stage's confirmation; or, where there are too few trials to learn from, by the best score
    by: Literal["trials", "confirmed", "best"]
    score: float  # the trial's own score
    expected: float  # the mean score of these values trained again with other seeds, on other examples
    interval: Interval | None  # of that mean; None where the noise is not known
    covers: Covers | None  # what the interval holds for; None without one
    # standard deviation of single trainings: of a confirmation's repeats, on the same examples; else estimated from all
    # trials, on endless examples. None: not known, or too small
    seed_sd: float | None
    failure: float | None  # probability that such a training fails; None: not known
    trials: int  # number of finished and failed trials that it rests on
    repeats: int  # how often these values have been trained so far
    params: Mapping[str, Value]
    metric: str
    of: Stage = field(repr=False)
    available: int = 0  # number of trials that it could rest on; of many some are left out
    failed: int = field(default=0, repr=False)  # how many of those that it rests on failed
    again: int = field(default=0, repr=False)  # how many of them are repeats of a confirmation
    best: tuple[str, int] = field(repr=False)  # the stage and number of the trial with the best score
    remarks: tuple[Sentence, ...] = field(default=(), repr=False)  # what there is to know besides, and to do

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The reason for these values, the score to expect when they are trained again, and remarks."""
        return Sentence(f"{self.name} is recommended: {self.why}"), *map(Sentence, self.outlook), *self.remarks

    @property
    def name(self) -> str:
        """The name of the trial whose values they are."""
        return f"{self.stage} trial {self.trial}"

    @property
    def judged_by(self) -> str:
        """The number of trials that it rests on, in words."""
        some = self.trials < self.available
        counts = ((self.again, counted(self.again, "repeat")), (self.failed, f"{self.failed} that failed"))
        among = " and ".join(words for count, words in counts if count)
        notes = [f"with {among}"] if among else []
        notes += ["half of them evenly, the others where these expect the best"] if some else []
        number = f"{self.trials:,} of {self.available:,} trials" if some else counted(self.trials, "trial")
        return f"judged by {number}" + (f" ({'; '.join(notes)})" if notes else "")

    @property
    def resolved_params(self) -> dict[str, Value]:
        """The values that have an effect, by the names that the objective knows: ranges per value under one name."""
        return delivered(self.of.space, {name: self.params[name] for name in kinds.used(self.of, self.params)})

    @property
    def why(self) -> str:
        """The reason for these values, in words."""
        if self.by == "confirmed":
            return f"the confirmation of {self.stage} puts its values first"
        if self.by == "best":
            return "it has the best score; there are too few trials near it to learn from"
        what = "it has the best score, and its" if self.best == (self.stage, self.trial) else "its"
        return f"{what} values have the best expected score, {self.judged_by}"

    @property
    def outlook(self) -> tuple[str, ...]:
        """The score to expect of these values when they are trained again, in words."""
        metric = self.metric.replace("_", " ")
        on = " on new examples" if self.covers == "seeds and examples" else ""
        ends = self.interval
        interval = "" if ends is None else f" (95 % interval {_number(ends.low)} to {_number(ends.high)})"
        words = [f"trained again, they are expected to reach {metric} {_number(self.expected)}{on}{interval}"]
        if self.seed_sd is not None:
            if self.by == "confirmed":
                how = "repeats on the same examples differ by {} (standard deviation over seeds)"
            else:
                how = "single trainings may differ by {} (standard deviation over seeds, estimated; "
                how += "on few examples by more)"
            words.append(how.format(f"{self.seed_sd:.2g}"))
        if self.failure is not None and self.failure > _RISKY:
            words.append(f"a training fails with probability {self.failure:.2g}, as trials with values like these did")
        return tuple(words)


def _number(value: float) -> str:
    return f"{value:.3f}" if 0.01 <= abs(value) < 10 else f"{value:.4g}"


def recommend(store: Store, stages: Sequence[Stage], *, among: Sequence[Stage] | None = None) -> Recommendation | None:
    """Return the recommended values of a search; None before any trial has a score.

    They are those with the best expected score; or, where the stage that these are of or a later one has been
    confirmed, those that the confirmation puts first.

    Args:
        store: The database.
        stages: The search's stages, of which all trials are learned from whose scores compare with the best one's.
        among: Recommend a trial of one of these. None: of any.
    """
    among = stages if among is None else among
    best = best_of(store, among)
    if best is None:
        return None
    like, columns = best
    first: tuple[str, int] = (like.name, columns["number"][0])
    names = {stage.name for stage in among if compares(stage, like)}
    judgement = judge_trials(store, stages, like=like)
    at = None if judgement is None else _first(store, judgement, names)
    least = like.number if judgement is None or at is None else judgement.trials[at][0].number
    state = _confirmed(store, [stage for stage in among if stage.name in names and stage.number >= least])
    if judgement is None or at is None:
        return _by_score(store, among, state, few=judgement is None)
    rivals = judgement.best_first(names)[:_RIVALS]
    if state is not None:
        repeated = {judgement.settings[i]: i for i in judgement.repeats()}
        rivals = [repeated[state.stage, of.trial] for of in state.ranking]
        at = rivals[0]
    name, number = judgement.settings[at]
    of = next(stage for stage in stages if stage.name == name)
    params, score = _row(store, of, number)
    outlook = _outlook(store, judgement, at, rivals, of)
    counts = [store.counts(stage) for stage in comparable(stages, of)]
    return Recommendation(
        stage=name,
        trial=number,
        by="trials" if state is None else "confirmed",
        score=score,
        failure=float(judgement.judged.failure[at]),
        trials=len(judgement.trials),
        available=len(judgement.trials) - judgement.sampled + sum(known.complete + known.failed for known in counts),
        repeats=judgement.settings.count((name, number)),
        params=params,
        metric=of.metric,
        of=of,
        best=first,
        remarks=(*_unknown(outlook), *_remarks(store, judgement, at, first, state, of)),
        expected=outlook.expected,
        interval=outlook.interval,
        covers=outlook.covers,
        seed_sd=outlook.seed_sd if state is None else _spread(state),
        failed=int(np.isnan(judgement.scores).sum()),
        again=len(judgement.trials) - judgement.sampled,
    )


def _first(store: Store, judgement: Judgement, names: Collection[str]) -> int | None:
    """Return the most useful trial of these stages that has a value of every parameter; None where none has."""
    for at in judgement.best_first(names):
        stage, number = judgement.trials[at]
        if not lacking(stage, _row(store, stage, number)[0]):
            return at
    return None


def _row(store: Store, stage: Stage, number: int) -> tuple[dict[str, Value], float]:
    columns = store.columns(stage, numbers=(number,))
    return params_at(stage, columns, 0), columns["score"][0]


def _confirmed(store: Store, stages: Sequence[Stage]) -> Overview | None:
    """Return the complete confirmation whose first setting is the best, with its uncertainty; None without any."""
    known = filter(None, (known_confirmation(store, stage) for stage in stages))
    complete = [state for state in (overview(store, confirmation) for confirmation in known) if state.complete]
    if not complete:
        return None
    best = in_order([state.ranking[0] for state in complete], stages[0].direction)[0]
    return next(assess(store, state.confirmation) for state in complete if state.ranking[0] is best)


def _spread(state: Overview) -> float | None:
    """Return the standard deviation of a confirmation's repeats, pooled over its settings; None where there is none."""
    repeated = [of for of in state.ranking if len(of.scores) > 1]
    if all(of.constant for of in repeated):
        return None
    freedom = sum(len(of.scores) - 1 for of in repeated)
    return math.sqrt(sum(variance(of.scores.values()) * (len(of.scores) - 1) for of in repeated) / freedom)


def _by_score(store: Store, among: Sequence[Stage], state: Overview | None, *, few: bool) -> Recommendation:
    """Return the recommendation where there are too few trials to learn from, in the search or near these."""
    best = best_trial(store, among)
    assert best is not None
    made = Recommendation(
        stage=best.stage,
        trial=best.trial,
        by="best",
        score=best.score,
        expected=best.score if best.corrected is None else best.corrected,
        interval=best.corrected_interval,
        covers=None if best.corrected_interval is None else "seeds and examples",
        seed_sd=None,
        failure=None,
        trials=best.trials,
        repeats=1,
        params=best.params,
        metric=best.metric,
        of=best.of,
        best=(best.stage, best.trial),
    )
    if state is not None:
        first = state.ranking[0]
        return replace(
            made,
            stage=state.stage,
            trial=first.trial,
            by="confirmed",
            score=first.setting.score,
            expected=first.mean,
            interval=first.interval,
            covers=None if first.interval is None else first.covers,
            repeats=first.repeats + 1,
            seed_sd=_spread(state),
            params=first.setting.params,
            of=next(stage for stage in among if stage.name == state.stage),
        )
    if few and not kinds.foreign(best.of):
        start = actions_for(store, best.of.search)("start")
        more = Sentence(f"from {LEAST} trials with a score on, all trials are learned from: {{}}", (start,))
        return replace(made, remarks=(more,))
    return made


def _remarks(
    store: Store, judgement: Judgement, at: int, best: tuple[str, int], state: Overview | None, of: Stage
) -> Iterator[Sentence]:
    """Yield what there is to know besides, and what to do."""
    places = {setting: i for i, setting in enumerate(judgement.settings[: judgement.sampled])}
    if best != judgement.settings[at] and best in places:
        judged, other = judgement.judged, places[best]
        less = float(judged.mean[at] - judged.mean[other])
        words = f"{best[0]} trial {best[1]} has the best score, {judgement.sign * float(judgement.scores[other]):.4g}"
        if less > 0:
            yield Sentence(f"{words}; by all trials, its values are expected to score {less:.2g} worse than these")
        elif judged.failure[other] > judged.failure[at]:
            yield Sentence(f"{words}; its values are more likely to fail: probability {judged.failure[other]:.2g}")
    confirmation = known_confirmation(store, of)
    if state is not None or kinds.foreign(of):
        return
    action = actions_for(store, of.search)
    if confirmation is None:
        latest = latest_with_trials(store, store.stages(of.search))
        confirm = action("confirm", stage=None if of.number == latest.number else of.number)
        yield Sentence("to narrow the interval, train these values and the next ones again: {}", (confirm,))
    elif (begun := overview(store, confirmation)).left:
        confirm = action("confirm", **begun.as_begun)
        words = f"{confirmation.name} is not complete, {counted(begun.left, 'trial')} of it are left"
        yield Sentence(f"{words}: {{}}", (confirm,))


def _unknown(outlook: _Outlook) -> Iterator[Sentence]:
    if outlook.interval is None:
        yield Sentence("all scores are equal, so no interval is known")
    elif outlook.covers == "seeds":
        yield Sentence("the interval holds for these data; other data are not covered")


@dataclass(frozen=True, slots=True)
class _Outlook:
    """The score to expect of a setting that is trained again."""

    expected: float
    interval: Interval | None
    covers: Covers | None
    seed_sd: float | None


def _outlook(store: Store, judgement: Judgement, at: int, rivals: Sequence[int], of: Stage) -> _Outlook:
    """Return what training a setting again gives, which was the first of some rivals.

    Its variance has a part from what the process does not know, and one from the examples, which all trials share and
    the process does not see.
    """
    judged, sign = judgement.judged, judgement.sign
    expected, variance, noise = float(judged.mean[at]), float(judged.sd[at]) ** 2, judged.noise(at)
    which = np.array([at, *(other for other in rivals if other != at)])
    examples, known = kinds.examples(of), _by_example(store, judgement)
    smoothed = None if known is None else judged.smoothed(which, sign * known[0])
    if examples is not None and 0 <= judgement.scores[at] <= 1:
        expected = min(max(expected, 0.0), 1.0)
        shared = within = expected * (1 - expected) / examples  # the most that either can be
        if smoothed is not None:
            rng = np.random.default_rng(draw_seed(of.seed, 0, "recommend"))
            expected = min(expected, expected_elsewhere(smoothed, judged.utility[which], rng=rng))
            own = np.clip(smoothed[0], 0.0, 1.0)  # (V,) the probability of each hit
            shared, within = float(own.var()) / examples, float((own * (1 - own)).mean()) / examples
        expected = min(max(expected, 0.0), 1.0)
        shared = max(shared, 1 / (examples + 1) ** 2)  # one example of doubt, where all of them are hit
        interval = share_interval(expected, variance + shared, MOST_FREEDOM, examples)
        return _Outlook(expected, interval, "seeds and examples", math.sqrt(max(noise**2 - within, 0.0)) or None)
    if np.nanmin(judgement.scores) == np.nanmax(judgement.scores):
        return _Outlook(sign * float(judgement.scores[at]), None, None, None)
    shared, freedom = 0.0, float(MOST_FREEDOM)
    if known is not None and smoothed is not None:
        expected = min(expected, corrected_best(smoothed.tolist(), sign=1.0))
        shared = corrected_error(smoothed[0].tolist(), known[1]) ** 2
        freedom = (smoothed.shape[1] - 1) * ((variance + shared) / shared) ** 2 if shared > 0 else freedom
    least, most = score_bounds(of)
    if not least <= sign * judgement.scores[at] <= most:  # another score with the name of a known one
        least, most = -math.inf, math.inf
    expected = min(max(sign * expected, least), most)
    ends = error_interval(expected, math.sqrt(variance + shared), freedom)
    covers: Covers = "seeds" if smoothed is None else "seeds and examples"
    return _Outlook(expected, Interval(max(ends.low, least), min(ends.high, most)), covers, noise)


def _by_example(store: Store, judgement: Judgement) -> tuple[NDArray[Any], float] | None:
    """Return the trials' hits or scores on folds, (N, V), and the `split_ratio` of folds; None where some keep none.

    Trials that are not followed have zeros.
    """
    places: dict[str, tuple[Stage, dict[int, int]]] = {}
    for at in np.flatnonzero(~judgement.judged.floored).tolist():
        stage, number = judgement.trials[at]
        places.setdefault(stage.name, (stage, {}))[1][number] = at
    rows: dict[int, NDArray[Any]] = {}
    ratio, followed = 0.0, 0
    for stage, numbers in places.values():
        scores = {number: judgement.sign * float(judgement.scores[at]) for number, at in numbers.items()}
        known, ratio = by_example(store, stage, scores)
        rows |= {numbers[number]: row for number, row in known.items()}
        followed += len(numbers)
    if len(rows) < followed or len({len(row) for row in rows.values()}) != 1:
        return None
    some = next(iter(rows.values()))
    values = np.zeros((len(judgement.trials), len(some)), some.dtype)
    values[[*rows]] = [*rows.values()]
    return values, ratio


def choose(
    store: Store, stages: Sequence[Stage], *, number: int | None = None, trial: int | None = None, by: str | None = None
) -> Choice:
    """Choose the final values of a search: of all stages or one, or the trial of that number.

    By default those that are recommended. ``by`` is ``confirmed``, for those that a confirmation puts first whatever
    later trials score, or ``best``, for those of the best trial.

    Raises:
        BadInput: The confirmation is not complete.
    """
    if trial is not None:
        return choose_trial(store, stages, number=number, trial=trial)
    among = list(stages) if number is None else [pick(stages, number)]
    if by == "confirmed":
        among = [_confirmed_stage(store, among)]
    best = best_of(store, among)
    if best is None:
        raise unscored(store, among[0].search, among[0].search if number is None else among[0].name)
    without = f"; {text}" if (text := left_out(among, best[0])) else ""
    if by == "best":
        which = "its stage" if number is not None else "all stages"
        return choice_of(*best, "best", f"the best trial of {which}{without}")
    recommended = recommend(store, stages, among=among)
    assert recommended is not None
    _check_complete(store, recommended.of)
    of, why = recommended.of, f"{recommended.why}{without}"
    return checked(Choice(of, recommended.trial, recommended.params, recommended.by, recommended.expected, why))


def _confirmed_stage(store: Store, among: Sequence[Stage]) -> Stage:
    """Return the stage of these whose confirmation counts; raise where none is complete."""
    known = [stage for stage in among if known_confirmation(store, stage) is not None]
    state = _confirmed(store, known)
    if state is not None:
        return next(stage for stage in known if stage.name == state.stage)
    confirmation = confirmation_of(store, (*known, among[-1])[0])
    _check_complete(store, (*known, among[-1])[0])
    text = f"every repeat of {confirmation.name} failed, so no setting has a mean; use {{}}"
    raise BadInput(text, Argument("by", "best"))


def _check_complete(store: Store, stage: Stage) -> None:
    confirmation = known_confirmation(store, stage)
    if confirmation is None or not (state := overview(store, confirmation)).left:
        return
    raise BadInput(
        f"{confirmation.name} is not complete: {state.finished} of {counted(state.plan.size, 'trial')} have finished; "
        "run `{}` to complete it, or use {}",
        actions_for(store, stage.search)("confirm", **state.as_begun),
        Argument("by", "best"),
    )
