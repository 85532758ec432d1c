"""Which values trial N gets: Optuna's random sampler, keyed by trial number.

A sampler that draws from one stream gives trial N whatever is left in the stream, so that a resumed run or a
second process repeats or shifts the draws. Here the values of a trial are a pure function of (stage seed, trial
number, parameter name): the same whoever draws them, in whatever order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from optuna.samplers import BaseSampler, RandomSampler

from hpsearch.seeds import draw_seed
from hpsearch.space import Space, Value, to_distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    return {
        name: draw(to_distribution(parameter), seed=seed, number=number, name=name) for name, parameter in space.items()
    }


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
