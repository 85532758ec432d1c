"""The images and labels that a network is trained and scored on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.errors import BadData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hpsearch.nn.lanes import Floats


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
