"""The fixed settings of a study file in words: those that are not sampled and have an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS
from hpsearch.space import possible, shown
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hpsearch.objectives.network.sections import NetworkSections
    from hpsearch.space import Space

_NETWORK = ("activation", "initializer", "init_std", "init_value", "batch_norm", "dropout")
_TRAINING = (
    *("optimizer", "momentum", "rho", "beta1", "beta2", "eps", "lr", "weight_decay"),
    *("lr_schedule", "lr_decay", "lr_decay_epochs", "warmup_epochs", "batch_size"),
)
_NOTHING = (
    *(("batch_norm", False), ("dropout", 0.0), ("eps", None)),
    *(("weight_decay", 0.0), ("lr_schedule", "constant"), ("warmup_epochs", 0.0)),
)
"""What goes without saying."""
_BY_VALUE = ("activation", "initializer", "optimizer")
"""Hyperparameters whose values say of themselves what they are."""


def network_words(sections: NetworkSections, space: Space) -> str:
    """Return the network's settings, but for its sizes: ``relu, he, dropout 0.2``."""
    return ", ".join(_words(sections.settings, space, _NETWORK))


def training_words(sections: NetworkSections, space: Space) -> str:
    """Return the training's settings: ``adam, beta1 0.9, beta2 0.999, lr 0.001, batch_size 100, 50 epochs``."""
    scored = ["whole training set scored"] if sections.training.evaluate_train else []
    return ", ".join([*_words(sections.settings, space, _TRAINING), counted(sections.epochs, "epoch"), *scored])


def _words(settings: Mapping[str, Any], space: Space, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        value, used_by = settings[name], HYPERPARAMETERS[name].used_by
        idle = used_by and not set(used_by.values) & set(possible(used_by.name, space, settings))
        if name in space or idle or (name, value) in _NOTHING:
            continue
        if name in _BY_VALUE:
            yield value
        else:
            yield name if value is True else f"{name} {shown(value)}"
