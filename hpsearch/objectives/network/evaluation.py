"""A network's score on the test set, and its mistakes there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpsearch.data.preprocessing import Preprocessing
from hpsearch.nn import Model
from hpsearch.objectives.base import HeldOut
from hpsearch.statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go
    from numpy.typing import NDArray

    from hpsearch.data import Split
    from hpsearch.data.splits import Floats, Labels
    from hpsearch.objectives.network.runtime import Trained

_MOST_CLASSES = 12  # more columns than this do not fit a line of 80 characters
_WIDEST = 5  # of a class's name in a heading, in characters
_MOST_PAIRS = 15


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test example that was classified wrong."""

    index: int  # its place in the test set, from 0
    label: int  # its class
    prediction: int  # the predicted class
    probability: float  # of that class, by the network


@dataclass(frozen=True, slots=True, eq=False)
class NetworkEvaluation:
    """The result of an evaluation; see `hpsearch.objectives.base.Evaluation`."""

    score: HeldOut  # the accuracy
    confusion: NDArray[np.int64]  # (C, C) counts, label by row and prediction by column
    # the examples classified wrong, the most confident first; None of a model whose probabilities are not known
    mistakes: tuple[Mistake, ...] | None
    inputs: NDArray[np.float32]  # (T, D) the test examples as the network sees them
    class_names: tuple[str, ...]  # the C label values
    shape: tuple[int, ...]  # of one raw example

    def table(self) -> dict[str, list[Any]]:
        """Return the confusion matrix in 80 columns; see `confusion_table`."""
        return confusion_table(self.confusion.tolist(), self.class_names)

    def figure(self, name: str, *, title: str) -> go.Figure:
        """Return a figure: ``plot``, the confusion matrix, or ``mistakes``, the most confident ones as pictures."""
        from hpsearch.objectives.network import figures  # Plotly, which workers and quick commands do without

        if name == "plot":
            return figures.confusion_figure(self.confusion, self.class_names, title=title)
        worst = (self.mistakes or ())[: figures.MOST_MISTAKES]
        return figures.mistakes_figure(worst, self.inputs, self.shape, self.class_names, title=title)

    @property
    def facts(self) -> dict[str, Any]:
        """Return everything but the inputs, as JSON-able data."""
        return {
            "class_names": list(self.class_names),
            "confusion": self.confusion.tolist(),
            "mistakes": [asdict(mistake) for mistake in self.mistakes or ()],
        }


def score(trained: Trained, split: Split, x: Floats, labels: Labels) -> NetworkEvaluation:
    """Score a network on the test set, features (T, D) and classes (T,); ``split`` is what it was trained on."""
    # The preprocessing has been applied to these features already.
    ready = Preprocessing((x.shape[1],), "float32", method="none", scale=(1.0,))
    probabilities = Model(trained.network, ready, split.class_names).probabilities(x)
    predictions = probabilities.argmax(axis=1)
    hits = int(np.sum(predictions == labels))
    interval = wilson(hits, len(labels))
    return NetworkEvaluation(
        HeldOut("accuracy", hits / len(labels), len(labels), hits, interval.low, interval.high, interval.level),
        confusion(labels, predictions, split.classes),
        mistakes(labels, probabilities),
        x,
        split.class_names,
        split.preprocessing.shape,
    )


def confusion(labels: NDArray[np.integer], predictions: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """Return a confusion matrix: (C, C) counts, label by row and prediction by column."""
    pairs = labels.astype(np.int64) * classes + predictions
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def mistakes(labels: NDArray[np.integer], probabilities: NDArray[np.float64]) -> tuple[Mistake, ...]:
    """Return the examples classified wrong, the most confident first; of equally confident ones the earlier."""
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != labels)
    confidence = probabilities[wrong, predictions[wrong]]
    return tuple(
        Mistake(int(wrong[i]), int(labels[wrong[i]]), int(predictions[wrong[i]]), float(confidence[i]))
        for i in np.argsort(-confidence, kind="stable")
    )


def confusion_table(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return a confusion matrix, (C, C) counts with label by row, in 80 columns.

    Where it fits, that is the whole matrix, with the share of each class that was right; otherwise the pairs of
    classes that were confused most often.
    """
    if len(names) <= _MOST_CLASSES and max(map(len, names)) <= _WIDEST:
        # No zeros: mistakes stand out.
        table: dict[str, list[Any]] = {"label": list(names)}
        table |= {name: [row[column] or None for row in matrix] for column, name in enumerate(names)}
        shares = [f"{row[at] / sum(row):.0%}" if sum(row) else None for at, row in enumerate(matrix)]
        return table | {"right": shares}
    pairs = [
        (-count, label, prediction)
        for label, row in enumerate(matrix)
        for prediction, count in enumerate(row)
        if label != prediction and count
    ]
    worst = sorted(pairs)[:_MOST_PAIRS]
    return {
        "label": [names[label] for _, label, _ in worst],
        "predicted as": [names[prediction] for _, _, prediction in worst],
        "examples": [-count for count, *_ in worst],
        "of the label's": [sum(matrix[label]) for _, label, _ in worst],
    }
