"""Samplers: the values of trial N, as a pure function of the stage and N.

A sampler that draws from one stream gives trial N whatever is left in the stream, so that a resumed run or a second
process repeats or shifts the values. Here each value depends on (stage seed, trial number, parameter name) alone: the
same whoever samples it, in whatever order. `hpsearch.optuna_sampler` is the same for any ``study.optimize``.

A conditional parameter is sampled after those that its condition names, and not at all where that does not hold. A
trial whose values break a constraint is sampled again under another key, which depends on the same three alone.
Scientific values are not drawn: trials have them in turn (`hpsearch.roles`).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from hpsearch.constraints import Constraints, is_function
from hpsearch.errors import BadSpace, MissingExtra
from hpsearch.records import NewStage, draw_seed
from hpsearch.roles import combination_of, combinations
from hpsearch.space import Categorical, Float, Int, Parameter, Space, Value, holds, in_order, present

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

SAMPLERS = ("random", "sobol", "halton")  # the values of ``trials.sampler`` in a study file
MOST_DRAWS = 1000  # of one trial, until the constraints hold
_CHECK_S = 3.0  # `check_sampling` makes no more draws after these


class Sampler(Protocol):
    """A source of trials' values."""

    def params(self, stage: NewStage, number: int) -> dict[str, Value]:
        """Return the values of a trial by its number in the stage, in the order of the stage's space."""


class Generator(Protocol):
    """A source of random numbers: the part of ``numpy.random.RandomState`` that `draw_from` uses."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number between two others."""

    def random_sample(self, size: int) -> NDArray[np.float64]:
        """Return numbers of [0, 1), (size,)."""


class RandomSampler:
    """Uniform random search on each parameter's transformed scale: Optuna's to the bit, seeded by trial and parameter.

    Optuna's sampler makes a generator from the system's entropy, a transformation and arrays for every value. Here
    one generator is seeded anew for each. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._stage: NewStage | None = None
        self._rng = _generator(0)

    def params(self, stage: NewStage, number: int) -> dict[str, Value]:
        """Return the values of a trial; see `Sampler`.

        Raises:
            BadSpace: No draw of `MOST_DRAWS` meets the stage's constraints.
        """
        if stage is not self._stage:
            self._begin(stage)
        if self._constraints is None:
            return self.draws(stage, number)
        for draw in range(MOST_DRAWS):
            values = self.draws(stage, number, f"#{draw}" if draw else "")
            if self._constraints.hold(values):
                return values
        raise BadSpace(
            f"{stage.name}: none of {MOST_DRAWS:,} draws of trial {number} meets the constraints; relax them or widen "
            "the ranges"
        )

    def _begin(self, stage: NewStage) -> None:
        self._stage = stage
        self._combinations = combinations(stage.space)
        self._draws = {name: draw_from(stage.space[name]) for name in in_order(stage.space)}
        self._conditional = any(parameter.when is not None for parameter in stage.space.values())
        self._constraints = constraints_of(stage)

    def draws(self, stage: NewStage, number: int, key: str = "") -> dict[str, Value]:
        """Return the values of one draw of a trial, whether or not they meet the constraints.

        Args:
            key: Added to each parameter's name in its seed; empty: the first draw.
        """
        if stage is not self._stage:
            self._begin(stage)
        values: dict[str, Value] = {}
        scientific = combination_of(self._combinations, seed=stage.seed, number=number)
        for name, draw in self._draws.items():
            if name in scientific:
                values[name] = scientific[name]
            elif not self._conditional or holds(stage.space[name], values):
                self._rng.seed(draw_seed(stage.seed, number, name + key))
                values[name] = draw(self._rng)
        return {name: values[name] for name in stage.space if name in values} if self._conditional else values


def sampler_of(stage: NewStage) -> Sampler:
    """Return the sampler that a stage's study file names.

    Raises:
        MissingExtra: A quasi-random one, and SciPy is not installed.
    """
    name = stage.study_file.get("trials", {}).get("sampler", SAMPLERS[0])
    if name == SAMPLERS[0]:
        return RandomSampler()
    try:
        from hpsearch.quasi_random import QuasiRandomSampler  # SciPy is optional
    except ModuleNotFoundError as error:
        raise MissingExtra(f"the sampler {name} needs SciPy; pip install 'hpsearch[sobol]'") from error
    return QuasiRandomSampler(name)


def constraints_of(stage: NewStage, *, functions: bool = True) -> Constraints | None:
    """Return the constraints of a stage; None where it has none.

    Args:
        stage: The stage.
        functions: Whether to call the user's functions: what only reads a database runs no code that it names.
    """
    file = stage.study_file
    texts = [text for text in file.get("constraints", ()) if functions or not is_function(text)]
    folder = file.get("objective", {}).get("folder", "")
    return Constraints(texts, stage.space, file.get("fixed", {}), folder) if texts else None


def check_sampling(stage: NewStage, *, functions: bool = True) -> None:
    """Check that a stage's trials can be sampled: its sampler is installed, and draws meet its constraints.

    There are `MOST_DRAWS` draws, or fewer where a function takes long.

    Args:
        stage: The stage.
        functions: See `constraints_of`.

    Raises:
        BadSpace: Fewer than one draw in 50 does: of `MOST_DRAWS` draws of a trial none might.
        MissingExtra: See `sampler_of`.
        NotFound: A function cannot be imported.
    """
    sampler_of(stage)
    constraints = constraints_of(stage, functions=functions)
    if constraints is None:
        return
    unconstrained, broken, ends = RandomSampler(), Counter[str | None](), math.inf
    for number in range(MOST_DRAWS):
        if time.monotonic() > ends:
            break
        # Of a stage without constraints the draws are those of `RandomSampler`, whatever the sampler.
        broken[constraints.broken(unconstrained.draws(stage, number))] += 1
        if not number:  # the functions have been imported
            ends = time.monotonic() + _CHECK_S
    count, meet = broken.total(), broken.pop(None, 0)
    if meet < count // 50:  # fewer than 50 draws refuse nothing
        raise BadSpace(
            f"of {count:,} draws {meet:,} meet the constraints, and most break {broken.most_common(1)[0][0]!r}; relax "
            "it or change the ranges, so that one draw in 50 meets them"
        )


def fill_in(stage: NewStage, number: int, given: Mapping[str, Value]) -> dict[str, Value]:
    """Return a trial's values where some are given: these where their conditions hold, else keyed random draws."""
    sampled = {name: draw(of, seed=stage.seed, number=number, name=name) for name, of in stage.space.items()}
    scientific = combination_of(combinations(stage.space), seed=stage.seed, number=number)
    return present(stage.space, {**sampled, **scientific, **given})


def draw(parameter: Parameter, *, seed: int, number: int, name: str) -> Value:
    """Return the value of the parameter of this name in the trial with this number of a stage with this seed."""
    return draw_from(parameter)(_generator(draw_seed(seed, number, name)))


def _generator(seed: int) -> np.random.RandomState:
    import numpy as np  # commands that show a few rows know samplers, sample nothing and do without NumPy

    return np.random.RandomState(seed)


def values(space: Space, *, seed: int, number: int) -> dict[str, Value]:
    """Return the values of the trial with this number in a stage of this space and seed."""
    return RandomSampler().params(NewStage("", 1, "maximize", seed, space, {}), number)


def draw_from(parameter: Parameter) -> Callable[[Generator], Value]:
    """Return Optuna's random draw of one parameter as a function of a generator.

    The steps of `optuna.samplers.RandomSampler.sample_independent`, each with the same operations on the same
    numbers; ``tests/test_samplers.py`` compares the two.
    """
    match parameter:
        case Categorical(choices):
            return lambda rng: choices[int(rng.random_sample(len(choices)).argmax())]
        case Float(low, high, step=float(step)):
            left, right = low - 0.5 * step, high + 0.5 * step
            return lambda rng: min(max(round((rng.uniform(left, right) - low) / step) * step + low, low), high)
        case Float(low, high, log):
            # The upper bound is left out.
            top = math.nextafter(high, high - 1)
            if log:
                low_log, high_log = math.log(low), math.log(high)
                return lambda rng: float(min(max(math.exp(rng.uniform(low_log, high_log)), low), top))
            return lambda rng: min(rng.uniform(low, high), top)
        case Int(low, high, log, step):
            # Half a step more at either end, so that the outermost values are as likely as the others.
            if log:
                low_log, high_log = math.log(low - 0.5), math.log(high + 0.5)
                return lambda rng: min(max(round(math.exp(rng.uniform(low_log, high_log))), low), high)
            left, right = low - 0.5 * step, high + 0.5 * step
            return lambda rng: min(
                max(math.floor((rng.uniform(left, right) - low) / step + 0.5) * step + low, low), high
            )
