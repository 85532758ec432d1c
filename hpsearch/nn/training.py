"""The training loop over lanes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadData, BadInput
from hpsearch.nn.lanes import Floats, Indices, lane_array
from hpsearch.nn.losses import SoftmaxCrossEntropy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hpsearch.nn.network import Network
    from hpsearch.nn.optimizers import Optimizer

EVALUATION_ROWS = 256
"""Samples of one forward pass of an evaluation. Fixed, as a GEMM's rounding may depend on its height."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What fits the weights, and what scores the hyperparameters.

    Args:
        images: (N, D), training inputs.
        labels: (N,), whole numbers from 0.
        validation_images: (V, D).
        validation_labels: (V,).

    Raises:
        BadData: Shapes that do not belong together, no samples, labels that are not whole numbers from 0,
            or inputs that are not finite.
    """

    images: Floats
    labels: NDArray[np.integer]
    validation_images: Floats
    validation_labels: NDArray[np.integer]

    def __post_init__(self) -> None:
        pairs = (
            ("training", self.images, self.labels),
            ("validation", self.validation_images, self.validation_labels),
        )
        for part, images, labels in pairs:
            if images.ndim != 2 or labels.shape != images.shape[:1]:
                raise BadData(f"{part} images {images.shape} and labels {labels.shape}; give (N, D) and (N,)")
            if not len(images):
                raise BadData(f"no {part} images; give at least one")
            if labels.dtype.kind not in "iu" or labels.min() < 0:
                raise BadData(f"{part} labels are not whole numbers from 0")
            if not np.isfinite(images).all():
                raise BadData(f"{part} images hold values that are not finite")
        if self.images.shape[1] != self.validation_images.shape[1]:
            raise BadData(
                f"training images have {self.images.shape[1]} inputs, "
                f"validation images {self.validation_images.shape[1]}"
            )


@dataclass(frozen=True, slots=True)
class Ended:
    """A lane that diverged and trains no more.

    Args:
        lane: Its index from the start of training.
        reason: Why, in words for people.
    """

    lane: int
    reason: str


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to, for the A lanes that are still alive after it.

    Losses are means over samples of the data loss, without the L2 term. Training loss and accuracy are those
    of the mini-batches' own forward passes, while the weights moved; validation's are of the weights after
    the epoch.

    Args:
        epoch: From 1.
        lanes: (A,), the lanes' indices from the start of training, ascending.
        train_loss: (A,).
        train_accuracy: (A,), from 0 to 1.
        validation_loss: (A,).
        validation_accuracy: (A,), from 0 to 1.
        ended: Lanes that diverged in this epoch.
    """

    epoch: int
    lanes: Indices
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    validation_loss: NDArray[np.float64]
    validation_accuracy: NDArray[np.float64]
    ended: tuple[Ended, ...] = ()


class _Scores:
    """Every sample's loss and whether it was classified right, by lane: (K, N) each.

    Sums are taken at the end of a pass, lane by lane in float64, so that no order of summation depends on K.
    """

    def __init__(self, lanes: int, rows: int, samples: int, network: Network) -> None:
        self.losses: Floats = lane_array(lanes, (samples,), network.dtype)
        self.correct: NDArray[np.bool_] = lane_array(lanes, (samples,), np.dtype(np.bool_))
        self.loss = SoftmaxCrossEntropy(lanes, rows, network.sizes[-1], network.dtype)

    def score(self, logits: Floats, labels: Indices, start: int) -> None:
        """Score a mini-batch: logits (K, B, C), labels (K, B) or (1, B), samples from ``start`` on."""
        lanes, rows, _ = logits.shape
        part = slice(start, start + rows)
        self.loss.select(lanes, rows)
        self.loss.forward(logits, labels, losses=self.losses[:lanes, part], correct=self.correct[:lanes, part])

    def means(self, lanes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Loss and accuracy of each lane, (K,) and (K,)."""
        losses = [float(np.mean(one, dtype=np.float64)) for one in self.losses[:lanes]]
        correct = [np.count_nonzero(one) / len(one) for one in self.correct[:lanes]]
        return np.array(losses), np.array(correct)

    def first_not_finite(self, lane: int) -> float | None:
        """The first loss of a lane that is nan or infinite."""
        broken = self.losses[lane][~np.isfinite(self.losses[lane])]
        return float(broken[0]) if len(broken) else None


class _Evaluation:
    """Full forward passes over one labelled set, shared by all lanes."""

    def __init__(self, network: Network, images: Floats, labels: NDArray[np.integer]) -> None:
        samples = len(images)
        # A copy of our own, for the alignment; (1, V, D) for one GEMM a lane without K copies.
        self._images: Floats = lane_array(1, images.shape, network.dtype)
        self._images[0] = images
        self._labels = labels.astype(np.intp)[None, :]  # (1, V)
        self.scores = _Scores(network.lanes, min(samples, EVALUATION_ROWS), samples, network)

    def run(self, network: Network) -> None:
        for start in range(0, self._labels.shape[1], EVALUATION_ROWS):
            part = slice(start, start + EVALUATION_ROWS)
            self.scores.score(network.forward(self._images[:, part]), self._labels[:, part], start)


def _check_fit(network: Network, images: Floats, labels: NDArray[np.integer]) -> None:
    if images.shape[1] != network.sizes[0] or labels.max() >= network.sizes[-1]:
        raise BadInput(
            f"the network has {network.sizes[0]} inputs and {network.sizes[-1]} classes; the data have "
            f"{images.shape[1]} inputs and labels up to {labels.max()}"
        )


def evaluate(
    network: Network, images: Floats, labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each lane's mean data loss and accuracy on a labelled set.

    Args:
        network: K lanes.
        images: (V, D).
        labels: (V,), whole numbers from 0.

    Returns:
        Loss and accuracy, (K,) and (K,); a loss may be nan or infinite.

    Raises:
        BadInput: Data of other sizes than the network's.
    """
    _check_fit(network, images, labels)
    evaluation = _Evaluation(network, images, labels)
    with np.errstate(all="ignore"):
        evaluation.run(network)
        return evaluation.scores.means(network.lanes)


def train(
    network: Network,
    optimizer: Optimizer,
    data: TrainingData,
    *,
    batch_size: int,
    epochs: int,
    rngs: Sequence[np.random.Generator],
) -> Iterator[Epoch]:
    """Train all lanes, and report after every epoch.

    A lane whose loss is not finite ends with that epoch: network and optimizer go on with the others alone,
    whose results it does not touch. Nothing that is reported of a lane depends on its neighbours. Iteration
    stops after ``epochs`` epochs or when no lane is left (the network then keeps the last ones' remains).

    Args:
        network: K lanes; trained in place.
        optimizer: With the hyperparameters of the same K lanes.
        data: The training and validation sets.
        batch_size: Samples of a mini-batch; an epoch's last one may be smaller.
        epochs: At least 1.
        rngs: K generators, each lane's own for the order of samples (`Purpose.ORDER`).

    Raises:
        BadInput: Lanes that do not match, sizes below 1 or data of other sizes than the network's.
    """
    if not network.lanes == optimizer.lanes == len(rngs):
        raise BadInput(
            f"the network has {network.lanes} lanes, the optimizer {optimizer.lanes}, "
            f"and there are {len(rngs)} generators; all must be the same"
        )
    if batch_size < 1 or epochs < 1:
        raise BadInput(f"batch_size = {batch_size}, epochs = {epochs}; both must be at least 1")
    _check_fit(network, data.images, data.labels)
    _check_fit(network, data.validation_images, data.validation_labels)
    return _train(network, optimizer, data, min(batch_size, len(data.images)), epochs, list(rngs))


def _train(
    network: Network,
    optimizer: Optimizer,
    data: TrainingData,
    batch_size: int,
    epochs: int,
    rngs: list[np.random.Generator],
) -> Iterator[Epoch]:
    passes = _Passes(network, optimizer, data, batch_size)
    validation = _Evaluation(network, data.validation_images, data.validation_labels)
    alive = np.arange(network.lanes)
    for epoch in range(1, epochs + 1):
        # Never around the yield: the caller's own error state is not ours to change.
        with np.errstate(all="ignore"):
            passes.run(rngs)
            validation.run(network)
            train_loss, train_accuracy = passes.scores.means(len(alive))
            validation_loss, validation_accuracy = validation.scores.means(len(alive))
        ended: dict[int, str] = {}
        for position in range(len(alive)):
            for what, scores in (("training", passes.scores), ("validation", validation.scores)):
                value = scores.first_not_finite(position)
                if value is not None:
                    ended.setdefault(position, f"{what} loss became {value} in epoch {epoch}")
        kept = np.array([position for position in range(len(alive)) if position not in ended], dtype=np.intp)
        report = Epoch(
            epoch,
            alive[kept],
            train_loss[kept],
            train_accuracy[kept],
            validation_loss[kept],
            validation_accuracy[kept],
            tuple(Ended(int(alive[position]), reason) for position, reason in ended.items()),
        )
        if ended and len(kept):
            network.keep(kept)
            optimizer.keep(kept)
            rngs = [rngs[position] for position in kept]
        alive = alive[kept]
        yield report
        if not len(alive):
            return


class _Passes:
    """An epoch's passes over the training set, with the buffers for them."""

    def __init__(self, network: Network, optimizer: Optimizer, data: TrainingData, batch_size: int) -> None:
        self._network, self._optimizer = network, optimizer
        self._batch_size = batch_size
        samples, inputs = data.images.shape
        self._images = np.ascontiguousarray(data.images, network.dtype)
        self._labels = data.labels.astype(np.intp)
        self._order: Indices = lane_array(network.lanes, (samples,), np.dtype(np.intp))
        self._batch: Floats = lane_array(network.lanes, (batch_size, inputs), network.dtype)
        self.scores = _Scores(network.lanes, batch_size, samples, network)

    def run(self, rngs: Sequence[np.random.Generator]) -> None:
        network, optimizer, scores = self._network, self._optimizer, self.scores
        lanes, samples = len(rngs), len(self._labels)
        for lane, rng in enumerate(rngs):
            self._order[lane] = rng.permutation(samples)
        for start in range(0, samples, self._batch_size):
            order = self._order[:lanes, start : start + self._batch_size]  # (K, B)
            batch = self._batch[:lanes, : order.shape[1]]  # (K, B, D)
            for lane in range(lanes):
                # mode="clip" as "raise" would go through a buffer; the indices are a permutation.
                np.take(self._images, order[lane], axis=0, out=batch[lane], mode="clip")
            scores.score(network.forward(batch), self._labels[order], start)
            network.backward(scores.loss.backward(optimizer.gradient_scale))
            for lane in range(lanes):
                optimizer.update(lane, network.values[lane], network.gradient(lane), weights=network.weights)
