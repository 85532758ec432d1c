"""Losses and accuracies by lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.errors import BadInput
from hpsearch.nn.lanes import Floats, Indices, lane_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.nn.network import Network


class SoftmaxCrossEntropy:
    """The cross-entropy of softmax outputs and labels, ``log(sum_j exp(z_j)) - z_label``, a sample.

    It has room for K = ``lanes`` lanes of B = ``rows`` samples.

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", section 4.3.4. Subtracting the
    largest logit first keeps every exponent at 0 or below.
    """

    def __init__(self, lanes: int, rows: int, classes: int, dtype: np.dtype[Any]) -> None:
        self._classes = classes
        self._all_shifted: Floats = lane_array(lanes, (rows, classes), dtype)
        self._all_softmax: Floats = lane_array(lanes, (rows, classes), dtype)
        self._all_row: Floats = lane_array(lanes, (rows, 1), dtype)
        self._all_predicted: Indices = lane_array(lanes, (rows,), np.dtype(np.intp))
        self._all_by_class: Floats = lane_array(lanes, (classes, rows), dtype)
        self._ones: Floats = lane_array(1, (classes, 1), dtype)[0]
        self._ones.fill(1)
        self._all_index = np.arange(lanes)[:, None], np.arange(rows)[None, :]

    def select(self, lanes: int, rows: int) -> None:
        """Work on the first ``lanes`` lanes and ``rows`` samples of the buffers from now on."""
        self._shifted = self._all_shifted[:lanes, :rows]
        self._softmax = self._all_softmax[:lanes, :rows]
        self._row = self._all_row[:lanes, :rows]
        self._predicted = self._all_predicted[:lanes, :rows]
        self._by_class = self._all_by_class[:lanes, :, :rows]
        self._index = self._all_index[0][:lanes], self._all_index[1][:, :rows]

    def forward(self, logits: Floats, labels: Indices, *, losses: Floats, correct: NDArray[np.bool_]) -> None:
        """Write each sample's loss, and whether its largest logit (of equals the first) is the label's.

        Args:
            logits: (K, B, C).
            labels: (K, B), or (1, B) shared by all lanes.
            losses: (K, B), written.
            correct: (K, B), written.
        """
        np.argmax(logits, axis=2, out=self._predicted)  # (K, B, C) -> (K, B)
        np.equal(self._predicted, labels, out=correct)
        self._labels = labels
        # Over the first of two axes np.maximum runs along samples: a fifth of the time, copy included.
        np.copyto(self._by_class, logits.transpose(0, 2, 1))  # (K, B, C) -> (K, C, B)
        np.maximum.reduce(self._by_class, axis=1, out=self._row[:, :, 0])  # (K, C, B) -> (K, B)
        np.subtract(logits, self._row, out=self._shifted)  # (K, B, C) - (K, B, 1)
        np.exp(self._shifted, out=self._softmax)
        np.matmul(self._softmax, self._ones, out=self._row)  # (K, B, C) @ (C, 1) -> (K, B, 1)
        np.log(self._row[:, :, 0], out=losses)
        losses -= self._shifted[*self._index, labels]  # (K, B)

    def backward(self, scale: Floats) -> Floats:
        """Return the gradient by the logits of ``scale * mean loss over the mini-batch``.

        Args:
            scale: (K,), what the optimizer wants every gradient multiplied by.

        Returns:
            ``(softmax - onehot) * scale / B``, (K, B, C).
        """
        gradient = self._softmax
        gradient /= self._row  # (K, B, C) / (K, B, 1)
        gradient[*self._index, self._labels] -= 1
        rows = gradient.shape[1]
        gradient *= (scale / rows).astype(gradient.dtype)[:, None, None]  # (K, B, C) * (K, 1, 1)
        return gradient


EVALUATION_ROWS = 256  # samples of one pass of an evaluation; fixed, as a GEMM's rounding may depend on its height


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
        """Return loss and accuracy of each lane, (K,) and (K,)."""
        losses = [float(np.mean(own, dtype=np.float64)) for own in self.losses[:lanes]]
        correct = [np.count_nonzero(own) / len(own) for own in self.correct[:lanes]]
        return np.array(losses), np.array(correct)

    def first_not_finite(self, lane: int) -> float | None:
        """Return the first loss of a lane that is nan or infinite."""
        broken = self.losses[lane][~np.isfinite(self.losses[lane])]
        return float(broken[0]) if len(broken) else None


class Evaluation:
    """Full forward passes over one labelled set, shared by all lanes."""

    def __init__(self, network: Network, images: Floats, labels: NDArray[np.integer]) -> None:
        samples = len(images)
        # Copied for alignment; (1, V, D) for one GEMM a lane without K copies.
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
    """Return each lane's mean data loss and accuracy, (K,) and (K,), on images (V, D) with labels (V,).

    A loss may be nan or infinite.

    Raises:
        BadInput: Data of other sizes than the network's.
    """
    check_fit(network, images, labels)
    evaluation = Evaluation(network, images, labels)
    with np.errstate(all="ignore"):
        evaluation.run(network)
        return evaluation.scores.means(network.lanes)
