"""The runtime of the network kind, as `hpsearch.objectives.base.Runtime` has it: data, objective, cost, evaluation."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from hpsearch import data as data_sets
from hpsearch import samplers
from hpsearch.data import splits
from hpsearch.data.preprocessing import Preprocessing
from hpsearch.errors import BadArgument, BadData, BadStudyFile, nearest
from hpsearch.nn import (
    ACTIVATIONS,
    INITIALIZERS,
    OPTIMIZERS,
    SCHEDULES,
    Epoch,
    History,
    Network,
    TrainingData,
    flops_per_trial,
    live_inputs,
    parameter_count,
    train,
)
from hpsearch.objectives.base import Estimate
from hpsearch.objectives.network import evaluation
from hpsearch.objectives.network.kind import ALSO_CALLED, HYPERPARAMETERS, uses
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.objectives.network.sections import NetworkSections
from hpsearch.objectives.network.structure import build, check_names, largest_values, structure_of
from hpsearch.objectives.sections import explained
from hpsearch.records import NewStage, Trial
from hpsearch.space import possible, shown
from hpsearch.text import counted, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from hpsearch.data import Dataset, Split
    from hpsearch.data.splits import Floats, Labels
    from hpsearch.space import Space, Value


__all__ = [
    "check",
    "complexity",
    "estimate",
    "evaluate",
    "fit",
    "held_out",
    "load",
    "objective",
    "retrain",
    "with_values",
]

_PROBE_EPOCHS = 2

KNOWN: Mapping[str, Iterable[str]] = {  # the names that only registries know, by section and key
    "data.name": data_sets.KNOWN,
    "network.activation": ACTIVATIONS,
    "network.initializer": INITIALIZERS,
    "training.optimizer": OPTIMIZERS,
    "training.lr_schedule": SCHEDULES,
}


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
    given = {name: getattr(section, name) for name in _OF_FILE}
    if section.scale == "type":
        given["missing"] = "error"
    return data_sets.load(section.name, path=path, data_dir=data_dir, **given)


_OF_FILE = ("label", "drop", "columns", "missing", "header", "encoding", "resize")
_OF_SPLIT = ("train", "validation", "test", "seed", "stratify", "scale", "text")


def _parts(sections: NetworkSections) -> dict[str, Any]:
    return {name: getattr(sections.data, name) for name in _OF_SPLIT}


def objective(sections: NetworkSections, data: Split, *, seed: int, space: Space, name: str = "") -> NetworkObjective:
    """Return the objective of a stage with this seed and these ranges."""
    training = TrainingData(data.x_train, data.y_train, data.x_validation, data.y_validation)
    training, inputs = live_inputs(training)
    return NetworkObjective(
        training,
        data.classes,
        seed,
        # A sampled value must not stand beside a fixed one of another form (hidden beside hidden_units).
        {name: value for name, value in sections.settings.items() if name not in space},
        space,
        sections.objective.metric,
        sections.objective.at,
        inputs,
    )


def estimate(sections: NetworkSections, data: Split, *, stage: NewStage, lanes: int) -> Estimate:
    """Time one batch of the space's largest networks for a few epochs."""
    seed, space = stage.seed, stage.space
    made = objective(sections, data, seed=seed, space=space)
    structure = made.largest()
    lanes = min(made.lanes(), lanes)
    epochs: int = made.settings["epochs"]
    probe = replace(made, settings={**made.settings, "epochs": min(_PROBE_EPOCHS, epochs)})
    largest = largest_values(space)
    trials = [
        Trial(number, number, samplers.values(space, seed=seed, number=number) | largest) for number in range(lanes)
    ]
    began = time.perf_counter()
    for _ in probe.evaluate(trials):
        pass
    seconds = (time.perf_counter() - began) / lanes * epochs / min(_PROBE_EPOCHS, epochs)
    parameters = parameter_count(structure.sizes)
    train, validation = len(data.x_train), len(data.x_validation)
    flops = flops_per_trial(structure.sizes, train=train, validation=validation, epochs=epochs)
    facts = {
        "train": train,
        "validation": validation,
        "inputs": data.x_train.shape[1],
        "classes": data.classes,
        "sizes": list(structure.sizes),
        "parameters": parameters,
        "flops_per_trial": flops,
    }
    network = ", ".join(_words(sections.settings, space, _NETWORK))
    source = sections.data.name or sections.data.path or "mnist-10k"
    return Estimate(
        lanes,
        seconds,
        facts,
        {
            "data": f"{source}: {train} train, {validation} validation, {counted(data.x_train.shape[1], 'input')}, "
            f"{counted(data.classes, 'class')}",
            "network": f"{'-'.join(map(str, structure.sizes))}, {parameters:,} parameters{network and f'; {network}'}",
            "training": _training_words(sections, space),
            "objective": f"{sections.direction} {sections.metric} at the {sections.objective.at} epoch",
            "a trial": f"{flops / 1e9:.3g} GFLOP, about {duration(seconds)} in one process",
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
"""Default settings, which the description leaves out."""
_BY_VALUE = ("activation", "initializer", "optimizer")  # hyperparameters that are shown by their values alone


def settings_words(sections: NetworkSections) -> str:
    """Return all settings but the sizes: ``relu, he, dropout 0.2, sgd, lr 0.01, batch_size 100, 50 epochs``."""
    return ", ".join([*_words(sections.settings, {}, _NETWORK), _training_words(sections, {})])


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


def complexity(values: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, float]:
    """Return the number of weights; see `hpsearch.objectives.base.Runtime.complexity`."""
    if "classes" not in facts:  # a stage of an earlier version
        return {}
    inputs = Preprocessing.from_plain(facts).inputs
    return {"weights": structure_of(values, inputs=inputs, classes=facts["classes"]).parameters}


def held_out(sections: Any, data: Any) -> int:
    """Return the number of test examples, none of which is read."""
    if not data.test_examples:
        raise BadData(
            f"there is no test set: [data] says test = {sections.data.test or 0} and the data set has no test part of "
            "its own; a search whose study file keeps some can be evaluated"
        )
    return int(data.test_examples)


def fit(
    sections: NetworkSections, data: Split, *, seed: int, on_epoch: Callable[[Epoch], None] | None = None
) -> Trained:
    """Train a network on the training and validation examples together."""
    # Scores on the validation examples mean nothing then.
    x, y = np.concatenate((data.x_train, data.x_validation)), np.concatenate((data.y_train, data.y_validation))
    return train_once(sections, replace(data, x_train=x, y_train=y), seed=seed, on_epoch=on_epoch)


def retrain(
    sections: NetworkSections,
    data: Split,
    *,
    seed: int,
    number: int,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train the network of a trial again, on the training examples alone; its scored epoch's is kept."""
    return train_once(sections, data, seed=seed, number=number, scored=True, on_epoch=on_epoch)


def evaluate(
    fitted: Trained, sections: NetworkSections, data: Split, *, data_dir: Path | None = None
) -> evaluation.NetworkEvaluation:
    """Read the test set and score a network on it."""
    x, labels = load_test(sections, data_dir=data_dir)
    return evaluation.score(fitted, data, x, labels)


_HYPERPARAMETERS = ("network", "training")
_SECTIONS = ("data", *_HYPERPARAMETERS)


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network and its origin."""

    network: Network  # one lane
    epoch: int  # the epoch after which it is kept
    history: History  # its learning curves
    settings: Mapping[str, Any]  # all its hyperparameters by name
    seconds: float  # of training
    seed: int  # of weights, order of samples and dropout masks

    def about(self, search: str, sections: NetworkSections, split: Split) -> dict[str, Any]:
        """Return the origin of the network as JSON-able data to be saved with it."""
        return {
            "study": search,
            "settings": {
                name: value for name, value in self.settings.items() if value is not None and uses(name, self.settings)
            },
            "data": sections.data.model_dump(mode="json"),
            "data_fingerprint": split.fingerprint,
            "seed": self.seed,
            "epochs": self.epoch,
            "validation_accuracy": self.history.validation_accuracy[self.epoch - 1],
            "validation_loss": self.history.validation_loss[self.epoch - 1],
        }


def with_settings(sections: NetworkSections, assignments: Sequence[str]) -> NetworkSections:
    """Return the sections with some values set.

    Args:
        sections: Those of a study file.
        assignments: ``training.lr=0.01`` each, or ``lr=0.01`` for a key of ``[network]`` or ``[training]``. Values
            are TOML; anything else is text, so that ``optimizer=adam`` needs no quotes.

    Raises:
        BadArgument: Something that is no assignment, a key that no section has, or a value that it cannot take.
    """
    plain = sections.model_dump(mode="json")
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise BadArgument("set", assignment, "write KEY=VALUE, such as training.lr=0.01")
        section, name = _place(plain, key.strip())
        other = {"name": "path", "path": "name"}.get(name) if section == "data" else None
        # Data by name or by path: the given one replaces the other.
        plain[section] = plain[section] | ({other: None} if other else {}) | {name: _value(text.strip())}
    return _made(plain, "the settings")


def with_values(
    sections: NetworkSections, params: Mapping[str, Value], *, epochs: int | None = None
) -> NetworkSections:
    """Return the sections with a trial's values in their places; see `hpsearch.objectives.base.Runtime`."""
    plain = sections.model_dump(mode="json")
    for name, value in params.items():
        section = next(section for section in _HYPERPARAMETERS if name in plain[section])
        # A choice of layers such as 50 stands for one of that size, as "50" does.
        plain[section] = plain[section] | {name: str(value) if name == "hidden" else value}
    if epochs is not None:
        plain["training"] = plain["training"] | {"epochs": epochs}
    return _made(plain, "the trial's values")


def _made(plain: Mapping[str, Any], source: str) -> NetworkSections:
    try:
        made = NetworkSections.model_validate(plain)
        made.check({})
    except ValidationError as error:
        fields = {name: field.annotation for name, field in NetworkSections.model_fields.items()}
        wrong = "; ".join(dict.fromkeys(explained(error, fields, ALSO_CALLED)))
        raise BadStudyFile(f"{source}: {wrong}") from error
    except BadStudyFile as error:
        raise BadStudyFile(f"{source}: {error}") from error
    return made


def _place(plain: Mapping[str, Any], key: str) -> tuple[str, str]:
    section, dot, name = key.rpartition(".")
    if dot:
        known = {f"{section}.{name}" for section in _SECTIONS for name in plain[section]}
    else:  # a hyperparameter by itself; the data's keys, seed among them, must be given by their full names
        known = {name for section in _HYPERPARAMETERS for name in plain[section]}
    if key not in known:
        field = ALSO_CALLED.get(name.lower(), name)
        hint = nearest(f"{section}.{field}" if dot else field, known)
        raise BadArgument("set", key, f"no such key{hint}")
    return section or next(s for s in _HYPERPARAMETERS if name in plain[s]), name


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def train_once(
    sections: NetworkSections,
    split: Split,
    *,
    seed: int,
    number: int = 0,
    scored: bool = False,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Trained:
    """Train one network as the trial of that number in a search would be trained.

    The network of the last epoch is kept, or with ``scored`` that of the epoch that is the trial's score.

    Raises:
        BadInput: A name that is not known.
    """
    made = objective(sections, split, seed=seed, space={})
    structure = made.structure({})
    lanes = build(structure, [made.settings], [number], seed=seed, inputs=made.inputs, dtype=made.dtype)
    began = time.perf_counter()
    curve: list[float] = []
    kept = lanes.network.lane_vector(0).copy()

    def after(epoch: Epoch) -> None:
        if scored and len(epoch.lanes):
            curve.append(float(getattr(epoch, made.metric)[0]))
            if made.scored(curve) == len(curve) - 1:
                kept[:] = lanes.network.lane_vector(0)
        if on_epoch is not None:
            on_epoch(epoch)

    (history,) = train(
        lanes.network,
        lanes.optimizer,
        made.data,
        batch_size=structure.batch_size,
        epochs=sections.training.epochs,
        rngs=lanes.rngs,
        schedules=lanes.schedules,
        evaluate_train=sections.training.evaluate_train,
        on_epoch=after,
    )
    if scored and history.ended is None:
        lanes.network.lane_vector(0)[:] = kept
    network = lanes.network if made.inputs is None else lanes.network.widened(made.inputs)
    epoch = made.scored(curve) + 1 if scored and curve else len(history)
    return Trained(network, epoch, history, made.settings, time.perf_counter() - began, seed)
