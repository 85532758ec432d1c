"""The structure of a network, which trials must have in common to train together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.nn import parameter_count
from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS, hidden_sizes
from hpsearch.space import Categorical, Space, contains

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANY = 8
"""Stands for any larger number of structures."""


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
        """Of one lane."""
        return parameter_count(self.sizes, batch_norm=self.batch_norm)


def structure_of(value: Mapping[str, Any], *, inputs: int, classes: int) -> Structure:
    """Return the structure of a trial's network.

    Args:
        value: All hyperparameters by name, sampled or fixed.
        inputs: Of the network.
        classes: Its outputs.
    """
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
    for name, parameter in space.items():
        if not _is_structural(name):
            continue
        if not isinstance(parameter, Categorical):
            corner[name] = parameter.high
        elif name == "hidden":
            corner[name] = max(
                parameter.choices, key=lambda choice: parameter_count([1, *hidden_of({"hidden": choice}), 1])
            )
        elif all(isinstance(choice, int | float) for choice in parameter.choices):
            corner[name] = max(parameter.choices)
        else:
            corner[name] = parameter.choices[0]
    return corner


def structures(space: Space) -> int:
    """Return how many structures the space holds; 8 stands for many."""
    count = 1
    for name, parameter in space.items():
        if name == "dropout":
            count *= 2 if contains(parameter, 0.0) else 1
        elif not _is_structural(name):
            continue
        elif isinstance(parameter, Categorical):
            count *= len(parameter.choices)
        else:
            count *= int(parameter.high - parameter.low) + 1
    return min(count, _MANY)
