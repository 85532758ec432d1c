"""The network as a kind of objective: its hyperparameters, their bounds and other names, and light facts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.objectives.base import HeldOut, Hyperparameter, UsedBy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from hpsearch.objectives.base import CurveSign, Runtime

MAX_LAYERS, MAX_UNITS = 1_000, 10**6


def hidden_sizes(text: str) -> tuple[int, ...]:
    """Return hidden layer sizes from their short form: ``"100x6"`` is six layers of 100, ``"256-128"`` two layers.

    Raises:
        ValueError: The text is neither form, or the layers are too many.
    """
    sizes: list[int] = []
    for part in text.split("-"):
        match = re.fullmatch(r"([1-9]\d{0,9})(?:x([1-9]\d{0,9}))?", part.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a list of layer sizes; write 100x6, 256-128 or [256, 128]")
        sizes += [int(match[1])] * min(int(match[2] or 1), MAX_LAYERS + 1)
    if len(sizes) > MAX_LAYERS or max(sizes) > MAX_UNITS:
        raise ValueError(f"{text[:40]!r} has more than {MAX_LAYERS} layers of {MAX_UNITS:,} units")
    return tuple(sizes)


def _share(used_by: UsedBy | None = None) -> Hyperparameter:
    return Hyperparameter("float", 0.0, 1.0, open_high=True, used_by=used_by)


LR_SCHEDULES = ("constant", "step", "exponential", "cosine", "inverse_time")
"""The names that ``lr_schedule`` may have: those of `hpsearch.nn.SCHEDULES`."""
_WITH_EPS = UsedBy("optimizer", ("adagrad", "rmsprop", "adam", "adamw"))
_DECAYING = UsedBy("lr_schedule", ("step", "exponential", "inverse_time"))

HYPERPARAMETERS: Mapping[str, Hyperparameter] = {  # the names that may stand in ``[space]``
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
    "hidden_units": Hyperparameter("int", 1, MAX_UNITS, structural=True),
    "hidden_layers": Hyperparameter("int", 0, MAX_LAYERS, structural=True),
    "hidden": Hyperparameter("categorical", structural=True, check=hidden_sizes),
    "activation": Hyperparameter("categorical", structural=True),
    "optimizer": Hyperparameter("categorical", structural=True),
    "batch_norm": Hyperparameter("bool", structural=True),
}
ALSO_CALLED: Mapping[str, str] = {  # names elsewhere, for messages that say which is meant
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


def uses(name: str, values: Mapping[str, Any]) -> bool:
    """Return whether a trial with these values, sampled and fixed, uses one: not ``momentum`` under ``adam``."""
    used_by = HYPERPARAMETERS[name].used_by if name in HYPERPARAMETERS else None
    return used_by is None or used_by.holds(values)


class NetworkKind:
    """The built-in network; see `hpsearch.objectives.base.Kind`."""

    name = "network"
    preload = "hpsearch.objectives.network.objective"
    evaluates = True
    retrains = True
    suggests = False
    parameters: Mapping[str, Hyperparameter] | None = HYPERPARAMETERS
    also_called = ALSO_CALLED
    curves: Mapping[str, str] = {
        "train_loss": "mean loss over the training examples while the weights moved",
        "train_accuracy": "share of the training examples that were right then, 0 to 1",
        "validation_loss": "mean loss over the validation examples after the epoch",
        "validation_accuracy": "share of the validation examples that are right after it, 0 to 1",
    }
    curve_bounds: Mapping[str, tuple[float, float] | None] = {"accuracy": (0.0, 1.0), "loss": None}
    remedies: Mapping[CurveSign, str] = {
        "overfitting": "add dropout or weight_decay or widen their ranges, take more training examples, or score "
        'the best epoch (at = "best")',
        "unstable": "lower the upper end of lr, add warmup_epochs, or look for a bug",
        "improving": "raise epochs, or the upper end of lr",
        "saturated": "lower epochs, and run more trials in the same time",
        "unsteady": "let lr decay (lr_schedule), take a larger batch_size, or more validation examples",
    }

    def sections(self) -> type[BaseModel]:
        from hpsearch.objectives.network.sections import NetworkSections  # pydantic: quick commands do without

        return NetworkSections

    def runtime(self) -> Runtime:
        from hpsearch.objectives.network import runtime  # NumPy: quick commands and reading a study file do without

        return runtime

    def settings(self, plain: Mapping[str, Any]) -> dict[str, Any] | None:
        return {**plain.get("network", {}), **plain.get("training", {})} or None

    def kept(self, plain: Mapping[str, Any]) -> Mapping[str, Any]:
        data = plain.get("data")
        if isinstance(data, dict) and "scale" not in data:  # of hpsearch 0.2
            return {**plain, "data": {**data, "scale": "type"}}
        return plain

    def epochs(self, plain: Mapping[str, Any]) -> int | None:
        epochs = plain.get("training", {}).get("epochs")
        return epochs if isinstance(epochs, int) else None

    def trained_epochs(self, plain: Mapping[str, Any]) -> int | None:
        return self.epochs(plain)

    def with_epochs(self, plain: Mapping[str, Any], epochs: int) -> dict[str, Any]:
        return {**plain, "training": {**plain["training"], "epochs": epochs}}

    def uses(self, name: str, values: Mapping[str, Any]) -> bool:
        return uses(name, values)

    def scored_at(self, plain: Mapping[str, Any]) -> Literal["last", "best"] | None:
        return "best" if plain.get("objective", {}).get("at") == "best" else "last"

    def examples(self, plain: Mapping[str, Any], sizes: Mapping[str, int]) -> int | None:
        share = plain.get("objective", {}).get("metric") == "validation_accuracy"
        return sizes.get("validation") or None if share else None

    def held_out(self, record: Mapping[str, Any]) -> HeldOut | None:
        if "accuracy" not in record:
            return None
        low, high = record.get("interval") or (None, None)
        level = record.get("level")
        return HeldOut("accuracy", record["accuracy"], record["images"], record["hits"], low, high, level)

    def held_out_record(self, score: HeldOut) -> dict[str, Any]:
        return {
            "images": score.examples,
            "hits": score.hits,
            "accuracy": score.score,
            "interval": [score.low, score.high],
            "level": score.level,
        }

    def template(self, search: str, data: Mapping[str, Any] | None = None) -> str:
        text = Path(__file__).with_name("template.toml").read_text(encoding="utf-8").replace("{name}", search)
        if data is not None:
            text = text.replace('name = "mnist-10k"  ', '# name = "mnist-10k"')
        for key, value in (data or {}).items():
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"  # a string of JSON is one of TOML
            head, old, tail = re.split(rf"(?m)^((?:# )?{key} = \S+ *)", text, maxsplit=1)
            text = f"{head}{line.ljust(len(old) - 1)} {tail}"
        return text
