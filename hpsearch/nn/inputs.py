"""The examples that a network is trained and scored on, and those of their inputs that carry information.

An input that is 0 in every example, such as a picture's margin, adds nothing to any sum, and the gradient of its
weights is 0 whatever the network does. Without it the learning curves are the same but for the rounding of shorter
sums, and the first layer's products shrink: of MNIST's 784 pixels, 500 examples use 573.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.nn.lanes import Floats, Indices


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The training set, which fits the weights, and the validation set, which scores the hyperparameters.

    Raises:
        BadData: Shapes that do not belong together, no samples, labels that are not whole numbers from 0,
            or inputs that are not finite.
    """

    images: Floats  # (N, D), training inputs
    labels: NDArray[np.integer]  # (N,), whole numbers from 0
    validation_images: Floats  # (V, D)
    validation_labels: NDArray[np.integer]  # (V,)

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


_STEP = 16  # float32 numbers of a cache line: rows stay aligned, and products can be cut evenly


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The inputs that a network has, of those in the data."""

    # D, the number in the data. Initial weights are drawn for all of them, so that leaving some out changes neither the
    # draws nor the fan-in that their spread comes from.
    total: int
    kept: Indices  # those that are left, ascending


def live_inputs(data: TrainingData) -> tuple[TrainingData, Inputs | None]:
    """Return the data without the inputs that are 0 in every example, and those that are left (None: all are).

    A few zero inputs stay, to fill a cache line.
    """
    live = (data.images != 0).any(axis=0) | (data.validation_images != 0).any(axis=0)
    total = len(live)
    wanted = -(-max(int(np.count_nonzero(live)), 1) // _STEP) * _STEP
    if wanted >= total:
        return data, None
    dead = np.flatnonzero(~live)
    live[dead[: wanted - (total - len(dead))]] = True
    kept = np.flatnonzero(live)
    images, validation_images = (
        np.ascontiguousarray(images[:, kept]) for images in (data.images, data.validation_images)
    )
    return TrainingData(images, data.labels, validation_images, data.validation_labels), Inputs(total, kept)
