"""Optuna's `study.optimize` with a PyTorch model on the CPU, as in Optuna's tutorial, with a SQLite storage.

Two arrangements, by the last word of the command line:

- ``default``: one process, PyTorch's own number of threads, SQLite's own journal, mini-batches by a `DataLoader`;
- ``best``: as many processes as cores, forked after the imports, with one thread each, on one study in a WAL database;
  the images are tensors from the begin, mini-batches are drawn by index, and the optimizer is PyTorch's fused one.

Both report the validation accuracy after every epoch, as the tutorial does, and prune nothing: all trials are whole.
"""

from __future__ import annotations

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import optuna
import torch
from contenders.stores import connect_wal, make_wal
from workloads import Assignment, Workload, answer

NAME = "search"
Objective: TypeAlias = Callable[[optuna.Trial], float]
Batches: TypeAlias = Callable[[], Iterator[tuple[Any, Any]]]


def model(sizes: tuple[int, ...]) -> Any:
    """Dense layers with ReLU and He's initial weights."""
    layers: list[Any] = []
    for fan_in, fan_out in pairwise(sizes):
        linear = torch.nn.Linear(fan_in, fan_out)
        torch.nn.init.normal_(linear.weight, std=math.sqrt(2 / fan_in))
        torch.nn.init.zeros_(linear.bias)
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def objective(workload: Workload, batches: Batches, x_validation: Any, y_validation: Any, *, fused: bool) -> Objective:
    """One trial."""
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[workload.optimizer]
    # In the fused form the step is one call for all parameters.
    form: dict[str, bool] = {"fused": True} if fused else {}

    def train(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", *workload.lr, log=True)
        weight_decay = trial.suggest_float("weight_decay", *workload.weight_decay, log=True)
        network = model(workload.sizes)
        optimizer = kind(network.parameters(), lr=lr, weight_decay=weight_decay, **form)
        accuracy = 0.0
        for epoch in range(1, workload.epochs + 1):
            network.train()
            for x, y in batches():
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(network(x), y).backward()
                optimizer.step()
            network.eval()
            with torch.inference_mode():
                accuracy = float((network(x_validation).argmax(dim=1) == y_validation).float().mean())
            trial.report(accuracy, epoch)
        return accuracy

    return train


def by_loader(workload: Workload, x: Any, y: Any) -> Batches:
    """Mini-batches as the tutorial has them."""
    dataset = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(dataset, batch_size=workload.batch_size, shuffle=True)
    return lambda: iter(loader)


def by_index(workload: Workload, x: Any, y: Any) -> Batches:
    """Mini-batches without a loader's cost."""
    return lambda: ((x[chosen], y[chosen]) for chosen in torch.randperm(len(x)).split(workload.batch_size))


def optimize(assignment: Assignment, storage: Any, *, trials: int, seed: int, best: bool) -> None:
    """Run trials of the study in this process."""
    torch.manual_seed(seed)
    x_train, y_train, x_validation, y_validation = map(torch.from_numpy, assignment.images())
    workload = assignment.workload
    batches = (by_index if best else by_loader)(workload, x_train, y_train)
    study = optuna.load_study(study_name=NAME, storage=storage, sampler=optuna.samplers.RandomSampler(seed=seed))
    study.optimize(objective(workload, batches, x_validation, y_validation, fused=best), n_trials=trials)


def run_default(assignment: Assignment, path: Path) -> None:
    """One process."""
    storage = f"sqlite:///{path}"
    optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    optimize(assignment, storage, trials=assignment.workload.trials, seed=assignment.seed, best=False)


def run_best(assignment: Assignment, path: Path) -> None:
    """A process a core."""
    make_wal(path)
    storage = connect_wal(path)
    optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    storage.engine.dispose()  # a connection does not survive a fork
    torch.set_num_threads(1)
    cores, trials = assignment.cores, assignment.workload.trials
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_work, args=(assignment, path, index)) for index in range(min(cores, trials))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        sys.exit("a process failed")


def _work(assignment: Assignment, path: Path, index: int) -> None:
    trials = len(range(index, assignment.workload.trials, assignment.cores))
    seed = assignment.seed * assignment.cores + index
    optimize(assignment, connect_wal(path), trials=trials, seed=seed, best=True)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    assignment, arrangement = Assignment.given(sys.argv[1:]), sys.argv[-1]
    path = Path(assignment.folder) / "optuna.db"
    began = time.perf_counter()
    {"default": run_default, "best": run_best}[arrangement](assignment, path)
    seconds = time.perf_counter() - began
    trials = optuna.load_study(study_name=NAME, storage=f"sqlite:///{path}").get_trials(deepcopy=False)
    # Reading is the check's, not the search's.
    answer(
        [trial.value for trial in trials if trial.value is not None],
        seconds,
        not_counted=time.perf_counter() - began - seconds,
    )


if __name__ == "__main__":
    main()
