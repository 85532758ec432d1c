"""Words of the command line: actions as commands, arguments as options, structured errors as one line."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from hpsearch.commands import DEFAULT_STORAGE, DEFAULT_STUDY
from hpsearch.errors import HpsearchError
from hpsearch.records import Action, Argument

OPTIONS = {"source": "--from", "form": "--format", "ranges": "--range", "backup": "--no-backup"}
"""Options that are not called as the API's arguments are."""
POSITIONAL = ("search", "study", "name", "path")
"""Arguments that stand on the command line without an option, in this order."""
_HIDDEN = "***"
"""Stands for a password in a URL, as SQLAlchemy shows it."""

WORDINGS: Mapping[type[HpsearchError], Callable[[Any], str]] = {}
"""One line for each structured error whose own words would not tell a user of the command line what to type."""


def message(error: HpsearchError) -> str:
    """Return an error's message as the command line prints it."""
    for kind in type(error).__mro__:
        if kind in WORDINGS:
            return WORDINGS[kind](error)
    return error.worded(word) if type(error).__str__ is HpsearchError.__str__ else str(error)


def word(mention: Action | Argument) -> str:
    """Return an action as a command, an argument as an option."""
    if isinstance(mention, Action):
        return command(mention)
    return option(mention.name) if mention.value is None else f"{option(mention.name)} {mention.value}"


def option(name: str) -> str:
    """Return the option of an argument: ``--top``."""
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def command(action: Action) -> str:
    """Return an action as a command for a shell: ``hpsearch narrow mnist --top 5 --expand``.

    The storage is left out where the command means it without being told.
    """
    given = {name: value for name, value in action.arguments.items() if value is not None and value is not False}
    storage = given.pop("storage", None)
    if action.kind in ("start", "train") and given.get("search") == DEFAULT_STUDY:
        del given["search"]  # what these commands mean without a name
    words = ["hpsearch", *action.kind.split()]
    words += [str(given.pop(name)) for name in POSITIONAL if name in given]
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [option(name)] if each is True else [option(name), str(each)]
    if storage is not None and str(storage) != (os.environ.get("HPSEARCH_STORAGE") or str(DEFAULT_STORAGE)):
        # A password does not belong on a screen, and without it the rest is of no use.
        secret = "://" in str(storage) and ("@" in str(storage) or "?" in str(storage))
        words += ["--storage", "URL" if secret or _HIDDEN in str(storage) else str(storage)]
    return shlex.join(words)
