"""Losses and accuracies by lane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats, Indices, lane_array
from hpsearch.nn.losses import SoftmaxCrossEntropy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.nn.network import Network

EVALUATION_ROWS = 256
"""Samples of one forward pass of an evaluation. Fixed, as a GEMM's rounding may depend on its height."""


class Scores:
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


class Evaluation:
    """Full forward passes over one labelled set, shared by all lanes."""

    def __init__(self, network: Network, images: Floats, labels: NDArray[np.integer]) -> None:
        samples = len(images)
        # A copy of our own, for the alignment; (1, V, D) for one GEMM a lane without K copies.
        self._images: Floats = lane_array(1, images.shape, network.dtype)
        self._images[0] = images
        self._labels = labels.astype(np.intp)[None, :]  # (1, V)
        self.scores = Scores(network.lanes, min(samples, EVALUATION_ROWS), samples, network)

    def run(self, network: Network) -> None:
        for start in range(0, self._labels.shape[1], EVALUATION_ROWS):
            part = slice(start, start + EVALUATION_ROWS)
            self.scores.score(network.infer(self._images[:, part]), self._labels[:, part], start)


def check_fit(network: Network, images: Floats, labels: NDArray[np.integer]) -> None:
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
    check_fit(network, images, labels)
    evaluation = Evaluation(network, images, labels)
    with np.errstate(all="ignore"):
        evaluation.run(network)
        return evaluation.scores.means(network.lanes)
