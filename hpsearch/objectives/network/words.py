"""A study file's fixed settings in words for people: those that are not drawn and have an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS
from hpsearch.space import Categorical, shown
from hpsearch.text import counted, either

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hpsearch.study_file import StudyFile

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


def network_words(study: StudyFile) -> str:
    """The network's settings, but for its sizes: ``relu, he, dropout 0.2``."""
    return ", ".join(_words(study, _NETWORK))


def training_words(study: StudyFile) -> str:
    """The training's settings: ``adam, beta1 0.9, beta2 0.999, lr 0.001, batch_size 100, 50 epochs``."""
    scored = ["whole training set scored"] if study.training.evaluate_train else []
    return ", ".join([*_words(study, _TRAINING), counted(study.training.epochs, "epoch"), *scored])


def only_where(study: StudyFile, name: str) -> str:
    """Of a hyperparameter that not all trials use: ``, only where optimizer is momentum or nesterov``."""
    used_by = HYPERPARAMETERS[name].used_by
    if used_by is None or used_by.name not in study.parameters:
        return ""
    return f", only where {used_by.name} is {either(used_by.values)}"


def _words(study: StudyFile, names: Iterable[str]) -> Iterable[str]:
    for name in names:
        value = study.settings[name]
        if name in study.parameters or not _matters(study, name) or (name, value) in _NOTHING:
            continue
        if name in _BY_VALUE:
            yield value
        else:
            yield name if value is True else f"{name} {shown(value)}"


def _matters(study: StudyFile, name: str) -> bool:
    """Whether some trial uses it."""
    used_by = HYPERPARAMETERS[name].used_by
    if used_by is None:
        return True
    drawn = study.parameters.get(used_by.name)
    possible = drawn.choices if isinstance(drawn, Categorical) else (study.settings[used_by.name],)
    return any(value in used_by.values for value in possible)
