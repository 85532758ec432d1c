"""Inputs that are 0 in every image, such as a picture's margin: training and scoring can do without them.

Such an input adds nothing to any sum, and the gradient of its weights is 0 whatever the network does. Left out, the
learning curves are the same but for the rounding of shorter sums, and the first layer's products shrink: of MNIST's 784
pixels, 500 images use 573.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hpsearch.nn.training_data import TrainingData

if TYPE_CHECKING:
    from hpsearch.nn.lanes import Indices

_STEP = 16  # float32 numbers of a cache line: rows stay aligned, and products can be cut evenly


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Which of the inputs a network has.

    Args:
        total: D, how many there were. Initial weights are drawn for all of them, so that leaving some out changes
            neither the draws nor the fan-in that their spread comes from.
        kept: Those that are left, ascending.
    """

    total: int
    kept: Indices


def live_inputs(data: TrainingData) -> tuple[TrainingData, Inputs | None]:
    """The data without the inputs that are 0 in every training and validation image, and which are left.

    A few of those stay, to fill a cache line.

    Args:
        data: The training and validation sets.

    Returns:
        The data itself and None, where there is nothing to leave out.
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
