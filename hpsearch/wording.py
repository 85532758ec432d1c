"""Actions and arguments as the words of the command line, for everything that prints, runs or sends them."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator

from hpsearch.records import DEFAULT_STORAGE, DEFAULT_STUDY, Action, Argument, Sentence

# Options that are not called as the API's arguments are.
OPTIONS = {
    "source": "--from",
    "form": "--format",
    "output": "--format",
    "ranges": "--range",
    "parameters": "--parameter",
    "numbers": "--trial",
}
NEGATED = ("curves",)  # options whose absence does not mean no: ``--no-curves`` does
POSITIONAL = ("kind", "a", "b", "search", "study", "name", "path")  # arguments without an option, in this order
_HIDDEN = "***"  # stands for a password in a URL, as SQLAlchemy shows it


def word(mention: Action | Argument) -> str:
    """Return an action as a command, an argument as an option."""
    if isinstance(mention, Action):
        return command(mention)
    if mention.name == "by" or mention.value is None:
        return option(mention.value or mention.name)
    return f"{option(mention.name)} {mention.value}"


def worded(text: str | Sentence | Action) -> str:
    """Return a sentence or an action as the command line words it."""
    return text if isinstance(text, str) else text.worded(word) if isinstance(text, Sentence) else command(text)


def option(name: str) -> str:
    """Return the option of an argument: ``--top``."""
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def command(action: Action) -> str:
    """Return an action as a command for a shell: ``hpsearch narrow mnist --top 5 --expand``.

    The storage is left out where the command means it without being told.
    """
    given = _given(action)
    storage = given.pop("storage", None)
    if action.kind in ("start", "train") and given.get("search") == DEFAULT_STUDY:
        del given["search"]  # what these commands mean without a name
    if action.kind == "evaluate" and "again" in given:
        given["save"] = "model.npz"  # in Python the result holds the model
    line = ["hpsearch", *action.kind.split()]
    line += [str(given.pop(name)) for name in POSITIONAL if name in given]
    for name, value in _options(given):
        line += [name] if value is True else [name, str(value)]
    if storage is not None and str(storage) != (os.environ.get("HPSEARCH_STORAGE") or str(DEFAULT_STORAGE)):
        # A password does not belong on a screen, and without it the rest is of no use.
        secret = "://" in str(storage) and ("@" in str(storage) or "?" in str(storage))
        line += ["--storage", "URL" if secret or _HIDDEN in str(storage) else str(storage)]
    return shlex.join(line)


def words(action: Action) -> list[str]:
    """Return what runs exactly this action when `hpsearch.__main__.main` is given it.

    No value can be taken for an option: ``["start", "--trials=8", "--", "mnist"]``.
    """
    given = _given(action)
    places = [str(given.pop(name)) for name in POSITIONAL if name in given]
    options = [name if value is True else f"{name}={value}" for name, value in _options(given)]
    return [*action.kind.split(), *options, *(["--", *places] if places else [])]


def _given(action: Action) -> dict[str, object]:
    given = dict(action.arguments)
    if (by := given.pop("by", None)) is not None:
        given[str(by)] = True
    given |= {f"no_{name}": True for name in NEGATED if given.get(name) is False}
    return {name: value for name, value in given.items() if value is not None and value is not False}


def _options(given: dict[str, object]) -> Iterator[tuple[str, object]]:
    for name, value in given.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            yield option(name), each
