"""One network with given hyperparameters, trained to the end."""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hpsearch.errors import BadArgument, BadStudyFile, nearest
from hpsearch.nn import Epoch, History, Network, train
from hpsearch.objectives.network.hyperparameters import ALSO_CALLED, uses
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.objectives.network.sections import NetworkSections
from hpsearch.objectives.network.structure import build
from hpsearch.objectives.sections import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.data import Split
    from hpsearch.space import Value

_HYPERPARAMETERS = ("network", "training")
_SECTIONS = ("data", *_HYPERPARAMETERS)


@dataclass(frozen=True, slots=True)
class Trained:
    """A network and how it came about."""

    network: Network  # one lane, after its last epoch
    history: History  # its learning curves
    settings: Mapping[str, Any]  # all its hyperparameters by name
    seconds: float  # what training took
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
            "epochs": len(self.history),
            "validation_accuracy": self.history.validation_accuracy[-1],
            "validation_loss": self.history.validation_loss[-1],
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
        # Data by name or by path: the one that is given takes the other's place.
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
    else:  # a hyperparameter by itself; the data's keys, seed among them, must be meant by their full names
        known = {name for section in _HYPERPARAMETERS for name in plain[section]}
    if key not in known:
        meant = ALSO_CALLED.get(name.lower(), name)
        hint = nearest(f"{section}.{meant}" if dot else meant, known)
        raise BadArgument("set", key, f"no such key{hint}")
    return section or next(s for s in _HYPERPARAMETERS if name in plain[s]), name


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def train_once(
    sections: NetworkSections, split: Split, *, seed: int, on_epoch: Callable[[Epoch], None] | None = None
) -> Trained:
    """Train one network as trial 0 of a search would be trained.

    Raises:
        BadInput: A name that is not known.
    """
    made = NetworkObjective.of(sections, split, seed=seed, space={})
    structure = made.structure({})
    lanes = build(structure, [made.settings], [0], seed=seed, inputs=made.inputs, dtype=made.dtype)
    began = time.perf_counter()
    (history,) = train(
        lanes.network,
        lanes.optimizer,
        made.data,
        batch_size=structure.batch_size,
        epochs=sections.training.epochs,
        rngs=lanes.rngs,
        schedules=lanes.schedules,
        evaluate_train=sections.training.evaluate_train,
        on_epoch=on_epoch,
    )
    network = lanes.network if made.inputs is None else lanes.network.widened(made.inputs)
    return Trained(network, history, made.settings, time.perf_counter() - began, seed)
