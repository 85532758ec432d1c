"""A lane between two epochs as plain data: taken from one batch, it goes on in another, to the same bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from hpsearch.nn.lanes import Floats
    from hpsearch.nn.network import Network
    from hpsearch.nn.optimizers import Optimizer


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

    Raises:
        BadInput: Snapshots of different epochs, not one a lane, or of a network of another kind.
    """
    epochs = {snapshot.epoch for snapshot in snapshots}
    if len(epochs) != 1 or len(snapshots) != network.lanes:
        raise BadInput(
            f"{len(snapshots)} snapshots of epochs {sorted(epochs)} for {network.lanes} lanes; give one each"
        )
    masks = network.dropout_rngs()
    _check_kind(network, optimizer, rngs, snapshots)
    for lane, snapshot in enumerate(snapshots):
        if (snapshot.masks is not None) is not bool(masks):
            raise BadInput("snapshots with dropout go on in a network with dropout, others in one without")
        network.lane_vector(lane)[...] = snapshot.arrays
        optimizer.resume(lane, snapshot.slots, snapshot.steps)
        rngs[lane].bit_generator.state = snapshot.order
        if snapshot.masks is not None:
            masks[lane].bit_generator.state = snapshot.masks
    return epochs.pop() + 1


def _check_kind(
    network: Network, optimizer: Optimizer, rngs: Sequence[np.random.Generator], snapshots: Sequence[Snapshot]
) -> None:
    size = len(network.lane_vector(0))
    for snapshot in snapshots:
        if len(snapshot.arrays) != size or len(snapshot.slots) != optimizer.slots:
            raise BadInput(
                f"a snapshot of {len(snapshot.arrays)} numbers and {len(snapshot.slots)} slots of an optimizer for a "
                f"network of {size} and an optimizer of {optimizer.slots}; they go on in a network of their own kind"
            )
    if len(set(map(id, rngs))) < len(rngs) and any(s.order != snapshots[0].order for s in snapshots):
        raise BadInput("snapshots with orders of samples of their own go on with a generator each")
