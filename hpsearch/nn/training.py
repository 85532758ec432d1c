"""The training loop over lanes, its results, and snapshots: a lane between two epochs as plain data.

A snapshot taken from one batch goes on in another, to the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats, Indices, lane_array
from hpsearch.nn.losses import Evaluation, Scores, check_fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hpsearch.nn.inputs import TrainingData
    from hpsearch.nn.network import Network
    from hpsearch.nn.optimizers import Optimizer
    from hpsearch.nn.schedules import Schedule


# The learning curves of `Epoch` and `History`.
CURVE_NAMES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


@dataclass(frozen=True, slots=True)
class Epoch:
    """The results of one epoch, for the A lanes that are still alive after it.

    Losses are means over samples of the data loss, without the L2 term. Training loss and accuracy are those
    of the mini-batches' own forward passes, while the weights moved and with dropout, unless the whole training
    set was asked to be scored; validation's are of the weights after the epoch.
    """

    epoch: int  # from 1
    lanes: Indices  # (A,), the lanes' indices from the start of training, ascending
    train_loss: NDArray[np.float64]  # (A,)
    train_accuracy: NDArray[np.float64]  # (A,), from 0 to 1
    validation_loss: NDArray[np.float64]  # (A,)
    validation_accuracy: NDArray[np.float64]  # (A,), from 0 to 1
    validation_hits: NDArray[np.bool_]  # (A, V), which of the validation samples were classified right
    ended: Mapping[int, str]  # why lanes diverged in this epoch and train no more, by index from the start


@dataclass(slots=True)
class History:
    """One lane's learning curves, an entry an epoch."""

    train_loss: list[float] = field(default_factory=list)  # as in `Epoch`, and so are the other curves
    train_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    ended: str | None = None  # why training ended before its last epoch, if it did

    def __len__(self) -> int:
        """Return the number of epochs trained."""
        return len(self.train_loss)

    def curves(self) -> dict[str, list[float]]:
        """Return the curves by name."""
        return {name: getattr(self, name) for name in CURVE_NAMES}


def train(
    network: Network,
    optimizer: Optimizer,
    data: TrainingData,
    *,
    batch_size: int,
    epochs: int,
    rngs: Sequence[np.random.Generator],
    schedules: Sequence[Schedule] | None = None,
    evaluate_train: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> list[History]:
    """Train all lanes to the end; `train_epochs` step by step.

    Args are those of `train_epochs`, and ``on_epoch``, which is called after every epoch.

    Returns:
        The history of each of the K lanes.
    """
    histories = [History() for _ in range(network.lanes)]
    for epoch in train_epochs(
        network,
        optimizer,
        data,
        batch_size=batch_size,
        epochs=epochs,
        rngs=rngs,
        schedules=schedules,
        evaluate_train=evaluate_train,
    ):
        record(epoch, histories)
        if on_epoch is not None:
            on_epoch(epoch)
    return histories


def record(epoch: Epoch, histories: Sequence[History]) -> None:
    """Add an epoch to the histories of its lanes, which stand at the lanes' indices from the start of training."""
    for position, lane in enumerate(epoch.lanes):
        for name in CURVE_NAMES:
            getattr(histories[lane], name).append(float(getattr(epoch, name)[position]))
    for lane, reason in epoch.ended.items():
        histories[lane].ended = reason


def train_epochs(
    network: Network,
    optimizer: Optimizer,
    data: TrainingData,
    *,
    batch_size: int,
    epochs: int,
    rngs: Sequence[np.random.Generator],
    schedules: Sequence[Schedule] | None = None,
    evaluate_train: bool = False,
    start: int = 1,
    stop: int | None = None,
) -> Iterator[Epoch]:
    """Train all lanes, and report after every epoch.

    A lane whose loss is not finite ends with that epoch: network and optimizer go on with the others alone,
    whose results it does not touch. Nothing that is reported of a lane depends on its neighbours. Iteration
    stops after ``epochs`` epochs or when no lane is left (the network then keeps the last ones' remains). A part of
    the epochs is trained with ``start`` and ``stop``; `take` and `resume` carry a lane from one part to the next.

    Args:
        network: K lanes; trained in place.
        optimizer: With the hyperparameters of the same K lanes.
        data: The training and validation sets.
        batch_size: Samples of a mini-batch; an epoch's last one may be smaller.
        epochs: At least 1.
        rngs: K generators for the order of samples (`Purpose.ORDER`), each lane's own or one between all.
        schedules: K learning-rate schedules, or None where no lane's rate changes.
        evaluate_train: Score the whole training set after each epoch, as the validation set is scored; otherwise
            training loss and accuracy are those of the mini-batches' own passes, which cost nothing.
        start: The first epoch to train; those before it are behind the lanes.
        stop: The last epoch to train; None for ``epochs``, which schedules go by in any case.

    Raises:
        BadInput: Lanes that do not match, sizes below 1 or data of other sizes than the network's.
    """
    given = len(rngs) if schedules is None else len(schedules)
    if not network.lanes == optimizer.lanes == len(rngs) == given:
        raise BadInput(
            f"the network has {network.lanes} lanes, the optimizer {optimizer.lanes}, "
            f"and there are {len(rngs)} generators and {given} schedules; all must be the same"
        )
    if batch_size < 1 or epochs < 1:
        raise BadInput(f"batch_size = {batch_size}, epochs = {epochs}; both must be at least 1")
    check_fit(network, data.images, data.labels)
    check_fit(network, data.validation_images, data.validation_labels)
    if schedules is not None and not any(schedule.changes for schedule in schedules):
        schedules = None
    passes = _Passes(network, optimizer, data, min(batch_size, len(data.images)), epochs, rngs)
    training = Evaluation(network, data.images, data.labels) if evaluate_train else None
    validation = Evaluation(network, data.validation_images, data.validation_labels)
    alive = np.arange(network.lanes)
    for epoch in range(start, (stop or epochs) + 1):
        # Never around the yield: the caller's own error state is not ours to change.
        with np.errstate(all="ignore"):
            passes.run(rngs, schedules, epoch)
            scored = {"training": passes.scores}
            if training is not None:
                training.run(network)
                scored["training"] = training.scores
            validation.run(network)
            scored["validation"] = validation.scores
            train_loss, train_accuracy = scored["training"].means(len(alive))
            validation_loss, validation_accuracy = scored["validation"].means(len(alive))
        ended: dict[int, str] = {}
        for position in range(len(alive)):
            for what, scores in scored.items():
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
            validation.scores.correct[kept],
            {int(alive[position]): reason for position, reason in ended.items()},
        )
        if ended and len(kept):
            network.keep(kept)
            optimizer.keep(kept)
            rngs = [rngs[lane] for lane in kept]
            schedules = None if schedules is None else [schedules[lane] for lane in kept]
        alive = alive[kept]
        yield report
        if not len(alive):
            return


class _Passes:
    """An epoch's passes over the training set, with the buffers for them."""

    def __init__(
        self,
        network: Network,
        optimizer: Optimizer,
        data: TrainingData,
        batch_size: int,
        epochs: int,
        rngs: Sequence[np.random.Generator],
    ) -> None:
        self._network, self._optimizer = network, optimizer
        self._batch_size, self._epochs = batch_size, epochs
        samples, inputs = data.images.shape
        self._images = np.ascontiguousarray(data.images, network.dtype)
        self._labels = data.labels.astype(np.intp)
        # Lanes with one generator between them see the same mini-batches, which are then gathered once for all.
        self._shared = all(rng is rngs[0] for rng in rngs)
        orders = 1 if self._shared else network.lanes
        self._order: Indices = lane_array(orders, (samples,), np.dtype(np.intp))
        self._batch: Floats = lane_array(orders, (batch_size, inputs), network.dtype)
        self.scores = Scores(network.lanes, batch_size, samples, network)

    def run(self, rngs: Sequence[np.random.Generator], schedules: Sequence[Schedule] | None, epoch: int) -> None:
        """Pass over the training set in the order that each lane's generator gives, and update the network."""
        network, optimizer, scores = self._network, self._optimizer, self.scores
        lanes, samples = len(rngs), len(self._labels)
        orders = 1 if self._shared else lanes
        steps = -(-samples // self._batch_size)
        for lane, rng in enumerate(rngs[:orders]):
            self._order[lane] = rng.permutation(samples)
        for step, start in enumerate(range(0, samples, self._batch_size), start=(epoch - 1) * steps):
            if schedules is not None:
                optimizer.scale_lr([s.factor(step, steps=steps, epochs=self._epochs) for s in schedules])
            order = self._order[:orders, start : start + self._batch_size]  # (K, B) or (1, B)
            batch = self._batch[:orders, : order.shape[1]]  # (K, B, D) or (1, B, D)
            for lane in range(orders):
                # mode="clip" as "raise" would go through a buffer; the indices are a permutation.
                np.take(self._images, order[lane], axis=0, out=batch[lane], mode="clip")
            scores.score(network.forward(batch), self._labels[order], start)
            network.backward(scores.loss.backward(optimizer.gradient_scale))
            # Backwards, as the forward pass comes next: the lane that is in cache then is the one that it begins with.
            for lane in reversed(range(lanes)):
                optimizer.update(lane, network.values[lane], network.gradient(lane), weights=network.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """All that one lane's next epoch depends on, besides its hyperparameters. It may be pickled."""

    epoch: int  # the last one that was trained; a learning-rate schedule goes on after it
    arrays: Floats  # (size,), parameters and running statistics (`Network.lane_vector`)
    slots: tuple[Floats, ...]  # (P,) each, what the optimizer keeps of every parameter
    steps: int  # its updates so far, where it counts them
    order: Mapping[str, Any]  # state of the generator of the samples' order
    masks: Mapping[str, Any] | None  # state of the generator of dropout masks; None without dropout


def take(
    network: Network, optimizer: Optimizer, rngs: Sequence[np.random.Generator], *, lane: int, epoch: int
) -> Snapshot:
    """Return a snapshot of one lane after an epoch, in memory of its own; ``rngs`` give the order of samples."""
    slots, steps = optimizer.lane_state(lane)
    masks = network.dropout_rngs()
    return Snapshot(
        epoch,
        network.lane_vector(lane).copy(),
        tuple(slot.copy() for slot in slots),
        steps,
        rngs[lane].bit_generator.state,
        masks[lane].bit_generator.state if masks else None,
    )


def resume(
    network: Network,
    optimizer: Optimizer,
    rngs: Sequence[np.random.Generator],
    snapshots: Sequence[Snapshot],
) -> int:
    """Put snapshots into the K lanes of a network and an optimizer that were made with the lanes' hyperparameters.

    ``rngs`` are their generators for the order of samples. Returns the epoch to go on with.
    """
    masks = network.dropout_rngs()
    for lane, snapshot in enumerate(snapshots):
        network.lane_vector(lane)[...] = snapshot.arrays
        optimizer.resume(lane, snapshot.slots, snapshot.steps)
        rngs[lane].bit_generator.state = snapshot.order
        if snapshot.masks is not None:
            masks[lane].bit_generator.state = snapshot.masks
    return snapshots[0].epoch + 1
