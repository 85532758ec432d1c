"""From hyperparameters to what trains: networks, optimizer, schedules and generators of a batch of lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hpsearch.errors import BadInput, nearest
from hpsearch.nn import (
    ACTIVATIONS,
    INITIALIZERS,
    OPTIMIZERS,
    SCHEDULES,
    Inputs,
    Network,
    Optimizer,
    Purpose,
    Schedule,
    initializer,
    lane_rng,
    lane_rngs,
)
from hpsearch.space import Categorical, Space

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.objectives.network.structure import Structure

_REGISTRIES: Mapping[str, Mapping[str, Any]] = {
    "activation": ACTIVATIONS,
    "initializer": INITIALIZERS,
    "optimizer": OPTIMIZERS,
    "lr_schedule": SCHEDULES,
}


class Lanes(NamedTuple):
    """The arguments of `hpsearch.nn.train` for trials that train together."""

    network: Network
    optimizer: Optimizer
    schedules: list[Schedule]
    rngs: list[np.random.Generator]


def check_names(settings: Mapping[str, Any], space: Space) -> None:
    """Check that all activations, initialisers, optimizers and schedules that are fixed or may be drawn exist.

    Raises:
        BadInput: One that is not known.
    """
    for name, registry in _REGISTRIES.items():
        parameter = space.get(name)
        asked = parameter.choices if isinstance(parameter, Categorical) else (settings[name],)
        for value in asked:
            if value not in registry:
                raise BadInput(f"no {name} {value!r}{nearest(str(value), registry)}")


def build(
    structure: Structure,
    values: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    *,
    seed: int,
    orders: Sequence[int] | None = None,
    inputs: Inputs | None = None,
    dtype: str,
) -> Lanes:
    """Make ready the lanes of trials of one structure.

    Args:
        structure: Of all of them.
        values: All hyperparameters of each trial, by name.
        numbers: The trials' numbers, which with ``seed`` give weights and dropout masks.
        seed: The stage's, which alone gives the order of samples: trials are compared on the same mini-batches, which
            are gathered once for all lanes.
        orders: Or a number for each trial, which with ``seed`` gives an order of its own.
        inputs: Which of the structure's inputs the data have; None for all.
        dtype: ``float32``, or ``float64`` for tests.

    Raises:
        BadInput: A name that is not known, or a value that makes no sense.
    """
    dropout = [float(value["dropout"]) for value in values] if structure.dropout else None
    sizes = structure.sizes if inputs is None else (len(inputs.kept), *structure.sizes[1:])
    network = Network(
        sizes,
        rngs=lane_rngs(seed, numbers, Purpose.WEIGHTS),
        activation=structure.activation,
        initializers=[
            initializer(value["initializer"], std=value["init_std"], value=value["init_value"]) for value in values
        ],
        batch_norm=structure.batch_norm,
        dropout=dropout,
        dropout_rngs=() if dropout is None else lane_rngs(seed, numbers, Purpose.DROPOUT),
        inputs=inputs,
        dtype=np.dtype(dtype),
    )
    kind = OPTIMIZERS[structure.optimizer]
    # A value of None leaves the optimizer's own default: Adam's eps is not AdaGrad's.
    given = {name: [value[name] for value in values] for name in kind.hyperparameters}
    optimizer = kind(**{name: column for name, column in given.items() if None not in column})
    schedules = [
        Schedule(value["lr_schedule"], value["lr_decay"], value["lr_decay_epochs"], value["warmup_epochs"])
        for value in values
    ]
    rngs = [lane_rng(seed, 0, Purpose.ORDER)] * len(numbers)
    if orders is not None:
        rngs = lane_rngs(seed, orders, Purpose.ORDER)
    return Lanes(network, optimizer, schedules, rngs)
