"""The book's own way: one trial after another, one mini-batch after another, float64, parameters in a dict.

As the book does, mini-batches are drawn with replacement, the loss includes the weight decay, and after every epoch
the accuracy over the whole training set and the whole validation set is computed. The loss is taken from the
gradient's own forward pass; the book runs another one for it after each update, which costs it more.
"""

from __future__ import annotations

import sys
import time
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from workloads import Assignment, Images, Workload, answer

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.integer[Any]]


class DictNetwork:
    """Dense layers with ReLU between them and a softmax at the end; ``W1``, ``b1``, ``W2`` ... in a dict."""

    def __init__(self, sizes: tuple[int, ...], weight_decay: float, *, rng: np.random.Generator) -> None:
        self.depth = len(sizes) - 1
        self.weight_decay = weight_decay
        self.params: dict[str, Floats] = {}
        for i in range(1, self.depth + 1):
            scale = np.sqrt(2.0 / sizes[i - 1])
            self.params[f"W{i}"] = scale * rng.standard_normal((sizes[i - 1], sizes[i]))
            self.params[f"b{i}"] = np.zeros(sizes[i])

    def predict(self, x: Floats) -> list[Floats]:
        """The outputs of all layers, from the images to the logits."""
        outputs = [x]
        for i in range(1, self.depth + 1):
            x = np.dot(x, self.params[f"W{i}"]) + self.params[f"b{i}"]
            if i < self.depth:
                x = np.maximum(x, 0.0)
            outputs.append(x)
        return outputs

    def accuracy(self, x: Floats, labels: Labels) -> float:
        return float(np.mean(np.argmax(self.predict(x)[-1], axis=1) == labels))

    def gradient(self, x: Floats, labels: Labels) -> tuple[float, dict[str, Floats]]:
        """The mean loss with the weight decay, and its gradient by each parameter."""
        outputs = self.predict(x)
        shifted = outputs[-1] - np.max(outputs[-1], axis=1, keepdims=True)
        softmax = np.exp(shifted) / np.sum(np.exp(shifted), axis=1, keepdims=True)
        rows = np.arange(len(x))
        loss = -np.sum(np.log(softmax[rows, labels] + 1e-7)) / len(x)
        grads: dict[str, Floats] = {}
        delta = softmax.copy()
        delta[rows, labels] -= 1.0
        delta /= len(x)
        for i in range(self.depth, 0, -1):
            weight = self.params[f"W{i}"]
            loss += 0.5 * self.weight_decay * np.sum(weight**2)
            grads[f"W{i}"] = np.dot(outputs[i - 1].T, delta) + self.weight_decay * weight
            grads[f"b{i}"] = np.sum(delta, axis=0)
            delta = np.dot(delta, weight.T)
            if i > 1:
                delta = delta * (outputs[i - 1] > 0)
        return float(loss), grads


def run_trial(workload: Workload, images: Images, lr: float, weight_decay: float, *, rng: np.random.Generator) -> float:
    """Train one network with SGD; its validation accuracy after the last epoch."""
    x_train, x_validation = images.x_train.astype(float), images.x_validation.astype(float)
    network = DictNetwork(workload.sizes, weight_decay, rng=rng)
    losses, train_curve, validation_curve = [], [], []
    steps = -(-len(x_train) // workload.batch_size)
    for _ in range(workload.epochs):
        for _ in range(steps):
            chosen = rng.choice(len(x_train), workload.batch_size)
            loss, grads = network.gradient(x_train[chosen], images.y_train[chosen])
            for name in network.params:
                network.params[name] -= lr * grads[name]
            losses.append(loss)
        train_curve.append(network.accuracy(x_train, images.y_train))
        validation_curve.append(network.accuracy(x_validation, images.y_validation))
    return validation_curve[-1]


def main() -> None:
    assignment = Assignment.given(sys.argv[1:])
    workload, images = assignment.workload, assignment.images()
    rng = np.random.default_rng(assignment.seed)
    ends = np.log10([workload.lr, workload.weight_decay])
    began = time.perf_counter()
    accuracies = [
        run_trial(workload, images, *(10.0 ** rng.uniform(low, high) for low, high in ends), rng=rng)
        for _ in range(workload.trials)
    ]
    answer(accuracies, time.perf_counter() - began)


if __name__ == "__main__":
    main()
