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
from hpsearch.objectives.network.build import check_names
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.objectives.network.train_once import Trained, train_once, with_values
from hpsearch.objectives.network.words import network_words, training_words
from hpsearch.records import Trial
from hpsearch.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

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
    words = network_words(sections, space)
    source = sections.data.name or sections.data.path or "mnist-10k"
    return Estimate(
        lanes,
        seconds,
        facts,
        {
            "data": f"{source}: {train} train, {validation} validation, {counted(data.x_train.shape[1], 'input')}, "
            f"{counted(data.classes, 'class')}",
            "network": f"{'-'.join(map(str, structure.sizes))}, {parameters:,} parameters{words and f'; {words}'}",
            "training": training_words(sections, space),
            "objective": f"{sections.direction} {sections.metric} at the {sections.objective.at} epoch",
            "a trial": f"{flops / 1e9:.3g} GFLOP, about {seconds:.2g} s in one process",
        },
    )


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
