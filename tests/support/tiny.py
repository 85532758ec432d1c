"""A search whose trials take milliseconds, as a study file and as an objective."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hpsearch import data
from hpsearch.objectives.network import runtime
from hpsearch.objectives.network.objective import NetworkObjective
from hpsearch.records import SECONDS, Outcome, Paused, Report, Trial
from hpsearch.study_file import StudyFile, parse

PLAIN: Mapping[str, Mapping[str, Any]] = {
    "data": {"name": "mnist-10k", "train": 40, "validation": 20, "test": 10},
    "network": {"hidden": [8]},
    "training": {"batch_size": 20, "epochs": 3},
    "space": {"lr": {"low": 1e-3, "high": 1.0, "log": True}, "weight_decay": {"low": 1e-8, "high": 1e-4, "log": True}},
    "trials": {"count": 6},
    "objective": {},
    "pruning": {},
}


def study(name: str = "tiny", /, **sections: Mapping[str, Any]) -> StudyFile:
    """The tiny study; a section given here replaces the keys that it names, ``space`` as a whole."""
    plain = {key: {**section, **sections.get(key, {})} for key, section in PLAIN.items()}
    plain["space"] = dict(sections.get("space", PLAIN["space"]))
    return parse({"name": name, **plain}, source="the tiny study")


def text(name: str = "tiny", **sections: Mapping[str, Any]) -> str:
    """The tiny study as a study file says it; TOML of one level is JSON with other brackets."""
    plain = study(name, **sections).to_dict()
    lines = [f'name = "{name}"']
    for section, values in plain.items():
        if isinstance(values, dict):
            lines += [f"[{section}]", *(f"{k} = {_toml(v)}" for k, v in values.items() if v is not None)]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str = "tiny", **sections: Mapping[str, Any]) -> Path:
    """The tiny study as a file in a folder."""
    path = folder / f"{name}.toml"
    path.write_text(text(name, **sections))
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value)


@cache
def split() -> data.Split:
    """The tiny study's data."""
    return runtime.load(study().sections)


def objective(*, seed: int = 0, **sections: Mapping[str, Any]) -> NetworkObjective:
    """The objective of the tiny study."""
    chosen = study("tiny", **sections)
    return runtime.objective(chosen.sections, split(), seed=seed, space=chosen.space)


def evaluated(objective: NetworkObjective, trials: Iterable[Trial]) -> tuple[dict[int, Outcome], list[Report]]:
    """The outcomes by number and the points, of trials evaluated together."""
    items = [item for some in objective.evaluate(list(trials)) for item in some]
    outcomes = [item for item in items if not isinstance(item, Report | Paused)]
    assert len({outcome.number for outcome in outcomes}) == len(outcomes)
    return {outcome.number: outcome for outcome in outcomes}, [item for item in items if isinstance(item, Report)]


def lasting(outcome: Outcome) -> tuple[Any, ...]:
    """All of an outcome that two evaluations have in common: everything but the time."""
    kept = {name: value for name, value in outcome.attributes.items() if name != SECONDS}
    return (type(outcome), outcome.number, getattr(outcome, "score", None), outcome.intermediate, kept)
