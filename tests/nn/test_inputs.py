"""The training data: inputs that are 0 in every example are left out, and nothing but rounding changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpsearch.errors import BadData
from hpsearch.nn import OPTIMIZERS, Inputs, Network, Purpose, TrainingData, evaluate, lane_rngs, live_inputs, train


def images(total: int, live: list[int], *, seed: int = 0, only_validation: int | None = None) -> TrainingData:
    rng = np.random.default_rng(seed)
    x = np.zeros((30, total))
    x[:, live] = rng.standard_normal((30, len(live)))
    if only_validation is not None:
        x[:20, only_validation] = 0
    y = rng.integers(3, size=30)
    return TrainingData(x[:20], y[:20], x[20:], y[20:])


@given(total=st.integers(1, 90), data=st.data())
def test_what_is_left_holds_every_live_input_and_fills_cache_lines(total: int, data: st.DataObject) -> None:
    live = sorted(data.draw(st.sets(st.integers(0, total - 1))))
    whole = images(total, live)
    fewer, inputs = live_inputs(whole)
    if inputs is None:
        assert fewer is whole
        assert -(-max(len(live), 1) // 16) * 16 >= total
        return
    kept = inputs.kept.tolist()
    assert inputs.total == total
    assert kept == sorted(set(kept))
    assert set(live) <= set(kept)
    assert len(kept) % 16 == 0
    assert len(kept) - len(live) < 16 or not live
    np.testing.assert_array_equal(fewer.images, whole.images[:, kept])
    np.testing.assert_array_equal(fewer.validation_images, whole.validation_images[:, kept])
    assert fewer.images.flags.c_contiguous


def test_an_input_that_only_validation_has_is_live() -> None:
    _, inputs = live_inputs(images(64, [3, 40], only_validation=40))
    assert inputs is not None
    assert 40 in inputs.kept


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_curves_are_those_of_all_inputs(optimizer: str, batch_norm: bool) -> None:
    """In float64, to rounding; input 40 is 0 in training, so that its weights matter to validation alone."""
    whole = images(64, [*range(3, 25), 40], only_validation=40)
    fewer, inputs = live_inputs(whole)
    assert inputs is not None

    def trained(data: TrainingData, inputs: Inputs | None) -> tuple[Network, list[Any]]:
        network = Network(
            (data.images.shape[1], 7, 3),
            rngs=lane_rngs(0, range(2), Purpose.WEIGHTS),
            batch_norm=batch_norm,
            inputs=inputs,
            dtype=np.float64,
        )
        made = OPTIMIZERS[optimizer](lr=np.array([0.01, 0.05]), weight_decay=np.array([0.0, 0.1]))
        order = lane_rngs(0, range(2), Purpose.ORDER)
        return network, [h.curves() for h in train(network, made, data, batch_size=6, epochs=4, rngs=order)]

    dense, expected = trained(whole, None)
    network, curves = trained(fewer, inputs)
    for mine, theirs in zip(curves, expected, strict=True):
        for name, curve in mine.items():
            np.testing.assert_allclose(curve, theirs[name], rtol=1e-7)
    np.testing.assert_allclose(
        network.parameters[0]["weight"], dense.parameters[0]["weight"][:, inputs.kept], rtol=1e-5, atol=1e-9
    )
    wide = network.widened(inputs)
    assert wide.sizes == dense.sizes
    left_out = np.setdiff1d(np.arange(64), inputs.kept)
    assert not wide.parameters[0]["weight"][:, left_out].any()
    for part in ((whole.images, whole.labels), (whole.validation_images, whole.validation_labels)):
        for mine, theirs in zip(evaluate(wide, *part), evaluate(dense, *part), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-7)


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
def test_damaged_data_are_refused(images: Any, labels: Any, message: str) -> None:
    good = np.zeros((2, 3)), np.zeros(2, np.int64)
    with pytest.raises(BadData, match=message):
        TrainingData(images, labels, *good)
    with pytest.raises(BadData, match="validation images 4" if "inputs" in message else message):
        TrainingData(*good, images, labels)
