"""The random sampler of `hpsearch.samplers` as an Optuna sampler, for any ``study.optimize``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from optuna.samplers import BaseSampler, RandomSampler

from hpsearch.records import draw_seed

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial


def draw(distribution: BaseDistribution, *, seed: int, number: int, name: str) -> Any:
    """Return the value of the parameter of this name in the trial with this number of a stage with this seed."""
    sampler = RandomSampler(seed=draw_seed(seed, number, name))
    # Optuna's random sampler reads neither the study nor the trial.
    nothing = cast("Any", None)
    return sampler.sample_independent(nothing, nothing, name, distribution)


class KeyedRandomSampler(BaseSampler):
    """Random search whose values depend on (seed, trial number, parameter name) alone.

    It makes ``study.optimize`` reproducible under ``n_jobs``, several processes and a resume.

    Args:
        seed: The stage's seed; any whole number.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}  # nothing is sampled jointly

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return draw(param_distribution, seed=self.seed, number=trial.number, name=param_name)
