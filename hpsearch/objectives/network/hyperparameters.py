"""The hyperparameters of a network: their natural bounds, and the names that people use for them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hpsearch.objectives.base import Hyperparameter, UsedBy

if TYPE_CHECKING:
    from collections.abc import Mapping


def hidden_sizes(text: str) -> tuple[int, ...]:
    """Return hidden layer sizes from their short form: ``"100x6"`` is six layers of 100, ``"256-128"`` two layers.

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


def _share(used_by: UsedBy | None = None) -> Hyperparameter:
    return Hyperparameter("float", 0.0, 1.0, open_high=True, used_by=used_by)


LR_SCHEDULES = ("constant", "step", "exponential", "cosine", "inverse_time")
"""The names that ``lr_schedule`` may have: those of `hpsearch.nn.SCHEDULES`."""
_WITH_EPS = UsedBy("optimizer", ("adagrad", "rmsprop", "adam", "adamw"))
_DECAYING = UsedBy("lr_schedule", ("step", "exponential", "inverse_time"))

HYPERPARAMETERS: Mapping[str, Hyperparameter] = {
    "lr": Hyperparameter("float", 0.0),
    "weight_decay": Hyperparameter("float", 0.0),
    "momentum": _share(UsedBy("optimizer", ("momentum", "nesterov"))),
    "rho": _share(UsedBy("optimizer", ("rmsprop",))),
    "beta1": _share(UsedBy("optimizer", ("adam", "adamw"))),
    "beta2": _share(UsedBy("optimizer", ("adam", "adamw"))),
    "eps": Hyperparameter("float", 0.0, open_low=True, used_by=_WITH_EPS),
    "dropout": _share(),
    "init_std": Hyperparameter("float", 0.0, open_low=True, used_by=UsedBy("initializer", ("normal",))),
    "init_value": Hyperparameter("float", used_by=UsedBy("initializer", ("constant",))),
    "lr_decay": Hyperparameter("float", 0.0, 1.0, open_low=True, used_by=_DECAYING),
    "lr_decay_epochs": Hyperparameter("float", 0.0, open_low=True, used_by=_DECAYING),
    "warmup_epochs": Hyperparameter("float", 0.0),
    "initializer": Hyperparameter("categorical"),
    "lr_schedule": Hyperparameter("categorical", known=LR_SCHEDULES),
    "batch_size": Hyperparameter("int", 1, structural=True),
    "hidden_units": Hyperparameter("int", 1, structural=True),
    "hidden_layers": Hyperparameter("int", 0, structural=True),
    "hidden": Hyperparameter("categorical", structural=True, check=hidden_sizes),
    "activation": Hyperparameter("categorical", structural=True),
    "optimizer": Hyperparameter("categorical", structural=True),
    "batch_norm": Hyperparameter("bool", structural=True),
}
"""The names that may stand in ``[space]``."""
ALSO_CALLED: Mapping[str, str] = {
    "activation_function": "activation",
    "alpha": "rho",
    "b1": "beta1",
    "b2": "beta2",
    "batch": "batch_size",
    "batch_normalization": "batch_norm",
    "batchnorm": "batch_norm",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "bn": "batch_norm",
    "decay_epochs": "lr_decay_epochs",
    "decay_rate": "rho",
    "drop_rate": "dropout",
    "dropout_rate": "dropout",
    "dropout_ratio": "dropout",
    "epsilon": "eps",
    "eta": "lr",
    "gamma": "lr_decay",
    "init": "initializer",
    "l2": "weight_decay",
    "learning_rate": "lr",
    "learning_rate_decay": "lr_decay",
    "learning_rate_schedule": "lr_schedule",
    "lr_scheduler": "lr_schedule",
    "mini_batch_size": "batch_size",
    "optim": "optimizer",
    "schedule": "lr_schedule",
    "scheduler": "lr_schedule",
    "std": "init_std",
    "step_size": "lr_decay_epochs",
    "use_batchnorm": "batch_norm",
    "warm_up": "warmup_epochs",
    "warmup": "warmup_epochs",
    "wd": "weight_decay",
    "weight_decay_lambda": "weight_decay",
    "weight_init": "initializer",
    "weight_init_std": "init_std",
}
"""Names that people use for them elsewhere, for messages that say which is meant."""


def uses(name: str, values: Mapping[str, Any]) -> bool:
    """Return whether a trial with these values, sampled and fixed, uses one: not ``momentum`` under ``adam``."""
    used_by = HYPERPARAMETERS[name].used_by if name in HYPERPARAMETERS else None
    return used_by is None or used_by.holds(values)
