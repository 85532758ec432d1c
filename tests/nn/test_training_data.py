from __future__ import annotations

import numpy as np
import pytest

from hpsearch.errors import BadData
from hpsearch.nn import TrainingData


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3, np.int64), r"\(2, 3\) and labels \(3,\)"),
        (np.zeros((0, 3)), np.zeros(0, np.int64), "at least one"),
        (np.zeros((2, 3)), np.zeros(2), "whole numbers"),
        (np.zeros((2, 3)), np.array([0, -1]), "whole numbers"),
        (np.full((2, 3), np.nan), np.zeros(2, np.int64), "not finite"),
        (np.zeros((2, 4)), np.zeros(2, np.int64), "4 inputs"),
    ],
)
def test_damaged_data_are_refused(
    images: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    message: str,
) -> None:
    good = np.zeros((2, 3)), np.zeros(2, np.int64)
    with pytest.raises(BadData, match=message):
        TrainingData(images, labels, *good)
    with pytest.raises(BadData, match="validation images 4" if "inputs" in message else message):
        TrainingData(*good, images, labels)
