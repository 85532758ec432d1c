"""The runtime of the network kind: data, objective, the cost of a trial, evaluation.

Satisfies `hpsearch.objectives.base.Runtime`.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch import data as data_sets
from hpsearch import samplers
from hpsearch.data import Split, splits
from hpsearch.errors import BadData
from hpsearch.nn import Epoch, parameter_count
from hpsearch.objectives.base import Estimate
from hpsearch.objectives.network import evaluation
from hpsearch.objectives.network.hyperparameters import HYPERPARAMETERS
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.objectives.network.structure import check_names
from hpsearch.objectives.network.train_once import Trained, train_once, with_values
from hpsearch.records import Trial
from hpsearch.space import possible, shown
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hpsearch.data import Dataset
    from hpsearch.data.splits import Floats, Labels
    from hpsearch.objectives.network.sections import NetworkSections
    from hpsearch.space import Space

__all__ = ["check", "estimate", "evaluate", "fit", "held_out", "load", "objective", "with_values"]

_PROBE_EPOCHS = 2


def check(sections: NetworkSections, space: Space) -> None:
    """Check that all activations, initialisers, optimizers and schedules exist."""
    check_names(sections.settings, space)


def load(sections: NetworkSections, *, data_dir: Path | None = None) -> Split:
    """Load the training and validation data."""
    return data_sets.split(_dataset(sections, data_dir), **_parts(sections))


def load_test(sections: NetworkSections, *, data_dir: Path | None = None) -> tuple[Floats, Labels]:
    """Load the test set, features (T, D) and classes (T,). `evaluate` alone may call this."""
    return splits.test_part(_dataset(sections, data_dir), **_parts(sections))


def _dataset(sections: NetworkSections, data_dir: Path | None) -> Dataset:
    section = sections.data
    path = None if section.path is None else Path(section.path)
    return data_sets.load(section.name, path=path, label=section.label, data_dir=data_dir)


def _parts(sections: NetworkSections) -> dict[str, Any]:
    return {name: getattr(sections.data, name) for name in ("train", "validation", "test", "seed", "stratify")}


def objective(sections: NetworkSections, data: Split, *, seed: int, space: Space) -> NetworkObjective:
    """Return the objective of a stage."""
    return NetworkObjective.of(sections, data, seed=seed, space=space)


def estimate(sections: NetworkSections, data: Split, *, seed: int, space: Space, lanes: int) -> Estimate:
    """Time one batch of the space's largest networks for a few epochs."""
    made = objective(sections, data, seed=seed, space=space)
    structure = made.largest()
    lanes = min(made.lanes(), lanes)
    epochs: int = made.settings["epochs"]
    probe = replace(made, settings={**made.settings, "epochs": min(_PROBE_EPOCHS, epochs)})
    largest = made.largest_values()
    trials = [
        Trial(number, number, samplers.values(space, seed=seed, number=number) | largest) for number in range(lanes)
    ]
    began = time.perf_counter()
    for _ in probe.evaluate(trials):
        pass
    seconds = (time.perf_counter() - began) / lanes * epochs / min(_PROBE_EPOCHS, epochs)
    parameters, flops = parameter_count(structure.sizes), made.flops(structure)
    train, validation = len(data.x_train), len(data.x_validation)
    facts = {
        "train": train,
        "validation": validation,
        "inputs": data.x_train.shape[1],
        "classes": data.classes,
        "sizes": list(structure.sizes),
        "parameters": parameters,
        "flops_per_trial": flops,
    }
    words = _network_words(sections, space)
    source = sections.data.name or sections.data.path or "mnist-10k"
    return Estimate(
        lanes,
        seconds,
        facts,
        {
            "data": f"{source}: {train} train, {validation} validation, {counted(data.x_train.shape[1], 'input')}, "
            f"{counted(data.classes, 'class')}",
            "network": f"{'-'.join(map(str, structure.sizes))}, {parameters:,} parameters{words and f'; {words}'}",
            "training": _training_words(sections, space),
            "objective": f"{sections.direction} {sections.metric} at the {sections.objective.at} epoch",
            "a trial": f"{flops / 1e9:.3g} GFLOP, about {seconds:.2g} s in one process",
        },
    )


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


def _network_words(sections: NetworkSections, space: Space) -> str:
    """Return the network's settings, but for its sizes: ``relu, he, dropout 0.2``."""
    return ", ".join(_words(sections.settings, space, _NETWORK))


def _training_words(sections: NetworkSections, space: Space) -> str:
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


def held_out(sections: NetworkSections, data: Split) -> int:
    """Return the number of test examples, none of which is read."""
    if not data.test_examples:
        raise BadData(
            f"there is no test set: [data] says test = {sections.data.test or 0} and the data set has no test part of "
            "its own; a search whose study file keeps some can be evaluated"
        )
    return data.test_examples


def fit(
    sections: NetworkSections, data: Split, *, seed: int, on_epoch: Callable[[Epoch], None] | None = None
) -> Trained:
    """Train a network on the training and validation examples together."""
    return train_once(sections, evaluation.everything(data), seed=seed, on_epoch=on_epoch)


def evaluate(
    fitted: Trained, sections: NetworkSections, data: Split, *, data_dir: Path | None = None
) -> evaluation.NetworkEvaluation:
    """Read the test set and score a network on it."""
    x, labels = load_test(sections, data_dir=data_dir)
    return evaluation.score(fitted, data, x, labels)
