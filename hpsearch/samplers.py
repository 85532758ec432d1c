"""Samplers: the values of trial N, as a pure function of the stage and N.

A sampler that draws from one stream gives trial N whatever is left in the stream, so that a resumed run or a second
process repeats or shifts the values. Here each value depends on (stage seed, trial number, parameter name) alone: the
same whoever samples it, in whatever order. `hpsearch.optuna_sampler` is the same for any ``study.optimize``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hpsearch.records import NewStage, draw_seed
from hpsearch.space import Categorical, Float, Int, Parameter, Space, Value

if TYPE_CHECKING:
    from collections.abc import Callable


class Sampler(Protocol):
    """A source of trials' values."""

    def params(self, stage: NewStage, number: int) -> dict[str, Value]:
        """Return the values of a trial by its number in the stage, in the order of the stage's space."""


class RandomSampler:
    """Uniform random search on each parameter's transformed scale: Optuna's to the bit, seeded by trial and parameter.

    Optuna's sampler makes a generator from the system's entropy, a transformation and arrays for every value. Here
    one generator is seeded anew for each. Not for several threads at once.
    """

    def __init__(self) -> None:
        self._stage: NewStage | None = None
        self._rng = np.random.RandomState(0)

    def params(self, stage: NewStage, number: int) -> dict[str, Value]:
        """Return the values of a trial; see `Sampler`."""
        if stage is not self._stage:
            self._stage = stage
            self._draws = {name: _draw_from(parameter) for name, parameter in stage.space.items()}
        values = {}
        for name, draw in self._draws.items():
            self._rng.seed(draw_seed(stage.seed, number, name))
            values[name] = draw(self._rng)
        return values


def values(space: Space, *, seed: int, number: int) -> dict[str, Value]:
    """Return the values of the trial with this number in a stage of this space and seed."""
    return RandomSampler().params(NewStage("", 1, "maximize", seed, space, {}), number)


def draw(parameter: Parameter, *, seed: int, number: int, name: str) -> Value:
    """Return the value of one parameter in the trial with this number of a stage with this seed."""
    return _draw_from(parameter)(np.random.RandomState(draw_seed(seed, number, name)))


def _draw_from(parameter: Parameter) -> Callable[[np.random.RandomState], Value]:
    """Return Optuna's random draw of one parameter as a function of a generator.

    The steps of `optuna.samplers.RandomSampler.sample_independent`, each with the same operations on the same
    numbers; ``tests/test_samplers.py`` compares the two.
    """
    match parameter:
        case Categorical(choices):
            return lambda rng: choices[int(rng.random_sample(len(choices)).argmax())]
        case Float(low, high, log):
            # The upper bound is left out.
            top = float(np.nextafter(float(high), float(high) - 1))
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
