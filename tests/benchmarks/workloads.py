"""The searches that are measured, as study files and as plain numbers for the peers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from hpsearch.nn import flops_per_trial, lanes_for, parameter_count

INPUTS, CLASSES = 784, 10


@dataclass(frozen=True, slots=True)
class Workload:
    """A search over the learning rate and the weight decay, both log-uniform, on the shipped MNIST images.

    Args:
        name: As ``--only`` knows it.
        train: Images that fit the weights.
        validation: Images that score the hyperparameters.
        hidden: Units by hidden layer; ReLU, He initialisation.
        optimizer: ``sgd`` or ``adam``.
        batch_size: Images a mini-batch.
        epochs: Epochs a trial, each with a validation accuracy.
        trials: Trials of the search.
        lr: Low and high.
        weight_decay: Low and high.
    """

    name: str
    train: int
    validation: int
    hidden: tuple[int, ...]
    optimizer: str
    batch_size: int
    epochs: int
    trials: int
    lr: tuple[float, float]
    weight_decay: tuple[float, float]

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
