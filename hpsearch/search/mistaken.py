"""What was classified wrong: which classes were taken for which, and the mistakes one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test image that was classified wrong.

    Args:
        index: Its place in the test part, from 0.
        label: Its class.
        prediction: The class that it was taken for.
        probability: How probable that was, by the network.
    """

    index: int
    label: int
    prediction: int
    probability: float


def confusion(labels: NDArray[np.integer], predictions: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """How often examples of each class were taken for each: (C, C), label by row and prediction by column.

    Args:
        labels: (T,).
        predictions: (T,).
        classes: C.
    """
    pairs = labels.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mistakes(labels: NDArray[np.integer], probabilities: NDArray[np.float64]) -> tuple[Mistake, ...]:
    """The examples that were classified wrong, the most confident first; of equally confident ones the earlier.

    Args:
        labels: (T,).
        probabilities: (T, C).
    """
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    sure = probabilities[wrong, predictions[wrong]]
    order = np.argsort(-sure, kind="stable")
    return tuple(
        Mistake(int(wrong[i]), int(labels[wrong[i]]), int(predictions[wrong[i]]), float(sure[i])) for i in order
    )
