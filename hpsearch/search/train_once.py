"""One network with given hyperparameters, trained to the end."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, nearest
from hpsearch.nn import Epoch, History, Network, train
from hpsearch.objectives.network.build import build
from hpsearch.objectives.network.hyperparameters import ALSO_CALLED, uses
from hpsearch.search.workflow import network_objective
from hpsearch.study_file import StudyFile, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.data import Split
    from hpsearch.space import Value

_HYPERPARAMETERS = ("network", "training")
_SECTIONS = ("data", *_HYPERPARAMETERS)
_NO_SEARCH = {"lr": {"low": 1e-3, "high": 1.0, "log": True}}
"""Stands in for the space of a study file that is not searched: a study file must have one."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A network and how it came about.

    Args:
        network: One lane, after its last epoch.
        history: Its learning curves.
        settings: All its hyperparameters by name.
        seconds: What training took.
        seed: Of weights, order of samples and dropout masks.
    """

    network: Network
    history: History
    settings: Mapping[str, Any]
    seconds: float
    seed: int

    def about(self, study: StudyFile, split: Split) -> dict[str, Any]:
        """Where the network comes from, as JSON-able data to be saved with it."""
        return {
            "study": study.name,
            "settings": {
                name: value for name, value in self.settings.items() if value is not None and uses(name, self.settings)
            },
            "data": study.data.model_dump(mode="json"),
            "data_fingerprint": split.fingerprint,
            "seed": self.seed,
            "epochs": len(self.history),
            "validation_accuracy": self.history.validation_accuracy[-1],
            "validation_loss": self.history.validation_loss[-1],
        }


def with_settings(study: StudyFile, assignments: Sequence[str]) -> StudyFile:
    """The study file with some values set, as for one network: nothing is drawn.

    Args:
        study: The study file.
        assignments: ``training.lr=0.01`` each, or ``lr=0.01`` for a key of ``[network]`` or ``[training]``. Values
            are TOML; what is not TOML is text, so that ``optimizer=adam`` needs no quotes.

    Raises:
        BadInput: Something that is no assignment, or a key that no section has.
        BadStudyFile: A value that the key cannot take.
    """
    plain = study.to_dict() | {"space": _NO_SEARCH}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise BadInput(f"--set {assignment}: write KEY=VALUE, such as training.lr=0.01")
        section, name = _place(plain, key.strip())
        other = {"name": "path", "path": "name"}.get(name) if section == "data" else None
        # Data by name or by path: the one that is asked for takes the other's place.
        plain[section] = plain[section] | ({other: None} if other else {}) | {name: _value(text.strip())}
    return parse(plain, source="--set")


def with_values(study: StudyFile, params: Mapping[str, Value], *, epochs: int | None = None) -> StudyFile:
    """The study file with a trial's values in the places of what was drawn.

    Args:
        study: The study file.
        params: The values by hyperparameter.
        epochs: To train for; None for the study file's.

    Raises:
        BadStudyFile: Values that do not go together.
    """
    plain = study.to_dict() | {"space": _NO_SEARCH, "pruning": {}}
    for name, value in params.items():
        section = next(section for section in _HYPERPARAMETERS if name in plain[section])
        # A choice of layers such as 50 stands for one of that size, as "50" does.
        plain[section] = plain[section] | {name: str(value) if name == "hidden" else value}
    if epochs is not None:
        plain["training"] = plain["training"] | {"epochs": epochs}
    return parse(plain, source=f"the values of {study.name}")


def _place(plain: Mapping[str, Any], key: str) -> tuple[str, str]:
    section, dot, name = key.rpartition(".")
    if dot:
        known = {f"{section}.{name}" for section in _SECTIONS for name in plain[section]}
    else:  # a hyperparameter by itself; the data's keys, seed among them, must be meant by their full names
        known = {name for section in _HYPERPARAMETERS for name in plain[section]}
    if key not in known:
        meant = ALSO_CALLED.get(name.lower(), name)
        raise BadInput(f"--set {key}: no such key{nearest(f'{section}.{meant}' if dot else meant, known)}")
    return section or next(s for s in _HYPERPARAMETERS if name in plain[s]), name


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def train_once(
    study: StudyFile, split: Split, *, seed: int, on_epoch: Callable[[Epoch], None] | None = None
) -> Trained:
    """Train one network as trial 0 of a search would be trained.

    Args:
        study: The study file; what it draws is left at its value under ``[network]`` and ``[training]``.
        split: Its data.
        seed: Of weights, order of samples and dropout masks.
        on_epoch: Called after every epoch.

    Raises:
        BadInput: A name that is not known.
    """
    objective = network_objective(study, split, seed=seed, space={})
    settings = objective.settings
    structure = objective.structure({})
    lanes = build(structure, [settings], [0], seed=seed, inputs=objective.inputs, dtype=objective.dtype)
    began = time.perf_counter()
    (history,) = train(
        lanes.network,
        lanes.optimizer,
        objective.data,
        batch_size=structure.batch_size,
        epochs=study.training.epochs,
        rngs=lanes.rngs,
        schedules=lanes.schedules,
        evaluate_train=study.training.evaluate_train,
        on_epoch=on_epoch,
    )
    network = lanes.network if objective.inputs is None else lanes.network.widened(objective.inputs)
    return Trained(network, history, settings, time.perf_counter() - began, seed)
