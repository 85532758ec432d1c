"""The searches that are measured: as study files, as plain numbers for the peers, and what comes of them.

A contender is a program: it is given the words of an `Assignment` on its command line, and answers as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, NamedTuple, Self

import numpy as np
from measuring import yes_or_no
from numpy.typing import NDArray

from hpsearch.nn import flops_per_trial, lanes_for, parameter_count

INPUTS, CLASSES = 784, 10


@dataclass(frozen=True, slots=True)
class Workload:
    """A search over the learning rate and the weight decay, both log-uniform, on the shipped MNIST images."""

    name: str  # as ``--only`` knows it
    train: int  # images that fit the weights
    validation: int  # images that score the hyperparameters
    hidden: tuple[int, ...]  # units by hidden layer; ReLU, He initialisation
    optimizer: str  # ``sgd`` or ``adam``
    batch_size: int  # images a mini-batch
    epochs: int  # epochs a trial, each with a validation accuracy
    trials: int  # trials of the search
    lr: tuple[float, float]  # low and high
    weight_decay: tuple[float, float]  # low and high

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units by layer, from inputs to classes."""
        return (INPUTS, *self.hidden, CLASSES)

    @property
    def lanes(self) -> int:
        """How many trials train together where enough are left."""
        return lanes_for(parameter_count(self.sizes))

    def flops(self, inputs: int = INPUTS) -> int:
        """Floating-point operations of the matrix products of all trials.

        Args:
            inputs: Of the first layer; fewer than all where those that are 0 in every image are left out.
        """
        sizes = (inputs, *self.sizes[1:])
        return self.trials * flops_per_trial(sizes, train=self.train, validation=self.validation, epochs=self.epochs)

    def of(self, trials: int) -> Self:
        """The same with another number of trials."""
        return replace(self, trials=trials)

    def study_file(self) -> str:
        """As ``hpsearch start`` reads it."""
        return f"""\
name = "{self.name}"
[data]
name = "mnist-10k"
train = {self.train}
validation = {self.validation}
test = 1000
[network]
hidden = {list(self.hidden)}
activation = "relu"
initializer = "he"
[training]
optimizer = "{self.optimizer}"
batch_size = {self.batch_size}
epochs = {self.epochs}
[space]
lr = {{ low = {self.lr[0]!r}, high = {self.lr[1]!r}, log = true }}
weight_decay = {{ low = {self.weight_decay[0]!r}, high = {self.weight_decay[1]!r}, log = true }}
[trials]
count = {self.trials}
"""


BOOK = Workload("book", 400, 100, (100,) * 6, "sgd", 100, 50, 100, (1e-6, 1e-2), (1e-8, 1e-4))
"""The book's experiment: what ``hpsearch start`` runs."""
SMALL = replace(BOOK, name="small", hidden=(50,))
LARGE = Workload("large", 8000, 1000, (256, 128), "adam", 128, 5, 20, (1e-4, 1e-2), (1e-8, 1e-4))
WORKLOADS = {workload.name: workload for workload in (BOOK, SMALL, LARGE)}


class Images(NamedTuple):
    """A workload's data: images (N, D) float32 in 0..1, and classes (N,) int64."""

    x_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    x_validation: NDArray[np.float32]
    y_validation: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Trials of a workload that a contender is to run."""

    workload: Workload  # the search; its trials are those to be run
    seed: int  # of the sampling
    cores: int  # how many cores there are
    data: str  # the images as an .npz file (`Images`)
    folder: str  # an empty folder to write to

    @property
    def words(self) -> tuple[str, ...]:
        """A contender's command line."""
        return (self.workload.name, *map(str, (self.workload.trials, self.seed, self.cores)), self.data, self.folder)

    @classmethod
    def given(cls, words: Sequence[str]) -> Self:
        """The inverse of `words`."""
        name, trials, seed, cores, data, folder = words[:6]
        return cls(WORKLOADS[name].of(int(trials)), int(seed), int(cores), data, folder)

    def images(self) -> Images:
        """The data."""
        with np.load(self.data) as arrays:
            return Images(*(arrays[name] for name in Images._fields))


def answer(accuracies: Sequence[float], work_seconds: float, **more: Any) -> None:
    """Print a contender's answer.

    Args:
        accuracies: The validation accuracy of each trial after its last epoch.
        work_seconds: From the begin of the first trial to the end of the last: what grows with their number.
        more: Further facts.
    """
    print(json.dumps({"accuracies": list(accuracies), "work_seconds": work_seconds, **more}))


def for_all_trials(seconds: float, work_seconds: float, *, measured: int, trials: int) -> float:
    """Seconds of a whole command for more trials than were measured: its start-up once, its work in proportion."""
    return seconds - work_seconds + work_seconds * trials / measured


LEARNED = ("workload", "who", "trials", "median of the best twentieth", "noise (2 s.e.)", "as ours")
FEWEST = 20  # with fewer trials the draws decide who is best, and not the learning


def learned(workload: str, images: int, accuracies: Mapping[str, Sequence[float]]) -> list[tuple[str, ...]]:
    """Compare what each learned with the first one: otherwise the seconds are not of the same work.

    Args:
        workload: Its name.
        images: Validation images; their number makes the noise of the first one's accuracy.
        accuracies: Validation accuracies of all trials, by contender.

    Returns:
        Rows of a table; they end with whether the median of the best twentieth is the same within the noise.
    """
    tops = {who: median(sorted(of, reverse=True)[: max(round(len(of) / 20), 1)]) for who, of in accuracies.items()}
    ours, mine = next(iter(tops.items()))
    noise = 2 * math.sqrt(mine * (1 - mine) / images)
    rows: list[tuple[str, ...]] = []
    for who, top in tops.items():
        trials = len(accuracies[who])
        # Accuracies are fractions of `images`: one at the very edge of the noise is within it.
        alike = abs(top - mine) <= noise + 1e-9 if who != ours and trials >= FEWEST else None
        rows.append((workload, who, str(trials), f"{top:.3f}", f"{noise:.3f}", yes_or_no(alike)))
    return rows
