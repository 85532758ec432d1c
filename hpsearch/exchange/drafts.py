"""Drafts of study files for a user's function or command, with the ranges that are known."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpsearch.errors import BadArgument, BadInput
from hpsearch.objectives.user.placeholders import OWN, names
from hpsearch.records import Direction
from hpsearch.serialization import to_toml, toml_key
from hpsearch.space import parameter_from_dict
from hpsearch.study_file import parse

FORMS = "NAME=LOW:HIGH, NAME=LOW:HIGH:log, NAME=LOW:HIGH:STEP or NAME=one,other"
_SHELL = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>&1"}
_ABOUT = {
    "function": "It is called with a trial, as Optuna's: trial.params, trial.suggest_float(...), trial.report(...)",
    "command": 'It runs without a shell. Its last line on standard output is JSON, {"score": 0.91}',
    "folder": "Where its files are, from here",
}
_FURTHER = """\
# score_pattern = 'acc=([-+.\\w]+)'  # finds the score in what a command prints, where that is no JSON
# workdir = "{search}/{trial}"        # the folder that a command runs in
"""
_DIRECTION = """\
# Which scores are better? Take one of these lines:
# direction = "maximize"
# direction = "minimize"
"""
_OPTIONS = """\
# epochs = 30               # points of a whole learning curve, by which trials can be pruned
# trial_timeout = "10m"     # how long a trial may take
# retries = 1               # after a signal, a lack of memory or a timeout
# repeats = 3               # the score is the mean over as many seeds
"""


@dataclass
class Draft:
    """A study file that may lack ranges and a direction."""

    name: str
    objective: dict[str, Any]  # ``function`` or ``command``, and other keys
    space: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # plain ranges by parameter
    open: dict[str, str] = field(default_factory=dict)  # parameters that need a range, and what is known of it
    fixed: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, Any] = field(default_factory=lambda: {"count": 100, "seed": 0})
    pruning: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # on what was not taken over

    @property
    def missing(self) -> list[str]:
        """Return what is missing before the file can be used."""
        parts = [] if "direction" in self.objective else ["which scores are better"]
        return parts + ([f"the range of {', '.join(self.open)}"] if self.open else [])

    def check(self) -> None:
        """Check the draft, with stand-ins for what is missing.

        Raises:
            BadStudyFile: It does not make sense.
        """
        objective = {"direction": "maximize", **self.objective}
        space = {**self.space, **{name: {"low": 0.0, "high": 1.0} for name in self.open}}
        plain = {"name": self.name, "objective": objective, "space": space, "fixed": self.fixed}
        sections = {"trials": self.trials, "pruning": self.pruning}
        parse({key: value for key, value in (plain | sections).items() if value or key == "space"}, source=self.name)

    def text(self) -> str:
        """Return the study file."""
        lines = [f"# A study file: what to search. `hpsearch check {self.name}` says what it would do."]
        lines += [f"# Note: {note}" for note in self.notes]
        lines += [f"name = {to_toml(self.name)}", "", "[objective]"]
        for key, value in self.objective.items():
            lines += [f"# {_ABOUT[key]}:"] if key in _ABOUT else []
            lines.append(f"{key} = {to_toml(value)}")
        if "direction" not in self.objective:
            lines += _DIRECTION.splitlines()
        if "command" in self.objective:
            lines += _FURTHER.splitlines()
        lines += [line for line in _OPTIONS.splitlines() if line[2:].split()[0] not in self.objective]
        if self.fixed:
            lines += ["", "[fixed]", *(f"{toml_key(name)} = {to_toml(value)}" for name, value in self.fixed.items())]
        if self.space or self.open or "command" in self.objective:
            lines += ["", "[space]"]
            lines += [f"{toml_key(name)} = {to_toml(range_)}" for name, range_ in self.space.items()]
            lines += [f"# {toml_key(name)} = {{ low = ..., high = ... }}  # {what}" for name, what in self.open.items()]
        else:
            lines += ["", "# Without [space] trial.suggest_float(...) and the like give the ranges.", "# [space]"]
            lines += ["# lr = { low = 1e-5, high = 0.1, log = true }"]
        for section, values in (("trials", self.trials), ("pruning", self.pruning)):
            if values:
                lines += ["", f"[{section}]", *(f"{key} = {to_toml(value)}" for key, value in values.items())]
        return "\n".join([*lines, ""])


def draft(
    name: str,
    *,
    function: str | None = None,
    command: str | None = None,
    ranges: Sequence[str] = (),
    direction: Direction | None = None,
) -> Draft:
    """Return a study file for a function or a command.

    Args:
        name: Of the search.
        function: ``train.py:objective`` or ``package.module:name``.
        command: A command line, as a shell reads it: ``python train.py --lr {lr}``.
        ranges: Such as ``lr=1e-5:1e-1:log``, ``units=16:256``, ``dropout=0:0.9:0.1`` or ``optimizer=sgd,adam``.
        direction: Which scores are better.

    Raises:
        BadInput: One of them cannot be read.
    """
    objective: dict[str, Any] = {"function": function} if function is not None else {"command": _words(command or "")}
    # The study file stands in a folder of its own, beside which the files are.
    objective |= {"folder": ".."} | ({} if direction is None else {"direction": direction})
    space: dict[str, Mapping[str, Any]] = {}
    for text in ranges:
        of, _, form = text.partition("=")
        try:
            space[of] = parse_range(form)
        except BadInput as error:
            raise BadArgument("ranges", text, str(error)) from error
    used = set[str]().union(*map(names, objective.get("command", ())))
    unknown = dict.fromkeys(sorted(used - {*OWN, *space}), "or { choices = [...] }")
    made = Draft(name, objective, space, unknown)
    made.check()
    return made


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise BadArgument("command", line, f"it cannot be read as a shell does: {error}") from error
    if not words:
        raise BadArgument("command", line, "it is empty", "give a program and its arguments")
    if shells := [word for word in words if word in _SHELL]:
        raise BadArgument("command", line, f"it runs without a shell, so {shells[0]} has no effect", "use sh -c '...'")
    return words


def parse_range(text: str) -> dict[str, Any]:
    """Return a range from a short form, as plain data: ``1e-5:1e-1:log``, ``16:256``, ``0:0.9:0.1``, ``sgd,adam``.

    It is of whole numbers where all are written so.

    Raises:
        BadInput: It cannot be read, or is no range.
    """
    words, choices = text.split(":"), [_scalar(word.strip()) for word in text.split(",")]
    numbers = [_scalar(word) for word in words if word != "log"]
    if len(words) == 1 and len(choices) > 1:
        plain: dict[str, Any] = {"choices": choices}
    elif len(numbers) in (2, 3) and {int, float}.issuperset(map(type, numbers)):
        bounds = numbers if float not in map(type, numbers) else map(float, numbers)
        plain = dict(zip(("low", "high", "step"), bounds, strict=False)) | ({"log": True} if "log" in words else {})
    else:
        raise BadInput(f"give {FORMS}")
    parameter_from_dict(plain)
    return plain


def _scalar(word: str) -> Any:
    """Return what a word stands for: a number, true, false, or itself."""
    if word in ("true", "false"):
        return word == "true"
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
