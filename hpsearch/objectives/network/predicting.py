"""Predictions of a saved network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.examples import Examples
from hpsearch.data.preprocessing import GREY_LEVELS
from hpsearch.errors import BadData
from hpsearch.statistics import Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.data.preprocessing import Preprocessing
    from hpsearch.nn import Model


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Classes by example, in the order of the files and of their rows."""

    sources: Sequence[str]  # (N,) the file of each
    rows: Sequence[int | None]  # (N,) its row in the file, from 1; None for a picture
    class_names: Sequence[str]  # the C label values
    best: npt.NDArray[np.intp]  # (N,) the most probable class of each, of equals the first
    best_probability: npt.NDArray[np.float64]  # (N,) how likely it is, by this network
    second: npt.NDArray[np.intp] | None  # (N,) the next best class; None where there is one class only
    second_probability: npt.NDArray[np.float64] | None  # likewise
    labels: Sequence[int | None]  # (N,) the class that the file says; None where it says none
    # the files of floats within 0..1, which were taken as grey levels that are divided by 255 already
    scaled: Sequence[str] = ()

    @property
    def labelled(self) -> int:
        """Return how many examples have a label."""
        return sum(label is not None for label in self.labels)

    @property
    def hits(self) -> int:
        """Return how many of those are classified right."""
        return sum(label == best for label, best in zip(self.labels, self.best.tolist(), strict=True))

    def accuracy(self) -> tuple[float, Interval]:
        """Return the share of labelled examples that are classified right, and its Wilson interval.

        Raises:
            BadInput: None has a label.
        """
        interval = wilson(self.hits, self.labelled)
        return self.hits / self.labelled, interval

    def columns(self) -> dict[str, list[Any]]:
        """Return a table with a row an example and only the columns that hold anything."""
        names, examples = self.class_names, len(self.best)
        columns: dict[str, list[Any]] = {"file": list(self.sources)}
        if any(row is not None for row in self.rows):
            columns["row"] = list(self.rows)
        columns["predicted"] = [names[best] for best in self.best.tolist()]
        columns["probability"] = self.best_probability.tolist()
        if self.second is None or self.second_probability is None:
            columns |= {"next": [None] * examples, "next_probability": [None] * examples}
        else:
            columns["next"] = [names[second] for second in self.second.tolist()]
            columns["next_probability"] = self.second_probability.tolist()
        if self.labelled:
            columns["label"] = [None if label is None else names[label] for label in self.labels]
            columns["right"] = [
                None if label is None else label == best
                for label, best in zip(self.labels, self.best.tolist(), strict=True)
            ]
        return columns


def predict(model: Model, examples: Sequence[Examples]) -> Predictions:
    """Classify examples.

    Args:
        model: The network.
        examples: From one file or several; at least one.

    Raises:
        BadData: Examples of another size, values that the network never saw the like of, or a label that it does not
            know.
        BadInput: An old network whose file does not say how raw values become inputs, or sums that overflow.
    """
    asked = model.takes()
    code = {name: i for i, name in enumerate(model.class_names)}
    labels: list[int | None] = []
    for some in examples:
        labels += [None] * len(some.x) if some.labels is None else _codes(some, code)
    raw, scaled = [], []
    for some in examples:
        values, was_scaled = _raw(some, asked)
        raw.append(values)
        scaled += [some.source] if was_scaled else []
    probabilities = np.concatenate([model.probabilities(values) for values in raw])  # (N, C)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2]
    values = np.take_along_axis(probabilities, order, axis=1)
    two = order.shape[1] == 2
    return Predictions(
        sources=[some.source for some in examples for _ in range(len(some.x))],
        rows=[None if some.picture else row + 1 for some in examples for row in range(len(some.x))],
        class_names=model.class_names,
        best=order[:, 0],
        best_probability=values[:, 0],
        second=order[:, 1] if two else None,
        second_probability=values[:, 1] if two else None,
        labels=labels,
        scaled=scaled,
    )


def _codes(some: Examples, code: dict[str, int]) -> list[int | None]:
    assert some.labels is not None
    names = [str(value) for value in some.labels.tolist()]
    for name in names:
        if name not in code:
            known = ", ".join(list(code)[:12]) + (", ..." if len(code) > 12 else "")
            raise BadData(f"{some.source} has a label {name!r} that the network does not know; known: {known}")
    return [code[name] for name in names]


def _raw(some: Examples, asked: Preprocessing) -> tuple[npt.NDArray[Any], bool]:
    """Return the values on the scale that the network was trained on, and whether grey levels came as 0..1."""
    x, shape = some.x, some.x.shape[1:]
    if _essential(shape) != _essential(asked.shape) and (len(shape) > 1 or shape[0] != asked.inputs):
        raise BadData(
            f"{some.source} holds examples of {_shown(shape)} values, the network takes {_shown(asked.shape)}"
        )
    low, high = float(x.min()), float(x.max())
    if asked.divisor == GREY_LEVELS:
        if x.dtype == np.uint8:
            return x, False
        if low < 0 or high > GREY_LEVELS:
            raise BadData(
                f"{some.source} holds values from {low:g} to {high:g}; the network takes grey levels 0 .. 255, or the "
                "same as 0 .. 1"
            )
        return (x * GREY_LEVELS, True) if high <= 1 else (x, False)
    if some.picture:
        if asked.low < 0 or asked.high > GREY_LEVELS:
            raise BadData(
                f"{some.source} is a picture, and the network was trained on values from {asked.low:g} to "
                f"{asked.high:g}, which no grey level stands for; give such values as .npz or .csv"
            )
        return (x / GREY_LEVELS if asked.high <= 1 else x), False
    return x, False


def _essential(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its sizes of 1: 28x28 images may come as 28x28x1."""
    return tuple(size for size in shape if size > 1)


def _shown(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
