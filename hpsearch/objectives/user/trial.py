"""A trial as a user's function sees it, and the call of the function: usable as an Optuna trial, without Optuna."""

from __future__ import annotations

import json
import math
import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.distributions import choices_of
from hpsearch.records import (
    ENDED,
    FOLDS,
    METRICS,
    RESULT,
    SECONDS,
    STD_ERROR,
    Completed,
    Direction,
    Failed,
    Outcome,
    Paused,
    Pruned,
    Report,
    draw_seed,
)
from hpsearch.records import Trial as Claimed
from hpsearch.samplers import draw
from hpsearch.space import Float, Int, Parameter, Value, delivered, describe, to_distribution
from hpsearch.text import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.distributions import BaseDistribution


class BadResult(ValueError):
    """A return value that is no score."""


@dataclass(frozen=True, slots=True)
class Study:
    """The stage, as a function sees it."""

    study_name: str
    direction: Direction
    seed: int  # of its draws
    ranges: Mapping[str, Parameter]  # of its parameters, as far as they were given when it began
    fixed: Mapping[str, Any]  # the values of parameters that are not sampled
    user_attrs: Mapping[str, Any] = field(default_factory=dict)


class Task(NamedTuple):
    """A trial to be run by a function."""

    trial: Claimed
    until: int | None = None  # how many points of its curve are wanted; None: all
    known: tuple[float, ...] = ()  # those of an earlier run, which paused
    spent: float = 0.0  # its seconds


def tasks_of(trials: Sequence[Claimed], until: int | None, paused: Sequence[Paused]) -> list[Task]:
    """Return trials as they are run; see `hpsearch.objectives.base.Objective.evaluate`."""
    before = {pause.number: (pause.intermediate, pause.attributes[SECONDS]) for pause in paused}
    return [Task(trial, until, *before.get(trial.number, ())) for trial in trials]


class Trial:
    """A trial: its values, and what a function may say of it while it runs.

    A function that was written for `optuna.trial.Trial` can be called with it.
    """

    def __init__(self, task: Task, study: Study, send: Callable[[Report], None]) -> None:
        self._task, self._send = task, send
        self._points: dict[int, float] = {}  # by step, in the order in which they came
        claimed = task.trial
        self.number = claimed.number
        self.study = study
        # Of a confirmation's trials those of one repeat have one seed.
        name = f"objective#{claimed.again}" if claimed.again else "objective"
        self.seed = draw_seed(study.seed, claimed.number if claimed.repeat is None else claimed.repeat, name)
        self.params: dict[str, Any] = {**study.fixed, **delivered(study.ranges, claimed.params)}
        self.suggested: dict[str, tuple[Parameter, Any]] = {}  # the parameters that the calls have declared
        self.user_attrs: dict[str, Any] = {}
        self.system_attrs: Mapping[str, Any] = {}
        self.datetime_start = datetime.now()

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return the value of a real-valued parameter, which is sampled from this range unless the stage has another.

        Args:
            name: Its name.
            low: Lower bound.
            high: Upper bound.
            step: Distance of neighbouring values; None: any value.
            log: Sample uniformly in the logarithm of the value.
        """
        if step is not None:
            high = float(last_step(low, high, step))
        if low == high:  # nothing to sample: a value of the trial, but no parameter of the stage
            return float(self.params.setdefault(name, float(low)))
        return float(self._suggest(name, Float(low, high, log, step=step), {}))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return the value of a whole-numbered parameter; see `suggest_float`."""
        high = int(last_step(low, high, step))
        if low == high:
            return int(self.params.setdefault(name, int(low)))
        return int(self._suggest(name, Int(low, high, log, step), {}))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return `suggest_float`'s value; one of Optuna's older names, as the next two are."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return the value of `suggest_float` with ``log``."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return the value of `suggest_float` with a step."""
        return self.suggest_float(name, low, high, step=q)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices; see `suggest_float`. Those that are no plain values are kept by their ``repr``."""
        return self._suggest(name, *choices_of(name, choices))

    def _suggest(self, name: str, called: Parameter, objects: Mapping[Value, Any]) -> Any:
        earlier = self.suggested.get(name)
        if earlier is not None:
            if earlier[0] == called:
                return self.params[name]
            raise ValueError(
                f"{name!r} is suggested with two ranges in one trial: {describe(earlier[0])} and {describe(called)}"
            )
        if name not in self.params:
            parameter = self.study.ranges.get(name, called)
            if type(parameter) is not type(called):
                raise ValueError(
                    f"{name!r} is suggested as {describe(called)}, and this stage has {describe(parameter)}"
                )
            self.params[name] = draw(parameter, seed=self.study.seed, number=self.number, name=name)
        value = self.params[name]
        self.suggested[name] = called, value
        self.params[name] = objects.get(value, value)
        return self.params[name]

    def report(self, value: float, step: int) -> None:
        """Add a point to the learning curve; of several for one step the first counts, as in Optuna.

        The n-th step that is reported is epoch n of the curve.
        """
        if (step := int(step)) in self._points:
            return
        self._points[step] = number = float(value)
        if len(self._task.known) < len(self._points) <= (self._task.until or len(self._points)):
            self._send(Report(self.number, len(self._points), number))

    def should_prune(self) -> bool:
        """Return whether the trial is to stop here, by raising ``optuna.TrialPruned``, until others have come as far.

        A trial that goes on after all is called again from its beginning.
        """
        return self._task.until is not None and len(self._points) >= self._task.until

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keep a value with the trial.

        Raises:
            TypeError: JSON has no such value.
        """
        self.user_attrs[str(key)] = json.loads(json.dumps(value))  # plain values: others have not its module

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Return the ranges that its calls have declared, as Optuna's distributions."""
        return {name: to_distribution(parameter) for name, (parameter, _) in self.suggested.items()}

    @property
    def curve(self) -> tuple[float, ...]:
        """Return the values reported so far, as far as they are wanted."""
        return tuple(self._points.values())[: self._task.until]


def run(call: Callable[[Any], Any], trial: Trial) -> Outcome | Paused:
    """Return the outcome of a function's call, whatever it does short of ending its process."""
    began, number = time.perf_counter(), trial.number
    error: BaseException | None = None
    score, facts = math.nan, dict[str, Any]()
    try:
        score, facts = read_result(call(trial))
    except BaseException as raised:  # SystemExit and KeyboardInterrupt too: one trial is not the run's end
        error = raised
    trial._send = lambda point: None  # a thread of the function's may go on
    attributes = not_ours(trial.user_attrs) | facts
    attributes[SECONDS] = round(trial._task.spent + time.perf_counter() - began, 6)
    suggested = {name: declared for name, declared in trial.suggested.items() if name not in trial.study.fixed}
    if error is None:
        return Completed(number, score, trial.curve, attributes, suggested)
    if is_pruned(error):
        if trial.should_prune():
            return Paused(number, trial.curve, attributes, suggested=suggested)
        return Pruned(number, len(trial.curve), trial.curve, attributes, suggested=suggested)
    if not isinstance(error, BadResult):
        beyond = error.__traceback__ and error.__traceback__.tb_next  # this function's own frame says nothing
        traceback.print_exception(type(error), error, beyond)
    return Failed(number, reason_of(error), trial.curve, {**attributes, ENDED: _ended(error)}, suggested)


def not_ours(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a user's attributes of a trial: ``user_seconds``, say, where ``seconds`` is a name of ours."""
    return {f"user_{key}" if key in RESULT else key: value for key, value in attributes.items()}


def _ended(error: BaseException) -> str:
    """Return the kind of a failure, as `hpsearch.records.ENDED` has it."""
    if isinstance(error, BadResult):
        return "result"
    # PyTorch has an error of its own for a GPU's memory.
    return "memory" if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" else "exception"


def last_step(low: float, high: float, step: float) -> Fraction:
    """Return the last of the values low, low + step, ... that is not above a high."""
    first, distance = Fraction(str(low)), Fraction(str(step))
    return first + (Fraction(str(high)) - first) // distance * distance


def is_pruned(error: BaseException) -> bool:
    """Return whether an exception is Optuna's ``TrialPruned``, which need not be loaded here."""
    return any(kind.__name__ == "TrialPruned" for kind in type(error).__mro__)


def reason_of(error: BaseException) -> str:
    """Return why a trial failed in one line."""
    if isinstance(error, BadResult):
        return str(error)
    if isinstance(error, SystemExit):
        return f"the objective called sys.exit({'' if error.code is None else repr(error.code)})"
    return reason(error)


def read_result(result: object) -> tuple[float, dict[str, Any]]:
    """Return the score of what a function returned, and the other facts of a dict.

    Raises:
        BadResult: It is no score.
    """
    if not isinstance(result, Mapping):
        if math.isfinite(score := _number(result, "the objective returned", "return a number, or a dict with 'score'")):
            return score, {}
        raise BadResult(f"the score is {score}")
    if "score" not in result:
        raise BadResult(
            f"the objective returned a dict with {', '.join(map(repr, result)) or 'nothing'}; a dict needs 'score'"
        )
    facts: dict[str, Any] = {}
    if (folds := result.get(FOLDS)) is not None:
        if isinstance(folds, str) or not isinstance(folds, Iterable):
            raise BadResult(f"folds is {repr(folds)[:60]}; give a list of the folds' scores")
        facts[FOLDS] = [_finite(fold, "a fold is") for fold in folds]
    if (error := result.get(STD_ERROR)) is not None:
        facts[STD_ERROR] = _finite(error, "std_error is")
    others = {str(key): value for key, value in result.items() if key not in ("score", FOLDS, STD_ERROR)}
    if others:
        numbers_of = {key: _number(value, f"{key} is") for key, value in others.items()}
        facts[METRICS] = {key: value if math.isfinite(value) else None for key, value in numbers_of.items()}
    return _finite(result["score"], "the score is"), facts


def _finite(value: object, subject: str) -> float:
    if not math.isfinite(number := _number(value, subject)):
        raise BadResult(f"{subject} {number}")
    return number


def _number(value: object, subject: str, remedy: str = "give a number") -> float:
    """Return a number: Python's, NumPy's, or a tensor's that holds one."""
    kind = type(value).__name__
    if value is None or isinstance(value, str | bytes | list | tuple | dict):
        short = "None" if value is None else f"{kind} {repr(value)[:60]}"
        raise BadResult(f"{subject} {short}; {remedy}")
    try:
        return float(value)  # type: ignore[arg-type]  # that is the question
    except Exception as error:
        raise BadResult(f"{subject} {kind}, which does not convert to one number; return a number") from error
