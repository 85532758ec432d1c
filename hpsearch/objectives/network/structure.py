"""Structures of networks from hyperparameters, and batches of lanes of one structure."""

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
    parameter_count,
)
from hpsearch.objectives.network.kind import HYPERPARAMETERS, hidden_sizes
from hpsearch.space import Categorical, Parameter, Space, contains, delivered_as, possible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_MANY = 8  # stands for any larger number of structures


class Structure(NamedTuple):
    """The structure that all lanes of a batch have in common."""

    sizes: tuple[int, ...]
    activation: str
    batch_norm: bool
    dropout: bool
    optimizer: str
    batch_size: int

    @property
    def parameters(self) -> int:
        """The number of parameters of one lane."""
        return parameter_count(self.sizes, batch_norm=self.batch_norm)


def structure_of(value: Mapping[str, Any], *, inputs: int, classes: int) -> Structure:
    """Return the structure of a network with these hyperparameters, sampled and fixed."""
    return Structure(
        sizes=(inputs, *hidden_of(value), classes),
        activation=value["activation"],
        batch_norm=value["batch_norm"],
        dropout=value["dropout"] > 0,
        optimizer=value["optimizer"],
        batch_size=value["batch_size"],
    )


def hidden_of(value: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the sizes of the hidden layers: sampled or fixed, as a list, in short form, or as depth and width."""
    hidden = value.get("hidden")
    if isinstance(hidden, str | int):  # a choice such as 50 stands for one layer, as "50" does
        return hidden_sizes(str(hidden))
    if hidden is not None:
        return tuple(hidden)
    if value.get("hidden_units") is None:
        return ()
    units: int = value["hidden_units"]
    layers: int = value["hidden_layers"]
    return (units,) * layers


def _is_structural(name: str) -> bool:
    # Of dropout it is structural only whether there is any.
    return HYPERPARAMETERS[name].structural or name == "dropout"


def largest_values(space: Space) -> dict[str, Any]:
    """Return values of the sampled structural hyperparameters that make the largest network."""
    corner: dict[str, Any] = {}
    for name, parameter in _delivered(space).items():
        if not _is_structural(name):
            continue
        if not isinstance(parameter, Categorical):
            corner[name] = parameter.high
        elif name == "hidden":
            corner[name] = max(
                parameter.choices, key=lambda choice: parameter_count([1, *hidden_of({"hidden": choice}), 1])
            )
        else:
            numbers = [choice for choice in parameter.choices if isinstance(choice, int | float)]
            corner[name] = max(numbers) if len(numbers) == len(parameter.choices) else parameter.choices[0]
    return corner


def _delivered(space: Space) -> Space:
    """Return a space by the names of hyperparameters: of ranges per value of another one, the first that is largest."""
    largest: dict[str, Parameter] = {}
    for name, parameter in space.items():
        known = largest.setdefault(delivered_as(name, parameter), parameter)
        if (
            not isinstance(parameter, Categorical)
            and not isinstance(known, Categorical)
            and parameter.high > known.high
        ):
            largest[delivered_as(name, parameter)] = parameter
    return largest


def structures(space: Space) -> int:
    """Return about how many structures the space holds; 8 stands for many."""
    count = 1
    for name, parameter in _delivered(space).items():
        if name == "dropout":
            count *= 2 if contains(parameter, 0.0) else 1
        elif not _is_structural(name):
            continue
        elif isinstance(parameter, Categorical):
            count *= len(parameter.choices)
        else:
            count *= int(parameter.high - parameter.low) + 1
    return min(count, _MANY)


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
    """Check that all activations, initialisers, optimizers and schedules that are fixed or may be sampled exist.

    Raises:
        BadInput: One that is not known.
    """
    for name, registry in _REGISTRIES.items():
        for value in possible(name, space, settings):
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
    optimizers = OPTIMIZERS[structure.optimizer]
    # A value of None leaves the optimizer's own default: Adam's eps is not AdaGrad's.
    given = {name: [value[name] for value in values] for name in optimizers.hyperparameters}
    optimizer = optimizers(**{name: column for name, column in given.items() if None not in column})
    schedules = [
        Schedule(value["lr_schedule"], value["lr_decay"], value["lr_decay_epochs"], value["warmup_epochs"])
        for value in values
    ]
    rngs = [lane_rng(seed, 0, Purpose.ORDER)] * len(numbers)
    if orders is not None:
        rngs = lane_rngs(seed, orders, Purpose.ORDER)
    return Lanes(network, optimizer, schedules, rngs)
