"""Sweeps of Weights & Biases as study files: the YAML file that `wandb sweep` takes."""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ValidationError

from hpsearch.errors import BadInput, BadSpace
from hpsearch.exchange.drafts import Draft
from hpsearch.files import content
from hpsearch.objectives.user.placeholders import variable
from hpsearch.objectives.user.trial import last_step
from hpsearch.space import Value, parameter_from_dict

_SAY_NOTHING = {"description", "project", "entity"}  # keys that say nothing of the search
_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
# By distribution: whether a value is whole, sampled by its logarithm, and whether the bounds are exponents of e.
_DISTRIBUTIONS: Mapping[str, tuple[bool, bool, bool]] = {
    "uniform": (False, False, False),
    "q_uniform": (False, False, False),
    "int_uniform": (True, False, False),
    "log_uniform": (False, True, True),
    "q_log_uniform": (False, True, True),
    "log_uniform_values": (False, True, False),
    "q_log_uniform_values": (False, True, False),
}
_METHODS = {
    "grid": "method: grid is not taken over; trials are sampled at random",
    "bayes": "method: bayes is not taken over; trials are sampled at random, and narrowing moves their ranges",
}
_LOGS = (
    'the script reports to W&B; let its last line be {"score": 0.91}, or give score_pattern for a line that it prints'
)


class _Metric(BaseModel):
    name: str | None = None
    goal: Literal["maximize", "minimize"] = "minimize"  # as W&B
    target: float | None = None


class _Stop(BaseModel):
    min_iter: int | None = None
    max_iter: int | None = None
    eta: int = 3


class _Sweep(BaseModel):
    """The keys of a sweep that are taken over, or said."""

    parameters: dict[str, dict[str, Any]]
    method: str = "random"
    metric: _Metric | None = None
    command: list[str] | None = None
    program: str = ""
    name: str | None = None
    run_cap: int | None = None
    early_terminate: _Stop | None = None


def read_sweep(path: Path, name: str | None = None) -> Draft:
    """Return the study file of a sweep; its notes say what is not taken over.

    Args:
        path: The YAML file.
        name: Of the search; None: that of the sweep, or of the file.

    Raises:
        BadInput: It is not a sweep.
    """
    try:
        plain = yaml.safe_load(content(path))
        sweep = _Sweep.model_validate(plain)
        parameters = list(_flat(sweep.parameters))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path} is no sweep of W&B{f'; {where}' if where else ''}: {first['msg']}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{path} is no YAML that can be read: {' '.join(str(error).split())[:200]}") from error
    draft = Draft(name or _name(sweep.name or path.stem), {})
    draft.notes = [f"{key} is not taken over" for key in plain if key not in {*_Sweep.model_fields, *_SAY_NOTHING}]
    if sweep.method in _METHODS:
        draft.notes.append(_METHODS[sweep.method])
    for parameter, of in parameters:
        _take(draft, parameter, of)
    draft.objective["command"] = list(_command(sweep, path, draft))
    draft.objective["folder"] = ".."
    _take_metric(draft, sweep.metric)
    _take_budget(draft, sweep)
    draft.notes.append(_LOGS)
    draft.check()
    return draft


def _name(text: str) -> str:
    """Return a text as the name of a search."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:64] or "sweep"


def _flat(parameters: Mapping[Any, Any], outer: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the parameters, nested ones as ``optimizer.lr``."""
    for key, plain in parameters.items():
        name = f"{outer}{key}"
        if not isinstance(plain, Mapping):
            raise BadInput(f"parameters: {name} = {_short(plain)}; it needs value, values, or min and max")
        if isinstance(plain.get("parameters"), Mapping):
            yield from _flat(plain["parameters"], f"{name}.")
        else:
            yield name, plain


def _take(draft: Draft, name: str, plain: Mapping[str, Any]) -> None:
    """Add a parameter to a draft."""
    if "value" in plain or "values" in plain:
        _take_values(draft, name, plain)
        return
    low, high, step = (_number(plain.get(key)) for key in ("min", "max", "q"))
    default = "int_uniform" if isinstance(low, int) and isinstance(high, int) else "uniform"
    distribution = str(plain.get("distribution", default))
    shape = _DISTRIBUTIONS.get(distribution)
    if shape is None or low is None or high is None:
        given = ", ".join(f"{key} = {_short(value)}" for key, value in plain.items())
        draft.open[name] = given
        draft.notes.append(f"{name} ({given}) is not taken over; give it a range")
        return
    whole, log, exponents = shape
    bounds = [math.exp(of) if exponents else of for of in (low, high)]
    range_: dict[str, Any] = {"type": "int"} if whole else {}
    if distribution == "q_uniform":
        step = step or 1
        bounds[1] = float(last_step(low, high, step))
        if all(isinstance(of, int) for of in (low, high, step)):
            range_ = {"type": "int"}
        range_ |= {"step": step}
    elif distribution.startswith("q_"):
        draft.notes.append(f"{name}: values are not rounded to multiples of q = {step or 1}")
    kind = int if "type" in range_ else float
    range_ = {**range_, "low": kind(bounds[0]), "high": kind(bounds[1]), **({"log": True} if log else {})}
    if bounds[0] == bounds[1]:
        draft.fixed[name] = range_["low"]
        return
    try:
        parameter_from_dict(range_)
    except BadSpace as error:
        raise BadInput(f"parameters: {name}: {error}") from error
    draft.space[name] = range_


def _take_values(draft: Draft, name: str, plain: Mapping[str, Any]) -> None:
    values = [plain["value"]] if "value" in plain else plain["values"]
    if not isinstance(values, list) or not values or not all(isinstance(value, Value | None) for value in values):
        draft.notes.append(f"{name} = {_short(values)} is no list of numbers and texts, and not taken over")
        return
    if "probabilities" in plain:
        draft.notes.append(f"{name}: its values are equally likely; probabilities is not taken over")
    if len(values) > 1:
        some = [value for value in values if value is not None]
        draft.space[name] = {"choices": some} | ({"none": True} if len(some) < len(values) else {})
    elif values[0] is None:
        draft.notes.append(f"{name} = null is not taken over")
    else:
        draft.fixed[name] = values[0]


def _short(value: object) -> str:
    """Return a value in few characters, however deep it is."""
    if isinstance(value, str | int | float):
        return str(value)[:60]
    shallow = reprlib.Repr()
    shallow.maxlevel = 2
    return shallow.repr(value)[:60]


def _number(value: object) -> float | None:
    """Return a number; YAML 1.1 takes ``1e-5`` for a text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return None


def _command(sweep: _Sweep, path: Path, draft: Draft) -> Iterator[str]:
    """Yield the command, with our names for W&B's macros."""
    taken = [*draft.fixed, *draft.space, *draft.open]
    args = [f"--{name}={{{name}}}" for name in taken]
    macros: Mapping[str, list[str]] = {
        "${env}": [],
        "${interpreter}": ["python"],
        "${program}": [sweep.program],
        "${args}": args,
        "${args_no_hyphens}": [argument[2:] for argument in args],
        "${args_no_boolean_flags}": args,
        "${args_json_file}": ["{params_file}"],
    }
    command = _COMMAND if sweep.command is None else sweep.command
    if not command or ("${program}" in command and not sweep.program):
        raise BadInput(f"{path} names no program; add program: train.py")
    if "${args_no_boolean_flags}" in command:
        draft.notes.append("flags are given as options with the value true or false")
    for word in command:
        if word in macros:
            yield from macros[word]
        elif "${" in word:
            draft.notes.append(f"{word} is left out of the command; it can read {variable('lr')}, or {{params_file}}")
        else:
            yield word


def _take_metric(draft: Draft, metric: _Metric | None) -> None:
    if metric is None:
        return
    draft.objective |= {"metric": metric.name or "score", "direction": metric.goal}
    if metric.target is not None:
        goal = f"score {'>=' if metric.goal == 'maximize' else '<='} {metric.target:g}"
        draft.notes.append(f"metric.target is no part of a study file; a run may end at {goal}")


def _take_budget(draft: Draft, sweep: _Sweep) -> None:
    """Take over the number of trials and the pruning."""
    if sweep.run_cap is not None:
        draft.trials["count"] = sweep.run_cap
    if (stop := sweep.early_terminate) is None:
        return
    if stop.max_iter is not None:
        draft.objective["epochs"] = stop.max_iter
        draft.pruning = {"rule": "halving", "reduction_factor": stop.eta}
        draft.pruning |= {} if stop.min_iter is None else {"min_epochs": stop.min_iter}
    else:
        draft.notes.append(
            "early_terminate is not taken over: give epochs = ..., how many points a whole curve has, and [pruning] "
            'rule = "halving"'
        )
