"""Refinement: a stage whose trials a model of the scores places, by all trials before them.

Random search in narrowed ranges runs fully parallel and shows which parameters matter. At the end a model of the
scores finds the rest: the search's own surrogate (`hpsearch.search.thompson`), or one of Optuna's samplers, the tree-
structured Parzen estimator (``tpe``) or the Gaussian process (``gp``). A refinement keeps its parent's ranges and
learns from all trials of the search in them. It samples in batches: trials `batch * k` to `batch * (k + 1) - 1` follow
from the trials before them alone, so that the values depend on the seed and the batch's size, and not on jobs, on the
order in which trials finish, or on a restart.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.errors import BadArgument, MissingExtra, StageConflict, nearest
from hpsearch.objectives import kinds
from hpsearch.records import Argument, draw_seed, stage_seed
from hpsearch.samplers import RandomSampler, constraints_of
from hpsearch.search.stage import (
    check_counts,
    compares,
    kept_study,
    made_from,
    no_study_file,
    params_at,
    pick,
    unscored,
)
from hpsearch.space import Categorical, Float, Int, delivered, delivered_as, holds, in_order, to_distribution
from hpsearch.store.claims import is_stored_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial

    from hpsearch.constraints import Constraints
    from hpsearch.records import NewStage, Stage
    from hpsearch.space import Parameter, Space, Value
    from hpsearch.store import Store

SAMPLERS = ("surrogate", "tpe", "gp")
TRIALS, BATCH = 50, 8  # of a refinement, by default
_PACKAGES = ("torch", "scipy")  # which Optuna's Gaussian process needs
_MOST = 500  # latest trials, that Optuna's samplers learn from: a Gaussian process takes time as their cube
_TRIES = 8  # proposals for a trial, until one meets the constraints


class Scored(NamedTuple):
    """The values of a trial that has ended, and its score; None: it failed."""

    params: dict[str, Value]
    score: float | None


def refine_stage(
    store: Store,
    stages: Sequence[Stage],
    *,
    number: int | None = None,
    sampler: str | None = None,
    batch: int | None = None,
) -> Stage:
    """Return the refinement of a stage, which is made where there is none.

    Args:
        store: The database.
        stages: The search's stages.
        number: Number of the stage to refine, or of a refinement to go on with. None: the latest.
        sampler: One of `SAMPLERS`. None: that of the refinement, or the first of them for a new one.
        batch: Trials that are sampled together. None: likewise, or `BATCH`.

    Raises:
        NotEnoughTrials: No trial in the stage's ranges has a score that compares.
        StageConflict: The stage was run elsewhere or declares its parameters itself, or its refinement was begun with
            another sampler or batch.
        MissingExtra: A package that the sampler needs is not installed.
    """
    check_counts(batch=batch)
    if sampler is not None:
        check_sampler(sampler)
    parent = pick(stages, number)
    begun = [of for of in stages if of.refinement and parent.number in (of.number, of.parent)]
    if begun:
        return _as_asked(begun[-1], sampler, batch)
    if not kinds.trainable(parent):
        raise no_study_file(parent)
    if parent.defined_by_run:
        raise StageConflict(
            f"the trials of {parent.name} declare their parameters while they run, and a refinement needs ranges; give "
            "the study file a [space]"
        )
    past = past_trials(store, parent, store.counts(parent).rows)
    if all(trial.score is None for trial in past):
        raise unscored(store, parent.search, parent.name)
    sampler = sampler or SAMPLERS[0]
    check_installed(sampler)
    number = stages[-1].number + 1
    new = made_from(
        parent,
        number=number,
        seed=stage_seed(stages[0].seed, number),
        space=parent.as_begun().space,
        # Trials of a batch wait for each other, and would wait for a cohort of pruning that is larger.
        study_file=kept_study(parent).with_pruning("none").to_dict(),
        rule={"refine": {"sampler": sampler, "batch": batch or BATCH}},
    )
    return store.create_stage(new)


def _as_asked(stage: Stage, sampler: str | None, batch: int | None) -> Stage:
    begun = stage.refinement or {}
    for name, given in (("sampler", sampler), ("batch", batch)):
        if given not in (None, begun[name]):
            raise StageConflict(
                f"{{}}: {stage.name} was begun with {name} {begun[name]}; leave it out, or delete that stage first",
                Argument(name, given),
            )
    check_installed(begun["sampler"])
    return stage


def check_sampler(name: str) -> None:
    """Check that there is a sampler of that name."""
    if name not in SAMPLERS:
        raise BadArgument("sampler", name, f"no such sampler{nearest(name, SAMPLERS)}")


def check_installed(sampler: str) -> None:
    """Check that the packages which a sampler needs are installed; MissingExtra if not."""
    if sampler == "gp" and (missing := [name for name in _PACKAGES if find_spec(name) is None]):
        raise MissingExtra(
            f"the sampler gp needs {' and '.join(missing)}; pip install 'hpsearch[gp]', or use {{}}",
            Argument("sampler", SAMPLERS[0]),
        )


class Proposals:
    """The values of a refinement's trials: a `hpsearch.samplers.Sampler` that reads the database.

    Args:
        store: The database, whose trials it learns from.
        stage: The refinement.
    """

    def __init__(self, store: Store, stage: Stage) -> None:
        assert stage.refinement is not None
        self.sampler, self.batch = str(stage.refinement["sampler"]), int(stage.refinement["batch"])
        check_installed(self.sampler)
        self._store, self._refined = store, stage
        self._batches: dict[int, list[dict[str, Value]]] = {}  # the last one, by its first trial

    def params(self, stage: NewStage, number: int) -> dict[str, Value]:
        """Return the values of a trial; all trials before its batch have ended."""
        first = number // self.batch * self.batch
        if first not in self._batches:
            history = past_trials(self._store, self._refined, first)
            proposed = propose(self._refined, history, sampler=self.sampler, first=first, count=self.batch)
            self._batches = {first: proposed}
        return dict(self._batches[first][number - first])


def past_trials(store: Store, stage: Stage, first: int) -> list[Scored]:
    """Return the trials that a batch of a refinement follows from: those of it before ``first``, and of stages before.

    Of earlier stages whose scores compare those whose values lie in the ranges. A pruned trial has the score at which
    it ended.
    """
    space = stage.as_begun().space
    past: list[Scored] = []
    for of in store.stages(stage.search):
        if of.number > stage.number or not compares(of, stage):
            continue
        columns = store.columns(of, states=("COMPLETE", "PRUNED", "FAIL"))
        for at, number in enumerate(columns["number"]):
            if of.number == stage.number and number >= first:
                continue
            params = _inside(space, delivered(of.space, params_at(of, columns, at)))
            if params is not None:
                past.append(Scored(params, columns["score"][at]))
    return past


def _inside(space: Space, given: dict[str, Value]) -> dict[str, Value] | None:
    """Return the values of a trial as those of a space, by the names that its objective knows; None where one misses.

    A stage may have one range for a parameter, and the next stage one for each value of another.
    """
    values: dict[str, Value] = {}
    for name in in_order(space):
        parameter = space[name]
        if holds(parameter, values):
            known = delivered_as(name, parameter)
            if known not in given or not _has(parameter, given[known]):
                return None
            values[name] = given[known]
    return {name: values[name] for name in space if name in values}


def _has(parameter: Parameter, value: Value) -> bool:
    if isinstance(parameter, Categorical):
        return value in parameter.choices
    return isinstance(value, int | float) and is_stored_value(parameter, value)


def propose(stage: Stage, past: Sequence[Scored], *, sampler: str, first: int, count: int) -> list[dict[str, Value]]:
    """Return the values of one batch, ``count`` trials from number ``first``, as a sampler proposes them.

    Before there are scores the values are those that random search gives. For Optuna's samplers, which leave out what
    has no score, a failed trial and a proposal that breaks a constraint have the worst score of all; where none of
    `_TRIES` proposals meets the constraints, the trial's values are random ones.
    """
    if sampler == "surrogate":
        from hpsearch.search import thompson  # NumPy, which quick commands do without

        proposed = thompson.propose(stage, past, first=first, count=count)
        return proposed or [RandomSampler().params(stage, first + i) for i in range(count)]
    import optuna  # 0.3 s, which runs of other stages do without

    past = past[-_MOST:]
    seed = draw_seed(stage.seed, first, "refine")
    scores = [trial.score for trial in past if trial.score is not None]
    if not scores:  # nothing to learn from
        return [RandomSampler().params(stage, first + i) for i in range(count)]
    worst = min(scores) if stage.direction == "maximize" else max(scores)
    constraints = constraints_of(stage)
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is experimental in Optuna
            # Parameters with conditions are modelled in the groups that trials have together.
            chosen: BaseSampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
            if sampler == "gp":  # of the parameters that every trial has; the others are the estimator's
                options: dict[str, Any] = {"independent_sampler": chosen, "warn_independent_sampling": False}
                chosen = optuna.samplers.GPSampler(seed=seed, **options)
            study = optuna.create_study(direction=stage.direction, sampler=chosen)
            known = {name: to_distribution(parameter) for name, parameter in stage.space.items()}
            study.add_trials(
                [
                    optuna.trial.create_trial(
                        params=trial.params,
                        distributions={name: known[name] for name in trial.params},
                        value=worst if trial.score is None else trial.score,
                    )
                    for trial in past
                ]
            )
            return [_ask(study, stage, constraints, number, worst) for number in range(first, first + count)]
    finally:
        optuna.logging.set_verbosity(before)


def _suggested(trial: Trial, name: str, parameter: Parameter) -> Value:
    match parameter:
        case Float(low, high, log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case Int(low, high, log, step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case Categorical(choices):
            return trial.suggest_categorical(name, choices)


def _ask(study: Study, stage: NewStage, constraints: Constraints | None, number: int, worst: float) -> dict[str, Value]:
    """Return the values of the next trial. It stays running, so that the sampler keeps away from it.

    One that breaks a constraint gets the worst score, from which the sampler learns to keep away too.
    """
    for _ in range(_TRIES):
        trial = study.ask()
        values: dict[str, Value] = {}
        for name in in_order(stage.space):
            if holds(parameter := stage.space[name], values):
                values[name] = _suggested(trial, name, parameter)
        values = {name: values[name] for name in stage.space if name in values}
        if constraints is None or constraints.hold(values):
            return values
        study.tell(trial, worst)
    return RandomSampler().params(stage, number)
