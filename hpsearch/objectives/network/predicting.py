"""Predictions of a saved network, and what its file says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hpsearch.data.columns import Raw
from hpsearch.data.examples import Examples
from hpsearch.data.preprocessing import GREY_LEVELS, SCALES, Table
from hpsearch.errors import BadData
from hpsearch.nn import parameter_count
from hpsearch.statistics import Interval, wilson
from hpsearch.text import counted, listed, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hpsearch.data.preprocessing import Preprocessing
    from hpsearch.nn import Model


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Classes by example, in the order of the files and of their rows."""

    columns: Mapping[str, list[Any]]  # a row an example, and only the columns that hold anything
    labelled: int  # how many examples have a label
    hits: int  # how many of those are classified right
    scaled: Sequence[str]  # files of floats within 0..1, taken as grey levels that are divided by 255 already

    def accuracy(self) -> tuple[float, Interval]:
        """Return the share of labelled examples that are classified right, and its Wilson interval."""
        interval = wilson(self.hits, self.labelled)
        return self.hits / self.labelled, interval


def predict(model: Model, examples: Sequence[Examples]) -> Predictions:
    """Classify examples from one file or several.

    Raises:
        BadData: Examples of another size, values that the network never saw the like of, or a label that it does not
            know.
        BadInput: A network whose file does not say how raw values become inputs, or sums that overflow.
    """
    takes, names = model.takes(), model.class_names
    labels = [label for part in examples for label in _labels(part, names)]
    raw, of_parts = [], []
    for part in examples:
        try:
            raw.append(_raw(part, takes))
            of_parts.append(model.probabilities(raw[-1][0]))
        except BadData as error:
            raise BadData(f"{part.source}: {error}") from error
    probabilities = np.concatenate(of_parts)  # (N, C)
    order = np.argsort(-probabilities, axis=1, kind="stable")  # of equally probable classes the first comes first
    columns: dict[str, list[Any]] = {"file": [part.source for part in examples for _ in range(len(part.x))]}
    rows = [None if part.picture else row for part in examples for row in range(1, len(part.x) + 1)]
    if any(rows):
        columns["row"] = rows
    for rank, name, share in ((0, "predicted", "probability"), (1, "next", "next_probability")):
        columns[name] = [names[code] for code in order[:, rank].tolist()]
        columns[share] = np.take_along_axis(probabilities, order, axis=1)[:, rank].tolist()
    right = [None if label is None else label == best for label, best in zip(labels, columns["predicted"], strict=True)]
    labelled = len(right) - right.count(None)
    if labelled:
        columns |= {"label": labels, "right": right}
    scaled = [part.source for part, (_, was_scaled) in zip(examples, raw, strict=True) if was_scaled]
    return Predictions(columns, labelled, right.count(True), scaled)


def _labels(part: Examples, names: Sequence[str]) -> Sequence[str | None]:
    if part.labels is None:
        return [None] * len(part.x)
    labels = [str(value) for value in part.labels.tolist()]
    if unknown := sorted(set(labels) - set(names)):
        raise BadData(
            f"{part.source} has a label {unknown[0]!r} that the network does not know; known: {listed(names, 12)}"
        )
    return labels


def _array(x: Raw, takes: Preprocessing) -> npt.NDArray[Any]:
    """Return examples as an array; of a frame the columns that the network takes, each in the place that it had."""
    if isinstance(x, np.ndarray):
        return x
    names = tuple(map(str, x.columns))
    table = takes.table or Table(names, tuple(range(len(names))), ())
    rows = np.full((len(x), math.prod(takes.shape) if takes.table and table.names else len(names)), np.nan)
    rows[:, table.numbers] = table.cells(x)[0]
    return rows


def _raw(part: Examples, takes: Preprocessing) -> tuple[Raw, bool]:
    """Return the values on the scale that the network was trained on, and whether grey levels came as 0..1."""
    table = takes.table
    if table is not None and table.texts:
        if isinstance(part.x, np.ndarray):
            raise BadData("numbers alone, and the network takes a table with columns of texts")
        return part.x, False
    x = _array(part.x, takes)
    shape = x.shape[1:]
    if _essential(shape) != _essential(takes.shape) and (len(shape) > 1 or shape[0] != math.prod(takes.shape)):
        raise BadData(f"examples of {_shape_words(shape)} values; the network takes {_shape_words(takes.shape)}")
    present = x[~np.isnan(x)]
    if table is None and present.size < x.size:
        raise BadData(f"{x.size - present.size} missing values, and the network takes none")
    low, high = (float(present.min()), float(present.max())) if present.size else (0.0, 0.0)
    if takes.grey:
        if x.dtype == np.uint8:
            return x, False
        if low < 0 or high > GREY_LEVELS:
            raise BadData(
                f"values from {low:g} to {high:g}; the network takes grey levels 0 .. 255, or the same as 0 .. 1"
            )
        return (x * GREY_LEVELS, True) if high <= 1 else (x, False)
    if part.picture:
        if takes.low < 0 or takes.high > GREY_LEVELS:
            raise BadData(
                f"a picture, and the network was trained on values from {takes.low:g} to {takes.high:g}, which no "
                "grey level stands for; give such values as .npz or .csv"
            )
        most = takes.scale[0] if takes.method == "divide" else 1.0
        return (x / GREY_LEVELS * most if takes.high <= max(most, 1) else x), False
    return x, False


def _essential(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape without its sizes of 1: 28x28 images may come as 28x28x1."""
    return tuple(size for size in shape if size > 1)


def _shape_words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def reading(model: Model) -> dict[str, Any]:
    """Return ``[data]``'s header, encoding and resize that it was trained with; None where its file does not say."""
    about = model.about.get("data")
    given = about if isinstance(about, dict) else {}
    kinds: dict[str, type] = {"header": bool, "encoding": str, "resize": int}
    return {name: value if type(value := given.get(name)) is kind else None for name, kind in kinds.items()}


def plain(model: Model) -> dict[str, Any]:
    """Return all but the weights, as JSON-able data."""
    network = model.network
    return {
        "sizes": list(network.sizes),
        "activation": network.activation,
        "batch_norm": network.batch_norm,
        "dtype": network.dtype.name,
        "parameters": parameter_count(network.sizes, batch_norm=network.batch_norm),
        "preprocessing": None if model.preprocessing is None else model.preprocessing.plain(),
        "class_names": list(model.class_names),
        "about": dict(model.about),
        "versions": dict(model.versions),
    }


def headline(model: Model) -> str:
    """Return the architecture in a line."""
    network = model.network
    words = ["-".join(map(str, network.sizes)), network.activation, *(["batch norm"] if network.batch_norm else [])]
    count = parameter_count(network.sizes, batch_norm=network.batch_norm)
    return f"{', '.join(words)}, {network.dtype.name}, {counted(count, 'parameter')}"


def facts(model: Model) -> dict[str, str]:
    """Return its inputs, outputs and origin in words, by name."""
    words = {"inputs": _inputs(model)}
    if model.preprocessing is not None and model.preprocessing.table is not None:
        words |= {f"inputs ({i})": str(text) for i, text in enumerate(model.preprocessing.sentences(), 1)}
    words["classes"] = printable(", ".join(model.class_names))
    # Scores and names first, then sections such as the settings.
    about = dict(sorted(model.about.items(), key=lambda item: isinstance(item[1], dict)))
    for name, value in _flattened(about):
        words[printable(name)] = printable(value)
    if model.versions:
        words["written by"] = printable(", ".join(f"{name} {version}" for name, version in model.versions.items()))
    return words


def _inputs(model: Model) -> str:
    takes = model.preprocessing
    if takes is None:
        return f"{model.network.sizes[0]}; the file does not say how raw values become these"
    shape = "x".join(map(str, takes.shape))
    scaled = {"none": "", "divide": f", divided by {takes.scale[0]:g}"}.get(takes.method, f", {SCALES[takes.method]}")
    return printable(f"{shape} {takes.dtype} from {takes.low:g} to {takes.high:g}{scaled}")


def _flattened(about: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested objects as ``settings.lr``; what is null is left out."""
    for name, value in about.items():
        match value:
            case None:
                continue
            case dict():
                yield from _flattened(value, f"{before}{name}.")
            case list():
                yield before + name, ", ".join(map(_shown, value))
            case _:
                yield before + name, _shown(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
