"""Which values trial N gets: Optuna's random sampler, keyed by trial number.

A sampler that draws from one stream gives trial N whatever is left in the stream, so that a resumed run or a
second process repeats or shifts the draws. Here the values of a trial are a pure function of (stage seed, trial
number, parameter name): the same whoever draws them, in whatever order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from optuna.samplers import BaseSampler, RandomSampler

from hpsearch.seeds import draw_seed
from hpsearch.space import Categorical, Float, Int, Parameter, Space, Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


def draw(distribution: BaseDistribution, *, seed: int, number: int, name: str) -> Any:
    """The value of one parameter of one trial.

    Args:
        distribution: Optuna's distribution of the parameter.
        seed: The stage's seed.
        number: The trial's number in the stage.
        name: The parameter's name.
    """
    sampler = RandomSampler(seed=draw_seed(seed, number, name))
    # Optuna's random sampler reads neither the study nor the trial; bulk claims have no such objects yet.
    nothing = cast("Any", None)
    return sampler.sample_independent(nothing, nothing, name, distribution)


def values(space: Space, *, seed: int, number: int) -> dict[str, Value]:
    """The hyperparameters of one trial.

    Args:
        space: The stage's ranges.
        seed: The stage's seed.
        number: The trial's number in the stage.
    """
    return Draws(space, seed=seed).values(number)


class Draws:
    """The hyperparameters of a stage's trials, many at little cost: what `draw` gives for each, to the bit.

    Optuna's sampler makes a generator from the system's entropy, a transformation and arrays for every value. Here
    one generator is seeded anew for each. Not for several threads at once.

    Args:
        space: The stage's ranges.
        seed: The stage's seed.
    """

    def __init__(self, space: Space, *, seed: int) -> None:
        self._seed = seed
        self._rng = np.random.RandomState(0)
        self._draws = {name: _draw_from(parameter) for name, parameter in space.items()}

    def values(self, number: int) -> dict[str, Value]:
        """The hyperparameters of one trial, by its number in the stage."""
        found = {}
        for name, draw_one in self._draws.items():
            self._rng.seed(draw_seed(self._seed, number, name))
            found[name] = draw_one(self._rng)
        return found


def _draw_from(parameter: Parameter) -> Callable[[np.random.RandomState], Value]:
    """Optuna's random draw of one parameter, as a function of a generator.

    The steps of `optuna.samplers.RandomSampler.sample_independent`, each with the same operations on the same
    numbers; ``tests/test_sampling.py`` holds the two against each other.
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


class KeyedRandomSampler(BaseSampler):
    """Random search whose draws depend on (seed, trial number, parameter name) alone.

    Works in any ``study.optimize``, where it makes runs reproducible under ``n_jobs``, several processes and a
    resume. Args:

        seed: The stage's seed; any whole number.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Nothing is sampled jointly."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Nothing is sampled jointly."""
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The value of one parameter, from the trial's number."""
        return draw(param_distribution, seed=self.seed, number=trial.number, name=param_name)
