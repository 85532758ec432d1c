"""Training alone: `nn.train` of all of a workload's trials on all cores, without a runner and without a store."""

from __future__ import annotations

import math
import time
import tomllib
from functools import partial

from cold import Start, at_once
from workloads import Assignment, answer

from hpsearch import samplers as sampling
from hpsearch.nn import train
from hpsearch.objectives.network import runtime
from hpsearch.objectives.network.structure import build
from hpsearch.study_file import parse


def batch_size(trials: int, lanes: int, processes: int) -> int:
    """Lanes of a batch, as the runner chooses them: as many rounds as full batches need, all of the same size."""
    rounds = math.ceil(trials / (processes * lanes))
    return math.ceil(trials / (processes * rounds))


def work(assignment: Assignment, index: int, start: Start) -> tuple[list[float], float, float]:
    """Train this process's share: validation accuracies, seconds in `nn.train`, seconds with making ready."""
    study = parse(tomllib.loads(assignment.workload.study_file()), source=assignment.workload.name)
    space, seed = study.space, assignment.seed
    objective = runtime.objective(study.sections, runtime.load(study.sections), seed=seed, space=space)
    size = batch_size(assignment.workload.trials, objective.lanes(), assignment.cores)
    begins = range(index * size, assignment.workload.trials, assignment.cores * size)
    structure = objective.largest()  # the only one: nothing structural is drawn
    accuracies: list[float] = []
    training = 0.0
    start()
    began = time.perf_counter()
    for begin in begins:
        numbers = list(range(begin, min(begin + size, assignment.workload.trials)))
        values = [{**objective.settings, **sampling.values(space, seed=seed, number=n)} for n in numbers]
        lanes = build(structure, values, numbers, seed=seed, inputs=objective.inputs, dtype=objective.dtype)
        training -= time.perf_counter()
        histories = train(
            lanes.network,
            lanes.optimizer,
            objective.data,
            batch_size=structure.batch_size,
            epochs=assignment.workload.epochs,
            rngs=lanes.rngs,
            schedules=lanes.schedules,
        )
        training += time.perf_counter()
        accuracies += [history.validation_accuracy[-1] for history in histories]
    return accuracies, training, time.perf_counter() - began


def main() -> None:
    assignment = Assignment.given()
    found = at_once(partial(work, assignment), processes=assignment.cores)
    answer(
        [accuracy for accuracies, _, _ in found for accuracy in accuracies],
        max(training for _, training, _ in found),
        with_building=max(whole for _, _, whole in found),
    )


if __name__ == "__main__":
    main()
