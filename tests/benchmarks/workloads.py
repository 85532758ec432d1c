"""The searches that are measured: as study files, as plain numbers for the peers, and what comes of them.

A contender is a program: it is given an `Assignment` as JSON on its command line, and answers as JSON.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, NamedTuple, Self

import numpy as np
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

    def to_json(self) -> str:
        """For the command line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        plain = json.loads(text)
        workload: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain["workload"].items()}
        return cls(**{**plain, "workload": Workload(**workload)})

    @classmethod
    def given(cls) -> Self:
        """The one on this program's command line."""
        return cls.from_json(sys.argv[1])

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


FEWEST = 20
"""With fewer trials the draws decide who is best, and not the learning."""


@dataclass(frozen=True, slots=True)
class Learned:
    """How well one contender's trials of a workload learned."""

    workload: str  # its name
    who: str  # whose trials
    trials: int  # how many, over all rounds
    best: float  # the best validation accuracy
    top: float  # the median validation accuracy of the best twentieth (five of a hundred)
    noise: float  # two standard errors of our `top`, for the number of validation images
    # whether top, and of as many trials the best, are ours within that noise; None for ourselves, and of too few trials
    # to tell
    alike: bool | None


def compare(workload: str, images: int, accuracies: Mapping[str, Sequence[float]], *, ours: str) -> list[Learned]:
    """Compare what each learned with ours: otherwise the seconds are not of the same work.

    Args:
        workload: Its name.
        images: Validation images.
        accuracies: Validation accuracies of all trials, by contender.
        ours: Which of them is ours.
    """

    def top(values: Sequence[float]) -> float:
        return median(sorted(values, reverse=True)[: max(round(len(values) / 20), 1)])

    mine = accuracies[ours]
    noise = 2 * math.sqrt(max(top(mine) * (1 - top(mine)), 0.0) / images)
    rows = []
    for who, values in accuracies.items():
        apart = [abs(top(values) - top(mine))]
        if len(values) == len(mine):  # the best of more trials is better
            apart.append(abs(max(values) - max(mine)))
        # Accuracies are fractions of `images`: one at the very edge of the noise is within it.
        alike = max(apart) <= noise + 1e-9 if who != ours and len(values) >= FEWEST else None
        rows.append(Learned(workload, who, len(values), max(values), top(values), noise, alike))
    return rows
