"""Confirmation: a stage's best trials, trained again with other seeds.

A trial's seed decides the initial state, the order of examples and any noise; these are set anew. The split stays,
so that all settings are compared on the same examples.

R repeats of a setting are scored on the same N examples, so a hit h(r, i) varies for three reasons: the seeds of repeat
r, the example i, and the rest. A standard error over the repeats sees the first only; one over R x N hits takes
examples that are the same for independent ones. The mean squares of the two-way layout estimate the mean's variance
(random effects, one hit a cell; Searle, Casella & McCulloch 1992, ch. 4):

    Var(mean) = (MS(seeds) + MS(examples) - MS(rest)) / (R N)

with Satterthwaite's (1946) degrees of freedom. The scores on the folds of a cross-validation take the place of hits
where trials report them; MS(folds) is then corrected for training parts that overlap (`hpsearch.statistics.folds`).
Settings are compared by the differences of their hits, repeat by repeat
and example by example, in the same way: repeats of one number have the same seeds in all settings, and effects of
seeds and examples that both settings share cancel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadArgument, EvaluationFailure
from hpsearch.objectives import kinds
from hpsearch.records import ConfirmationPlan, Direction, Setting, Stage, draw_seed
from hpsearch.search.best import Confirmed, Covers, Overview, in_order, overview
from hpsearch.search.by_example import by_example
from hpsearch.search.judgement import judge_trials
from hpsearch.search.limits import StopRequests
from hpsearch.search.runner import Runner, Summary, interrupted
from hpsearch.search.stage import (
    check_counts,
    check_fingerprint,
    kept_study,
    lacking,
    latest_with_trials,
    made_from,
    no_study_file,
    other_version,
    params_at,
    pick,
    stages_of,
    unscored,
)
from hpsearch.search.workflow import ConfirmJob, Listener, stopping, workers
from hpsearch.space import contains
from hpsearch.statistics.folds import error_interval
from hpsearch.statistics.intervals import (
    MOST_FREEDOM,
    Interval,
    mean_interval,
    share_interval,
    student_cdf,
    whole,
)
from hpsearch.store import Store, open_store
from hpsearch.store.queries import html
from hpsearch.store.schema import BASELINE, PLAN_KEY
from hpsearch.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LEAST_P = 1e-15  # smaller probabilities are rounding error
# Repeats that two settings must have in common: the spread of fewer is known so badly that too many differences would
# be claimed (in simulations of five equal settings up to 9 % at 3 repeats, at most 5.5 % from 4 on).
LEAST_TO_COMPARE = 4

# The hits of one setting, (N,) each, or its scores on folds, by repeat.
SettingHits = Mapping[int, "NDArray[np.bool_] | NDArray[np.float64]"]


def assess(store: Store, confirmation: Stage) -> Overview:
    """Return the state of a confirmation with the uncertainty of its means."""
    state, examples = overview(store, confirmation), kinds.examples(confirmation)
    hits, ratio = repeats_of(store, state)
    given: dict[str, Any] = {"examples": examples, "hits": hits} if examples is not None else {"folds": (hits, ratio)}
    ranking = rank_confirmed(state.ranking, direction=confirmation.direction, **given)
    return replace(state, ranking=ranking)


def repeats_of(store: Store, state: Overview) -> tuple[dict[int, SettingHits], float]:
    """Return what repeats keep of single examples or folds, by setting and repeat, and the `split_ratio` of folds."""
    scores = {number: of.scores[repeat] for of in state.ranking for repeat, number in of.numbers.items()}
    known, ratio = by_example(store, state.confirmation, scores)
    own = {of.trial: {r: known[n] for r, n in of.numbers.items() if n in known} for of in state.ranking}
    return {**own}, ratio


def rank_confirmed(
    repeats: Sequence[Confirmed],
    *,
    direction: Direction,
    examples: int | None = None,
    hits: Mapping[int, SettingHits] | None = None,
    folds: tuple[Mapping[int, SettingHits], float] = ({}, 0.0),
) -> tuple[Confirmed, ...]:
    """Return the settings that have a score, best first (`hpsearch.search.best.in_order`), with their uncertainty.

    Where the scores are shares of ``examples``, ``hits`` are theirs by the setting's trial and by repeat. Where a
    repeat's are missing, its setting's interval adds the most that the examples' own variance can be, p (1 - p)/N, and
    it is compared over seeds alone. Of other scores ``folds`` are those on folds, with the `split_ratio` of these.
    """
    ranked = in_order(repeats, direction)
    pairs = len(ranked) * (len(ranked) - 1) // 2
    known, ratio = (hits or {}, 0.0) if examples is not None else folds
    confirmed = []
    for place, of in enumerate(ranked):
        own = known.get(of.trial, {})
        interval, covers = _interval(of, own, examples, ratio)
        p, compared = None, covers
        if place:
            first = ranked[0]
            p, compared = _difference_p(first, of, known.get(first.trial, {}), own, ratio)
            p = None if p is None else min(1.0, pairs * p)
        confirmed.append(replace(of, interval=interval, covers=covers, p=p, compared=compared))
    return tuple(confirmed)


def crossed_variance(values: NDArray[np.float64], ratio: float = 0.0) -> tuple[float, float]:
    """Return the variance of the mean of values with seeds by row and examples by column, and its degrees of freedom.

    There are at least two of both. A part whose estimate is negative counts as none. Of folds in place of examples the
    mean square is corrected by their `split_ratio`.
    """
    rows, columns = values.shape
    by_row, by_column, mean = values.mean(axis=1), values.mean(axis=0), values.mean()
    seeds = columns * float(np.var(by_row, ddof=1))
    examples = rows * float(np.var(by_column, ddof=1)) * (1 + columns * ratio)
    freedom = (rows - 1) * (columns - 1)
    rest = float(np.sum((values - by_row[:, None] - by_column + mean) ** 2)) / freedom
    total = max(seeds + examples - rest, seeds, examples)
    if total <= 0:
        return 0.0, MOST_FREEDOM
    spread = seeds**2 / (rows - 1) + examples**2 / (columns - 1) + rest**2 / freedom
    return total / values.size, total**2 / spread


def _interval(of: Confirmed, hits: SettingHits, examples: int | None, ratio: float) -> tuple[Interval | None, Covers]:
    covers: Covers = "seeds" if examples is None else "seeds and examples"
    scores = list(of.scores.values())
    if len(scores) < 2:
        return None, covers
    if examples is None:
        if not of.scores.keys() <= hits.keys():
            return mean_interval(scores), covers
        variance, freedom = crossed_variance(_stack(hits, of.scores), ratio)
        return error_interval(of.mean, math.sqrt(variance), freedom), "seeds and examples"
    if of.scores.keys() <= hits.keys() and examples > 1:
        variance, freedom = crossed_variance(_stack(hits, of.scores))
    else:
        over_seeds = float(np.var(scores, ddof=1)) / len(scores)
        variance = over_seeds + of.mean * (1 - of.mean) / examples
        freedom = MOST_FREEDOM if over_seeds == 0 else (variance / over_seeds) ** 2 * (len(scores) - 1)
    return share_interval(of.mean, variance, freedom, examples), covers


def _difference_p(
    first: Confirmed, other: Confirmed, first_hits: SettingHits, hits: SettingHits, ratio: float
) -> tuple[float | None, Covers]:
    """Return the two-sided p of the difference of two settings' means over their common repeats, and its scope."""
    common = sorted(first.scores.keys() & other.scores.keys())
    covers: Covers = "seeds"
    if len(common) < LEAST_TO_COMPARE:
        return None, covers
    if set(common) <= first_hits.keys() & hits.keys() and len(hits[common[0]]) > 1:
        covers = "seeds and examples"
        values = _stack(first_hits, common) - _stack(hits, common)
        mean = float(values.mean())
        variance, freedom = crossed_variance(values, ratio)
    elif first.constant and other.constant:
        return None, covers  # no spread of repeats to test by
    else:
        differences = [first.scores[repeat] - other.scores[repeat] for repeat in common]
        mean = float(np.mean(differences))
        variance, freedom = float(np.var(differences, ddof=1)) / len(common), len(common) - 1
    if variance == 0:
        return (1.0 if mean == 0 else 0.0), covers
    return max(2 * student_cdf(-abs(mean) / math.sqrt(variance), whole(freedom)), _LEAST_P), covers


def _stack(hits: SettingHits, repeats: Mapping[int, float] | Sequence[int]) -> NDArray[np.float64]:
    return np.array([hits[repeat] for repeat in sorted(repeats)], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The result of a confirmation."""

    state: Overview  # of the settings of this job and those of before
    summary: Summary

    def _repr_html_(self) -> str:
        """Return the settings as a table, best first, for notebooks."""
        ranking, space = self.state.ranking, self.state.confirmation.space
        columns: dict[str, list[Any]] = {
            "trial": [of.trial for of in ranking],
            "mean": [of.mean for of in ranking],
            "95 % interval": [of.interval and f"{of.interval.low:.4g} .. {of.interval.high:.4g}" for of in ranking],
            "repeats": [of.repeats for of in ranking],
            "p": [of.p for of in ranking],
        }
        return html(columns | {name: [of.setting.params.get(name) for of in ranking] for name in space})


def confirm(job: ConfirmJob, listener: Listener | None = None) -> Confirmation:
    """Train a stage's best trials again with fresh seeds, until each has its number of repeats."""
    listener = listener or Listener()
    check_counts(top=job.top, repeats=job.repeats, jobs=job.jobs, lanes=job.lanes)
    with (
        stopping() as stop,
        workers(job, job.top * job.repeats, listener.note) as executor,
        closing(open_store(job.storage, write=True, search=job.search)) as store,
    ):
        store.on_disconnect(listener.note, stopping=stop)
        stages = stages_of(store, job.search)
        parent = latest_with_trials(store, stages) if job.stage is None else pick(stages, job.stage)
        if not kinds.trainable(parent):
            raise no_study_file(parent)
        settings = settings_to_confirm(store, stages, parent, job.top)
        study = kept_study(parent)
        if job.given is not None:
            study = study.run_as(job.given, "function")
        study.check_names()
        data = study.load(data_dir=job.data_dir)
        check_fingerprint(parent, data.fingerprint)
        stage = planned(store, parent, settings, job.repeats)
        if (text := other_version(store, stage)) is not None:
            listener.note(text)
        objective = study.objective(data, seed=stage.seed, space=stage.ranges, name=stage.name)
        assert stage.plan is not None
        # Include trials that have begun: an earlier run with larger counts may have left unfinished ones.
        until = max(stage.plan.end([setting.trial for setting in settings], job.repeats), store.counts(stage).rows)
        finished = store.counts(stage).finished
        listener.began(stage, store, until=until, jobs=executor.slots, best=None, finished=finished)
        # No pruning: a mean over the repeats that did well early would be biased.
        options: dict[str, Any] = {"lanes": job.lanes, "on_tick": listener.tick, "stopping": stop}
        options |= {
            "retries": kinds.retries(stage.study_file),
            "stop_requested": StopRequests(store, stage.search),
            "note": listener.note,
        }
        summary = Runner(store, stage, objective, executor, until=until, **options).run()
        if summary.stopped:
            raise interrupted(stage, summary, until)
        if summary.ended_by == "failures" and summary.reason is not None:
            raise EvaluationFailure(summary.reason.text, *summary.reason.mentions)
        return Confirmation(assess(store, stage), summary)


def settings_to_confirm(store: Store, stages: Sequence[Stage], stage: Stage, top: int) -> list[Setting]:
    """Return the values of a stage's trials that are worth training again, in turn by expected and by own score.

    The expected score is predicted from the trials around (`hpsearch.search.judgement`), which do not see a narrow
    peak; the own one sees it, but was selected for its noise. The trials of this stage and of earlier ones take part,
    and no repeats, so that a confirmation that was broken off goes on with the same settings. The baseline comes
    first, if it is of this stage.
    """
    earlier = [other for other in stages if other.number <= stage.number]
    by_score, by_expected = best_settings(store, stage, top), list[Setting]()
    judgement = judge_trials(store, earlier, like=stage, confirmations=False)
    if judgement is not None:
        by_expected = _settings(store, stage, [judgement.trials[at][1] for at in judgement.best_first({stage.name})])
    in_turn = (setting for pair in zip_longest(by_expected, by_score) for setting in pair if setting)
    kept = store.study_attribute(stage, BASELINE)
    baseline = [] if kept is None else _settings(store, stage, [kept["trial"]])
    return [*{setting.trial: setting for setting in (*baseline, *in_turn)}.values()][:top]


def _settings(store: Store, stage: Stage, numbers: Sequence[int]) -> list[Setting]:
    """Return the values of trials in this order, without those whose values lie outside the stage's ranges."""
    columns = store.columns(stage, states=("COMPLETE",), numbers=numbers)
    known = {
        number: Setting(number, params_at(stage, columns, at), columns["score"][at])
        for at, number in enumerate(columns["number"])
    }
    return [known[number] for number in numbers if number in known and _fits(stage, known[number])]


def _fits(stage: Stage, setting: Setting) -> bool:
    """Return whether a trial has all values, inside its stage's ranges."""
    inside = all(contains(stage.space[name], value) for name, value in setting.params.items())
    return inside and not lacking(stage, setting.params)


def best_settings(store: Store, stage: Stage, top: int) -> list[Setting]:
    """Return the values of a stage's best trials, best first; trials with values outside its ranges are passed over."""
    settings: list[Setting] = []
    for rows in (top, store.counts(stage).complete):  # all of them only where some of the best are passed over
        columns = store.columns(stage, top=rows)
        trials = (
            Setting(number, params_at(stage, columns, at), columns["score"][at])
            for at, number in enumerate(columns["number"])
        )
        settings = [trial for trial in trials if _fits(stage, trial)]
        if len(settings) >= top:
            return settings[:top]
    if not settings:
        raise unscored(store, stage.search, stage.name)
    problem = f"{stage.name} has {counted(len(settings), 'trial')} with a score"
    raise BadArgument("top", top, problem, "use a smaller top or run more trials")


def planned(store: Store, parent: Stage, settings: Sequence[Setting], repeats: int) -> Stage:
    """Return the confirmation of a stage, made where there is none, with places for these repeats of these settings."""
    seed = draw_seed(parent.seed, parent.number, "confirm")
    new = made_from(parent, number=parent.number, seed=seed, space=parent.space, plan=ConfirmationPlan())
    made = store.create_stage(new)

    def grow(plain: Any) -> Any:
        return ConfirmationPlan.from_dict(plain or {}).grown(settings, repeats).to_dict()

    return replace(made, plan=ConfirmationPlan.from_dict(store.change_study_attribute(made, PLAN_KEY, grow)))
