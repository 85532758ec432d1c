"""What a search will cost, before it runs."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hpsearch import samplers as sampling
from hpsearch.nn import parameter_count
from hpsearch.records import Trial
from hpsearch.search.running.pruning import epochs_spent, plan_of
from hpsearch.search.setup import network_objective

if TYPE_CHECKING:
    from hpsearch.data import Split
    from hpsearch.objectives.network.objective import NetworkObjective
    from hpsearch.study_file import StudyFile

_PROBE_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one stage of a study file amounts to.

    Args:
        sizes: Units by layer of the largest network in the space, from inputs to classes.
        parameters: Its weights and biases.
        flops: Floating-point operations of the matrix products of one trial of it.
        lanes: How many of it train together.
        seconds_per_trial: Measured here just now on a few epochs, in one process; of one that is not stopped early.
        seconds: Of the whole stage, with all jobs.
    """

    sizes: tuple[int, ...]
    parameters: int
    flops: int
    lanes: int
    seconds_per_trial: float
    seconds: float


def estimate(study: StudyFile, split: Split, *, trials: int, jobs: int) -> Estimate:
    """Size up a stage, and time one batch of its largest networks for a few epochs.

    Args:
        study: The study file.
        split: Its data.
        trials: Trials of the stage.
        jobs: Processes.
    """
    space = study.parameters
    objective = network_objective(study, split, seed=study.trials.seed, space=space)
    structure = objective.largest()
    lanes = min(objective.lanes(), math.ceil(trials / jobs))
    per_trial = _time_a_trial(objective, study, lanes)
    plan = plan_of(study)
    share = 1.0 if plan is None else epochs_spent(plan, trials) / (trials * plan.epochs)
    return Estimate(
        sizes=structure.sizes,
        parameters=parameter_count(structure.sizes),
        flops=objective.flops(structure),
        lanes=lanes,
        seconds_per_trial=per_trial,
        seconds=per_trial * math.ceil(trials / jobs) * share,
    )


def _time_a_trial(objective: NetworkObjective, study: StudyFile, lanes: int) -> float:
    epochs = min(_PROBE_EPOCHS, study.training.epochs)
    probe = replace(objective, settings={**objective.settings, "epochs": epochs})
    largest = objective.largest_values()
    trials = [
        Trial(number, number, sampling.values(study.parameters, seed=study.trials.seed, number=number) | largest)
        for number in range(lanes)
    ]
    began = time.perf_counter()
    for _ in probe.evaluate(trials):
        pass
    return (time.perf_counter() - began) / lanes * study.training.epochs / epochs
