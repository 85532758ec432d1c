from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hpsearch.errors import BadInput
from hpsearch.nn import (
    CURVE_NAMES,
    SGD,
    Epoch,
    Network,
    Purpose,
    Schedule,
    TrainingData,
    evaluate,
    lane_rng,
    lane_rngs,
    train,
    train_epochs,
)

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


def clusters(samples: int = 60, validation: int = 30) -> TrainingData:
    """Three classes around three corners: easy."""
    rng = np.random.default_rng(5)
    labels = rng.integers(3, size=samples + validation)
    images = np.eye(3)[labels] * 2 + 0.3 * rng.standard_normal((len(labels), 3))
    return TrainingData(images[:samples], labels[:samples], images[samples:], labels[samples:])


def make(lanes: int, **options: Any) -> Network:
    return Network([3, 8, 3], rngs=lane_rngs(0, range(lanes), Purpose.WEIGHTS), **options)


def orders(lanes: int = 1) -> list[np.random.Generator]:
    return lane_rngs(0, range(lanes), Purpose.ORDER)


def run(
    lr: Sequence[float],
    *,
    data: TrainingData | None = None,
    weight_decay: float = 0.0,
    epochs: int = 5,
    batch_size: int = 16,
    dtype: DTypeLike = np.float32,
) -> tuple[list[Epoch], Network]:
    network, optimizer, rngs = make(len(lr), dtype=dtype), SGD(lr, weight_decay), orders(len(lr))
    data = data or clusters()
    return list(train_epochs(network, optimizer, data, batch_size=batch_size, epochs=epochs, rngs=rngs)), network


def evaluations(network: Network, data: TrainingData) -> dict[str, Any]:
    """Loss and accuracy over both parts of the data."""
    validation = evaluate(network, data.validation_images, data.validation_labels)
    return {"train": evaluate(network, data.images, data.labels), "validation": validation}


def test_zero_lr_changes_nothing_and_what_is_reported_is_the_evaluation() -> None:
    data = clusters()
    start = make(2)
    epochs, network = run([0.0, 0.0], weight_decay=0.5, data=data, batch_size=17)
    assert network.values.tobytes() == start.values.tobytes()
    for epoch in epochs:  # the mini-batches' own passes are then a pass over the whole set, reordered
        for part, (loss, accuracy) in evaluations(start, data).items():
            np.testing.assert_allclose(getattr(epoch, f"{part}_loss"), loss, rtol=1e-5)
            assert getattr(epoch, f"{part}_accuracy").tolist() == accuracy.tolist()


def test_one_epoch_is_the_formula() -> None:
    """Against a plain loop with dict-less parameters: order, partial mini-batch, decay, what is reported."""
    data = clusters(samples=10)
    lr, decay = 0.2, 0.1
    epochs, network = run([lr], data=data, weight_decay=decay, epochs=1, batch_size=4, dtype=np.float64)
    plain = make(1, dtype=np.float64).parameters
    w1, b1, w2, b2 = (plain[i][name][0] for i in (0, 2) for name in ("weight", "bias"))
    order = lane_rng(0, 0, Purpose.ORDER).permutation(10)
    losses = []
    for batch in (order[:4], order[4:8], order[8:]):
        x, onehot = data.images[batch], np.eye(3)[data.labels[batch]]
        hidden = np.maximum(x @ w1 + b1, 0)
        softmax = np.exp(hidden @ w2 + b2)
        softmax /= softmax.sum(axis=1, keepdims=True)
        losses += list(-np.log((softmax * onehot).sum(axis=1)))
        by_logits = (softmax - onehot) / len(batch)
        by_hidden = by_logits @ w2.T * (hidden > 0)
        w2 = w2 - lr * (hidden.T @ by_logits + decay * w2)
        b2 = b2 - lr * by_logits.sum(axis=0)
        w1 = w1 - lr * (x.T @ by_hidden + decay * w1)
        b1 = b1 - lr * by_hidden.sum(axis=0)
    assert epochs[0].train_loss[0] == pytest.approx(np.mean(losses), rel=1e-12)
    found = [network.parameters[i][name][0] for i in (0, 2) for name in ("weight", "bias")]
    for ours, theirs in zip(found, (w1, b1, w2, b2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


def test_every_epoch_has_an_order_of_its_own() -> None:
    (rng,), (same,) = orders(), orders()
    for _ in train_epochs(make(1), SGD([0.1]), clusters(), batch_size=16, epochs=3, rngs=[rng]):
        same.permutation(60)
    assert rng.random() == same.random()


def test_a_lane_that_diverges_ends_with_a_reason_and_the_others_go_on() -> None:
    epochs, network = run([0.1, 1e30, 0.2], epochs=4)
    ((last, lane, reason),) = [(epoch.epoch, *ended) for epoch in epochs for ended in epoch.ended.items()]
    assert lane == 1
    assert reason in {f"training loss became {v} in epoch {last}" for v in ("nan", "inf")}
    assert [epoch.lanes.tolist() for epoch in epochs[last - 1 :]] == [[0, 2]] * (5 - last)
    assert network.lanes == 2
    for epoch in epochs:
        for values in (epoch.train_loss, epoch.train_accuracy, epoch.validation_loss):
            assert len(values) == len(epoch.lanes)
            assert np.isfinite(values).all()


def test_validation_can_tell_first_and_training_stops_when_no_lane_is_left() -> None:
    epochs, _ = run([1e30], batch_size=100)  # one step an epoch: its own loss is of the weights before it
    assert epochs[0].ended[0] in {f"validation loss became {v} in epoch 1" for v in ("nan", "inf")}
    epochs, _ = run([1e30, 1e300], epochs=50)
    assert len(epochs) < 50
    assert epochs[-1].lanes.tolist() == []
    assert sorted(lane for epoch in epochs for lane in epoch.ended) == [0, 1]


def test_the_caller_s_error_state_is_left_alone() -> None:
    with np.errstate(all="print"):
        before = np.geterr()
        for _ in train_epochs(make(1), SGD([1e30]), clusters(), batch_size=16, epochs=3, rngs=orders()):
            assert np.geterr() == before


def test_what_does_not_fit_is_refused_before_the_first_epoch() -> None:
    network = Network([3, 2], rngs=lane_rngs(0, [0], Purpose.WEIGHTS))

    def refused(message: str, optimizer: SGD, **options: Any) -> None:
        with pytest.raises(BadInput, match=message):
            next(
                train_epochs(network, optimizer, clusters(), rngs=orders(), **{"batch_size": 8, "epochs": 1} | options)
            )

    refused("labels up to 2", SGD([0.1]))
    refused("1 lanes, the optimizer 2", SGD([0.1] * 2))
    refused("batch_size = 0, epochs = 1; both", SGD([0.1]), batch_size=0)
    refused("batch_size = 8, epochs = 0; both", SGD([0.1]), epochs=0)
    refused("1 generators and 2 schedules", SGD([0.1]), schedules=[Schedule(), Schedule()])
    with pytest.raises(BadInput, match="3 inputs and 2 classes; the data have 4 inputs"):
        evaluate(network, np.zeros((1, 4)), np.zeros(1, np.int64))


def test_train_returns_the_history_of_every_lane() -> None:
    seen: list[Epoch] = []
    options: dict[str, Any] = {"batch_size": 16, "epochs": 4}
    histories = train(make(3), SGD([0.1, 1e30, 0.2]), clusters(), rngs=orders(3), on_epoch=seen.append, **options)
    expected, _ = run([0.1, 1e30, 0.2], epochs=4)
    (ended,) = [(epoch.epoch, reason) for epoch in expected for reason in epoch.ended.values()]
    assert [epoch.epoch for epoch in seen] == [1, 2, 3, 4]
    assert [len(history) for history in histories] == [4, ended[0] - 1, 4]
    assert [history.ended for history in histories] == [None, ended[1], None]
    for lane in (0, 2):
        assert list(histories[lane].curves()) == list(CURVE_NAMES)
        for name, curve in histories[lane].curves().items():
            at = [epoch.lanes.tolist().index(lane) for epoch in expected]
            assert curve == [getattr(e, name)[position] for e, position in zip(expected, at, strict=True)]
            assert {type(value) for value in curve} == {float}


FEATURES: list[dict[str, Any]] = [{}, {"batch_norm": True}, {"dropout": 0.5}, {"batch_norm": True, "dropout": 0.3}]


@pytest.mark.parametrize("features", FEATURES)
def test_with_evaluate_train_the_whole_training_set_is_scored_as_in_evaluation(features: dict[str, Any]) -> None:
    data = clusters(samples=300)  # more than one chunk
    trained = []
    for scored in (False, True):
        masks = {"dropout_rngs": lane_rngs(0, range(2), Purpose.DROPOUT)} if "dropout" in features else {}
        network = make(2, **features, **masks)
        options: dict[str, Any] = {"batch_size": 16, "epochs": 2, "evaluate_train": scored}
        for epoch in train_epochs(network, SGD([0.1, 0.01]), data, rngs=orders(2), **options):
            for part, (loss, accuracy) in evaluations(network, data).items():
                if scored or part == "validation":
                    assert getattr(epoch, f"{part}_loss").tolist() == loss.tolist()
                    assert getattr(epoch, f"{part}_accuracy").tolist() == accuracy.tolist()
        trained.append((network.values.tobytes(), epoch.validation_loss.tobytes(), epoch.train_loss.tobytes()))
    assert trained[0][:2] == trained[1][:2]  # scoring changes no training
    assert trained[0][2] != trained[1][2]


def test_a_network_whose_evaluation_alone_overflows_ends_too() -> None:
    data, network = clusters(), make(2, dtype=np.float64)
    network.parameters[2]["bias"][1, 0, 0] = np.inf
    histories = train(network, SGD([0.1, 0.1]), data, batch_size=100, epochs=1, rngs=orders(2), evaluate_train=True)
    assert histories[0].ended is None
    assert histories[1].ended == "training loss became nan in epoch 1"


@pytest.mark.parametrize("samples", [1, 255, 256, 257, 700])
def test_evaluate_is_the_mean_over_all_samples(samples: int) -> None:
    rng, network = np.random.default_rng(0), make(2, dtype=np.float64)
    images, labels = rng.standard_normal((samples, 3)), rng.integers(3, size=samples)
    logits = network.forward(np.repeat(images[None], 2, axis=0)).copy()
    losses = np.log(np.exp(logits).sum(axis=2)) - logits[:, np.arange(samples), labels]
    loss, accuracy = evaluate(network, images, labels)
    np.testing.assert_allclose(loss, losses.mean(axis=1), rtol=1e-12)
    assert accuracy.tolist() == (logits.argmax(axis=2) == labels).mean(axis=1).tolist()
