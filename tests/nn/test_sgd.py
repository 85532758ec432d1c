from __future__ import annotations

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import OPTIMIZERS, SGD


def test_three_steps_by_hand_with_decay_on_weights_and_not_on_biases() -> None:
    # lr 0.1, weight decay 0.5, gradient 2 by the weight and 1 by the bias, in lane 1:
    #   W: 1 - 0.1 (2 + 0.5 * 1) = 0.75
    #      0.75 - 0.1 (2 + 0.375) = 0.5125
    #      0.5125 - 0.1 (2 + 0.25625) = 0.286875
    #   b: 1 - 0.1 = 0.9;   0.8;   0.7
    optimizer = SGD([7.0, 0.1], [3.0, 0.5])
    values = np.array([1.0, 1.0])
    seen = []
    for _ in range(3):
        gradient = np.array([2.0, 1.0]) * optimizer.gradient_scale[1]
        optimizer.update(1, values, gradient, weights=1)
        seen.append(values.tolist())
    np.testing.assert_allclose(seen, [[0.75, 0.9], [0.5125, 0.8], [0.286875, 0.7]], rtol=1e-14)


def test_keep_takes_the_hyperparameters_of_the_lanes_that_stay() -> None:
    optimizer = SGD([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    optimizer.keep(np.array([0, 2]))
    assert optimizer.lanes == 2
    assert optimizer.lr.tolist() == [0.1, 0.3]
    assert optimizer.weight_decay.tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("lr", "weight_decay", "message"),
    [
        ([0.1, 0.1], [0.0], "2 values of lr, 1 of weight_decay"),
        ([np.nan], [0.0], "lr = .*nan.* in lane 0"),
        ([0.1, 0.1], [0.0, -1.0], "weight_decay = .*-1.0.* in lane 1"),
        (0.1, 0.0, "one value a lane"),
    ],
)
def test_what_is_no_hyperparameter_is_refused(lr: list[float], weight_decay: list[float], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SGD(lr, weight_decay)


def test_registry() -> None:
    assert OPTIMIZERS["sgd"] is SGD
