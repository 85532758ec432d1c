"""Losses over lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.nn.lanes import Floats, Indices, lane_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SoftmaxCrossEntropy:
    """The cross-entropy of softmax outputs and labels, ``log(sum_j exp(z_j)) - z_label``, a sample.

    Args:
        lanes: K, at most.
        rows: B, at most.
        classes: C.
        dtype: float32 or float64.

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
        """The gradient by the logits of ``scale * mean loss over the mini-batch``.

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
