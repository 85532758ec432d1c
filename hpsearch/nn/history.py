"""What training reports: an epoch of all lanes, and the whole history of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hpsearch.nn.lanes import Indices

CURVE_NAMES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
"""The learning curves of `Epoch` and `History`."""


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
    of the mini-batches' own forward passes, while the weights moved and with dropout, unless the whole training
    set was asked to be scored; validation's are of the weights after the epoch.

    Args:
        epoch: From 1.
        lanes: (A,), the lanes' indices from the start of training, ascending.
        train_loss: (A,).
        train_accuracy: (A,), from 0 to 1.
        validation_loss: (A,).
        validation_accuracy: (A,), from 0 to 1.
        validation_hits: (A, V), which of the validation samples were classified right.
        ended: Lanes that diverged in this epoch.
    """

    epoch: int
    lanes: Indices
    train_loss: NDArray[np.float64]
    train_accuracy: NDArray[np.float64]
    validation_loss: NDArray[np.float64]
    validation_accuracy: NDArray[np.float64]
    validation_hits: NDArray[np.bool_]
    ended: tuple[Ended, ...] = ()


@dataclass(slots=True)
class History:
    """One lane's learning curves, an entry an epoch.

    Args:
        train_loss: Mean data loss; of what, `Epoch` says.
        train_accuracy: From 0 to 1.
        validation_loss: After each epoch.
        validation_accuracy: From 0 to 1.
        ended: Why training ended before its last epoch, if it did.
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    ended: str | None = None

    def __len__(self) -> int:
        """Epochs trained."""
        return len(self.train_loss)

    def add(self, epoch: Epoch, position: int) -> None:
        """Append the numbers of the lane at this position of an epoch's arrays."""
        for name in CURVE_NAMES:
            getattr(self, name).append(float(getattr(epoch, name)[position]))

    def curves(self) -> dict[str, list[float]]:
        """The curves by name."""
        return {name: getattr(self, name) for name in CURVE_NAMES}
