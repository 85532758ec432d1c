from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hpsearch.nn import SoftmaxCrossEntropy

if TYPE_CHECKING:
    from numpy.typing import NDArray


def scores(
    logits: NDArray[np.floating[Any]], labels: NDArray[np.intp]
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_], SoftmaxCrossEntropy]:
    lanes, rows, classes = logits.shape
    loss = SoftmaxCrossEntropy(lanes, rows, classes, logits.dtype)
    loss.select(lanes, rows)
    losses, correct = np.zeros((lanes, rows), logits.dtype), np.zeros((lanes, rows), np.bool_)
    loss.forward(logits, labels, losses=losses, correct=correct)
    return losses, correct, loss


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_logits_stay_finite(dtype: type[np.floating[Any]]) -> None:
    # exp underflows by design: training runs under np.errstate, and so does this.
    with np.errstate(under="ignore"):
        logits = np.array([[[1e30, -1e30, 0.0], [1000.0, 1000.0, 999.0]]], dtype)
        losses, _, loss = scores(logits, np.array([[0, 1]]))
        gradient = loss.backward(np.ones(1))
    expected = np.log(2 + np.exp(-1.0))
    np.testing.assert_allclose(losses, [[0.0, expected]], rtol=1e-6)
    np.testing.assert_allclose(gradient.sum(axis=2), 0, atol=1e-6)
    assert np.isfinite(gradient).all()


def test_shifting_all_logits_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((2, 5, 4)), rng.integers(4, size=(2, 5))
    np.testing.assert_allclose(scores(logits + 300, labels)[0], scores(logits, labels)[0], rtol=1e-9)


def test_equal_logits_cost_log_classes_and_the_first_class_is_the_guess() -> None:
    losses, correct, _ = scores(np.zeros((1, 3, 4)), np.array([[0, 1, 3]]))
    np.testing.assert_allclose(losses, np.log(4))
    assert correct.tolist() == [[True, False, False]]


def test_nan_and_infinite_logits_make_losses_that_are_not_finite() -> None:
    logits = np.array([[[0.0, np.nan], [np.inf, 0.0], [np.nan, 0.0]]])
    with np.errstate(all="ignore"):
        losses, _, _ = scores(logits, np.array([[0, 0, 0]]))
    assert not np.isfinite(losses).any()
