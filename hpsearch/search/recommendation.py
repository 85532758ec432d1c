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
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.objectives import kinds
from hpsearch.records import Argument, Sentence, Stage, draw_seed
from hpsearch.search.best import Choice, Covers, Overview, best_trial, choice_of, choose_trial, in_order, overview
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
from hpsearch.statistics.folds import corrected_error, error_interval
from hpsearch.statistics.intervals import MOST_FREEDOM, Interval, share_interval
from hpsearch.statistics.retraining import expected_elsewhere, expected_on_other_folds
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
    by: Literal["trials", "confirmation", "best score"]
    score: float  # the trial's own score
    expected: float  # the mean score of these values trained again with other seeds, on other examples
    interval: Interval | None  # of that mean; None where the noise is not known
    covers: Covers | None  # what the interval holds for; None without one
    seed_sd: float | None  # standard deviation of single trainings about that mean; None: not known, or too small
    failure: float | None  # probability that such a training fails; None: not known
    trials: int  # number of finished and failed trials that it rests on
    repeats: int  # how often these values have been trained so far
    params: Mapping[str, Value]
    metric: str
    of: Stage = field(repr=False)
    available: int = 0  # number of trials that it could rest on; of many some are left out
    best: tuple[str, int] = field(repr=False)  # the stage and number of the trial with the best score
    remarks: tuple[Sentence, ...] = field(default=(), repr=False)  # what there is to know besides, and to do

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The reason for these values, the score to expect when they are trained again, and remarks."""
        return Sentence(self.why), *map(Sentence, self.outlook), *self.remarks

    @property
    def name(self) -> str:
        """The name of the trial whose values they are."""
        return f"{self.stage} trial {self.trial}"

    @property
    def judged_by(self) -> str:
        """The number of trials that it rests on, in words."""
        of = "" if self.trials >= self.available else f"{self.trials:,} of "
        return f"judged by {of}{counted(max(self.trials, self.available), 'trial')}"

    @property
    def resolved_params(self) -> dict[str, Value]:
        """The values that have an effect, by the names that the objective knows: ranges per value under one name."""
        return delivered(self.of.space, {name: self.params[name] for name in kinds.used(self.of, self.params)})

    @property
    def why(self) -> str:
        """The reason for these values, in words."""
        if self.by == "confirmation":
            return f"{self.name} is recommended: the confirmation of {self.stage} puts its values first"
        if self.by == "best score":
            return f"{self.name} is recommended: it has the best score; there are too few trials near it to learn from"
        what = "it has the best score, and its" if self.best == (self.stage, self.trial) else "its"
        return f"{self.name} is recommended: {what} values have the best expected score, {self.judged_by}"

    @property
    def outlook(self) -> tuple[str, ...]:
        """The score to expect of these values when they are trained again, in words."""
        metric = self.metric.replace("_", " ")
        on = " on new examples" if self.covers == "seeds and examples" else ""
        ends = self.interval
        interval = "" if ends is None else f" (95 % interval {_number(ends.low)} to {_number(ends.high)})"
        words = [f"trained again, they are expected to reach {metric} {_number(self.expected)}{on}{interval}"]
        if self.seed_sd is not None:
            words.append(f"single trainings differ by {self.seed_sd:.2g} (standard deviation over seeds)")
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
    names = {stage.name for stage in among if compares(stage, like)}
    judgement = judge_trials(store, stages, like=like)
    at = None if judgement is None else _first(store, judgement, names)
    if judgement is None or at is None:
        return _by_score(store, among, few=judgement is None)
    first = judgement.trials[at][0]
    state = _confirmed(store, [stage for stage in among if stage.name in names and stage.number >= first.number])
    rivals = judgement.best_first(names)[:_RIVALS]
    if state is not None:
        repeated = {judgement.settings[i]: i for i in judgement.repeats()}
        rivals = [repeated[state.stage, of.trial] for of in state.ranking]
        at = rivals[0]
    return _made(store, stages, judgement, at, rivals, state, (like.name, columns["number"][0]))


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
    """Return the latest complete confirmation of these stages with its uncertainty."""
    for stage in reversed(stages):
        confirmation = known_confirmation(store, stage)
        if confirmation is not None and (state := assess(store, confirmation)).complete:
            return state
    return None


def _by_score(store: Store, among: Sequence[Stage], *, few: bool) -> Recommendation:
    """Return the recommendation where there are too few trials to learn from, in the search or near these."""
    best = best_trial(store, among)
    assert best is not None
    state = _confirmed(store, [best.of])
    common: dict[str, Any] = {
        "stage": best.stage,
        "seed_sd": None,
        "failure": None,
        "trials": best.trials,
        "metric": best.metric,
        "of": best.of,
        "best": (best.stage, best.trial),
    }
    if state is not None:
        first = state.ranking[0]
        return Recommendation(
            trial=first.trial,
            by="confirmation",
            score=first.setting.score,
            expected=first.mean,
            interval=first.interval,
            covers=None if first.interval is None else first.covers,
            repeats=first.repeats + 1,
            params=first.setting.params,
            **common,
        )
    remarks: tuple[Sentence, ...] = ()
    if few and not kinds.foreign(best.of):
        more = actions_for(store, best.of.search)("start")
        remarks = (Sentence(f"from {LEAST} trials with a score on, all trials are learned from: {{}}", (more,)),)
    return Recommendation(
        trial=best.trial,
        by="best score",
        score=best.score,
        expected=best.score if best.corrected is None else best.corrected,
        interval=best.corrected_interval,
        covers=None if best.corrected_interval is None else "seeds and examples",
        repeats=1,
        params=best.params,
        remarks=remarks,
        **common,
    )


def _made(
    store: Store,
    stages: Sequence[Stage],
    judgement: Judgement,
    at: int,
    rivals: Sequence[int],
    state: Overview | None,
    best: tuple[str, int],
) -> Recommendation:
    """Return the recommendation of one of the settings that might have been chosen, which are rows of the judgement."""
    name, number = judgement.settings[at]
    of = next(stage for stage in stages if stage.name == name)
    params, score = _row(store, of, number)
    outlook = _outlook(store, judgement, at, rivals, of)
    repeats = sum(setting == (name, number) for setting in judgement.settings)
    counts = [store.counts(stage) for stage in comparable(stages, of)]
    remarks = []
    if outlook.covers == "seeds":
        remarks.append(Sentence("the interval holds for these data; other data are not covered"))
    elif outlook.interval is None:
        remarks.append(Sentence("all scores are equal, so no interval is known"))
    remarks += _remarks(store, judgement, at, best, state, of)
    return Recommendation(
        stage=name,
        trial=number,
        by="trials" if state is None else "confirmation",
        score=score,
        expected=outlook.expected,
        interval=outlook.interval,
        covers=outlook.covers,
        seed_sd=outlook.seed_sd,
        failure=float(judgement.judged.failure[at]),
        trials=len(judgement.trials),
        available=len(judgement.trials) - judgement.sampled + sum(known.complete + known.failed for known in counts),
        repeats=repeats,
        params=params,
        metric=of.metric,
        of=of,
        best=best,
        remarks=tuple(remarks),
    )


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
    utility, examples, known = judged.utility[which], kinds.examples(of), _by_example(store, judgement)
    if examples is not None and 0 <= judgement.scores[at] <= 1:
        expected = min(max(expected, 0.0), 1.0)
        shared = within = expected * (1 - expected) / examples  # the most that either can be
        if known is not None:
            smoothed = judged.smoothed(which, known[0])
            rng = np.random.default_rng(draw_seed(of.seed, 0, "recommend"))
            expected = min(expected, expected_elsewhere(smoothed, utility, rng=rng))
            own = np.clip(smoothed[0], 0.0, 1.0)  # (V,) the probability of each hit
            shared, within = float(own.var()) / examples, float((own * (1 - own)).mean()) / examples
        expected = min(max(expected, 0.0), 1.0)
        shared = max(shared, 1 / (examples + 1) ** 2)  # one example of doubt, where all of them are hit
        interval = share_interval(expected, variance + shared, MOST_FREEDOM, examples)
        return _Outlook(expected, interval, "seeds and examples", math.sqrt(max(noise**2 - within, 0.0)) or None)
    if np.nanmin(judgement.scores) == np.nanmax(judgement.scores):
        return _Outlook(sign * float(judgement.scores[at]), None, None, None)
    covers: Covers = "seeds"
    shared, freedom = 0.0, float(MOST_FREEDOM)
    if known is not None:
        values, ratio = known
        smoothed = judged.smoothed(which, sign * values)
        expected = min(expected, expected_on_other_folds(smoothed, utility))
        shared, covers = corrected_error(smoothed[0].tolist(), ratio) ** 2, "seeds and examples"
        total = variance + shared
        freedom = (values.shape[1] - 1) * (total / shared) ** 2 if shared > 0 else freedom
    least, most = score_bounds(of)
    if not least <= sign * judgement.scores[at] <= most:  # another score with the name of a known one
        least, most = -math.inf, math.inf
    expected = min(max(sign * expected, least), most)
    ends = error_interval(expected, math.sqrt(variance + shared), freedom)
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

    By default those that are recommended (`hpsearch.search.recommendation`): the values that a confirmation puts first,
    or those with the best expected score by all trials, or those of the best trial where there are few. ``by`` is
    ``confirmed`` or ``best``, to choose by that alone.
    """
    if trial is not None:
        return choose_trial(store, stages, number=number, trial=trial)
    among = list(stages) if number is None else [pick(stages, number)]
    if by == "confirmed":
        return _by_confirmation(store, among)
    best = best_of(store, among)
    if best is None:
        raise unscored(store, among[0].search, among[0].search if number is None else among[0].name)
    which = "its stage" if number is not None else "all stages"
    without = f"; {text}" if (text := left_out(among, best[0])) else ""
    if by == "best":
        return choice_of(*best, "best", f"the best trial of {which}{without}")
    recommended = recommend(store, stages, among=among)
    assert recommended is not None
    stage = recommended.of
    confirmation = known_confirmation(store, stage)
    if confirmation is not None:
        return _first_of(store, stage, overview(store, confirmation))
    hint = f"; {stage.name} has not been confirmed{without}"
    if recommended.by == "best score":
        return choice_of(*best, "best", f"the best trial of {which}{hint}")
    why = f"the best expected score of {which}, {recommended.judged_by}{hint}"
    expected = recommended.expected
    return Choice(stage, recommended.trial, recommended.params, "recommended", expected, recommended.repeats, why)


def _by_confirmation(store: Store, among: Sequence[Stage]) -> Choice:
    """Choose the first of all complete confirmations, by the rule by which each ranks its own."""
    stage_of = {stage.number: stage for stage in among}
    known = [of for of in store.confirmations(among[0].search) if of.number in stage_of]
    if not known:
        confirmation_of(store, among[-1])  # raises
    overviews = [overview(store, confirmation) for confirmation in known]
    complete = [of for of in overviews if of.complete]
    best = overviews[0]  # not complete: `_first_of` raises
    if complete:
        first = in_order([of.ranking[0] for of in complete], among[0].direction)[0]
        best = next(of for of in complete if of.ranking[0] is first)
    choice = _first_of(store, stage_of[best.confirmation.number], best)
    without = ", ".join(of.confirmation.name for of in overviews if not of.complete)
    return replace(choice, why=f"{choice.why}; without {without}, which is not complete") if without else choice


def _first_of(store: Store, stage: Stage, state: Overview) -> Choice:
    name = state.confirmation.name
    if state.left:
        raise BadInput(
            f"{name} is not complete: {state.finished} of {counted(state.plan.size, 'trial')} have finished; "
            "run `{}` to complete it, or use {}",
            actions_for(store, stage.search)("confirm", **state.as_begun),
            Argument("by", "best"),
        )
    first = state.first
    if first is None:
        raise BadInput(f"every repeat of {name} failed, so no setting has a mean; use {{}}", Argument("by", "best"))
    return Choice(
        stage,
        first.trial,
        first.setting.params,
        "confirmed",
        first.mean,
        first.repeats,
        f"the first of {name}, which trained {counted(len(state.ranking), 'setting')} again",
    )
