"""Small networks as they are kept: after some training steps, and over images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hpsearch.data.preprocessing import Preprocessing
from hpsearch.nn import Network, Purpose, lane_rngs, save

GREY = Preprocessing((2, 3))  # grey levels of 2x3 pixels


def network(
    lanes: int = 1,
    *,
    sizes: tuple[int, ...] = (6, 5, 4, 3),
    activation: str = "tanh",
    batch_norm: bool = True,
    dropout: float | None = 0.5,
    dtype: str = "float32",
) -> Network:
    """Networks whose biases and running statistics are no longer those of the start."""
    rngs = lane_rngs(0, range(lanes), Purpose.DROPOUT) if dropout else ()
    made = Network(
        sizes,
        rngs=lane_rngs(0, range(lanes), Purpose.WEIGHTS),
        activation=activation,
        batch_norm=batch_norm,
        dropout=dropout,
        dropout_rngs=rngs,
        dtype=dtype,
    )
    rng = np.random.default_rng(1)
    for layer in made.parameters:
        for name in ("bias", "gamma", "beta"):
            if name in layer:
                layer[name][...] = rng.uniform(0.5, 1.5, layer[name].shape)
    for _ in range(3):
        made.forward(rng.standard_normal((lanes, 8, sizes[0])).astype(dtype))
    return made


def saved(path: Path, **options: Any) -> Path:
    """A file with such a network over grey levels, its classes called a, b and c."""
    save(network(**options), path, about={"study": "tiny"}, preprocessing=GREY, class_names=["a", "b", "c"])
    return path
