"""The hyperparameters that a search may draw, and what their values are by nature."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Hyperparameter(NamedTuple):
    """What a hyperparameter's values are by nature: their type and inclusive bounds (None: unbounded)."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None


HYPERPARAMETERS: Mapping[str, Hyperparameter] = {
    "lr": Hyperparameter("float", 0.0, None),
    "weight_decay": Hyperparameter("float", 0.0, None),
    "batch_size": Hyperparameter("int", 1, None),
    "hidden_units": Hyperparameter("int", 1, None),
    "hidden_layers": Hyperparameter("int", 0, None),
    "hidden": Hyperparameter("categorical"),
    "activation": Hyperparameter("categorical"),
    "initializer": Hyperparameter("categorical"),
    "optimizer": Hyperparameter("categorical"),
}
"""The names that may stand in ``[space]``."""
ALSO_CALLED: Mapping[str, str] = {
    "batch": "batch_size",
    "eta": "lr",
    "l2": "weight_decay",
    "learning_rate": "lr",
    "wd": "weight_decay",
}
"""Names that people use for them elsewhere, for messages that say which is meant."""


def hidden_sizes(text: str) -> tuple[int, ...]:
    """Hidden layer sizes from their short form: ``"100x6"`` is six layers of 100, ``"256-128"`` two layers.

    Raises:
        ValueError: The text is neither form.
    """
    sizes: list[int] = []
    for part in text.split("-"):
        match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", part.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a list of layer sizes; write 100x6, 256-128 or [256, 128]")
        sizes += [int(match[1])] * int(match[2] or 1)
    return tuple(sizes)
