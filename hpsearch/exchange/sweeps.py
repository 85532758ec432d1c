"""Sweeps of Weights & Biases as study files: the YAML file that `wandb sweep` takes."""

from __future__ import annotations

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
from hpsearch.space import Value, parameter_from_dict

_SAY_NOTHING = {"description", "project", "entity"}  # keys that say nothing of the search
_COMMAND = ["${env}", "${interpreter}", "${program}", "${args}"]
_DISTRIBUTIONS = {"uniform", "int_uniform", "log_uniform_values"}  # those that are taken over
_LOGS = (
    'the script reports to W&B; let its last line be {"score": 0.91}, or give score_pattern for a line that it prints'
)


class _Parameter(BaseModel, extra="allow"):
    value: Any = None
    values: list[Any] | None = None
    min: int | float | None = None  # Pydantic reads 1e-5, which is a text for YAML 1.1
    max: int | float | None = None
    distribution: str | None = None


class _Metric(BaseModel):
    name: str = "score"
    goal: Literal["maximize", "minimize"] = "minimize"  # as W&B
    target: float | None = None


class _Stop(BaseModel):
    min_iter: int | None = None
    max_iter: int | None = None
    eta: int = 3


class _Sweep(BaseModel):
    """The keys of a sweep that are taken over, or named in a note."""

    parameters: dict[str, _Parameter]
    method: Literal["random", "grid", "bayes"] = "random"
    metric: _Metric | None = None
    command: list[str] = _COMMAND
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
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BadInput(f"{path} is not a W&B sweep{f'; {where}' if where else ''}: {first['msg']}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{path} cannot be read as YAML: {' '.join(str(error).split())[:200]}") from error
    draft = Draft(name or _name(sweep.name or path.stem), {})
    draft.notes = [f"{key} is not taken over" for key in plain if key not in {*_Sweep.model_fields, *_SAY_NOTHING}]
    if sweep.method != "random":
        draft.notes.append(f"method: {sweep.method} is not taken over; trials are sampled at random")
    for parameter, of in sweep.parameters.items():
        _take(draft, parameter, of, reprlib.repr(plain["parameters"][parameter])[:60])
    draft.objective["command"] = list(_command(sweep, path, draft))
    draft.objective["folder"] = ".."
    _take_metric(draft, sweep.metric)
    _take_budget(draft, sweep)
    draft.notes = [" ".join(note.split()) for note in (*draft.notes, _LOGS)]  # lines of a comment
    draft.check()
    return draft


def _name(text: str) -> str:
    """Return a text as the name of a search."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:64] or "sweep"


def _take(draft: Draft, name: str, of: _Parameter, given: str) -> None:
    """Add a parameter to a draft; ``given`` is how a note spells it."""
    values = of.values or ([of.value] if of.value is not None else [])
    whole = isinstance(of.min, int) and isinstance(of.max, int)
    distribution = of.distribution or ("int_uniform" if whole else "uniform")
    if values and values != [None] and all(isinstance(value, Value | None) for value in values):
        if "probabilities" in (of.model_extra or {}):
            draft.notes.append(f"{name}: its values are equally likely; probabilities is not taken over")
        if len(values) == 1:
            draft.fixed[name] = values[0]
        else:
            choices = [value for value in values if value is not None]
            draft.space[name] = {"choices": choices} | ({"none": True} if len(choices) < len(values) else {})
    elif values or distribution not in _DISTRIBUTIONS or of.min is None or of.max is None:
        draft.open[name] = given
        draft.notes.append(f"{name} = {given} is not taken over; write it by hand")
    elif of.min == of.max:
        draft.fixed[name] = of.min
    else:
        kind = int if distribution == "int_uniform" else float
        log = {"log": True} if distribution == "log_uniform_values" else {}
        draft.space[name] = {"low": kind(of.min), "high": kind(of.max), **log}
        try:
            parameter_from_dict(draft.space[name])
        except BadSpace as error:
            raise BadInput(f"parameters: {name}: {error}") from error


def _command(sweep: _Sweep, path: Path, draft: Draft) -> Iterator[str]:
    """Yield the command, with our names for W&B's macros."""
    macros: Mapping[str, list[str]] = {
        "${env}": [],
        "${interpreter}": ["python"],
        "${program}": [sweep.program],
        "${args}": [f"--{name}={{{name}}}" for name in (*draft.fixed, *draft.space, *draft.open)],
        "${args_json_file}": ["{params_file}"],
    }
    if not sweep.command or ("${program}" in sweep.command and not sweep.program):
        raise BadInput(f"{path} names no program; add program: train.py")
    for word in sweep.command:
        if "${" in word and word not in macros:
            draft.notes.append(f"{word} is left out of the command; it can read {variable('lr')}, or {{params_file}}")
        else:
            yield from macros.get(word, [word])


def _take_metric(draft: Draft, metric: _Metric | None) -> None:
    if metric is None:
        return
    draft.objective |= {"metric": metric.name, "direction": metric.goal}
    if metric.target is not None:
        goal = f"score {'>=' if metric.goal == 'maximize' else '<='} {metric.target:g}"
        draft.notes.append(f"metric.target is not taken over; a run may end at {goal}")


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
