"""What to say of a command line that cannot be read, in words of our own: Typer's change with its versions."""

from __future__ import annotations

import re
import typing
from enum import Enum
from typing import TYPE_CHECKING, Any

from hpsearch.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence


def usage(error: Any, arguments: Sequence[str]) -> str:
    """One line: what was asked, and what is allowed.

    Args:
        error: Click's usage error, wherever this Typer keeps its Click.
        arguments: The command line, without the program's name.
    """
    context = getattr(error, "ctx", None)
    path = "hpsearch" if context is None else context.command_path
    command = path.removeprefix("hpsearch ")
    plain: str = error.format_message().rstrip(".")
    match type(error).__name__:
        case "NoSuchOption":
            options = [] if context is None else [name for one in context.command.params for name in one.opts]
            guess = nearest(error.option_name, options).partition(" known:")[0]
            return f"{command} has no option {error.option_name}{guess} `{path} --help` lists them"
        case "BadOptionUsage":
            return f"{error.option_name}{' takes no value' if 'not take' in plain else ': a value is missing'}"
        case "MissingParameter":
            known = [] if error.param is None else _choices(_annotation(error)[0])
            listed = f": one of {', '.join(known)}" if known else f"; `{path} --help` says what it is"
            return f"{command} needs {_name(error)}{listed}"
        case "BadParameter" if error.param is not None and context is not None:
            return _bad_value(error, arguments) or plain
    unknown = re.match(r"No such command '(.*?)'\.", error.format_message())
    if unknown and context is not None:
        of = "" if path == "hpsearch" else f" of {command}"
        return f"no command {unknown[1]!r}{of}{nearest(unknown[1], getattr(context.command, 'commands', {}))}"
    if more := re.match(r"Got unexpected extra argument.*\((.*)\)", plain):
        return f"{command} takes no further argument: {more[1]}"
    return plain


def _bad_value(error: Any, arguments: Sequence[str]) -> str | None:
    wanted, bounds = _annotation(error)
    if known := _choices(wanted):
        found = re.search(r"'([^']*)' is not one of", error.format_message())
        given = found[1] if found else ""
        what = _name(error) if error.param.opts[0].startswith("-") else f"no {error.param.name}"
        return f"{what} {given!r}{nearest(given, known)}"
    if wanted not in (int, float):
        return None
    kind = "a whole number" if wanted is int else "a number"
    low, high = bounds
    limits = "" if low is None else f" from {low:,}" + ("" if high is None else f" to {high:,}")
    return f"{_name(error)} {_given(error.param.opts, arguments)}: give {kind}{limits}"


def _annotation(error: Any) -> tuple[Any, tuple[int | None, int | None]]:
    """The type that the command's own signature gives a parameter, and its bounds."""
    hints = typing.get_type_hints(error.ctx.command.callback, include_extras=True)
    wanted, bounds = hints.get(error.param.name), (None, None)
    if typing.get_origin(wanted) is typing.Annotated:
        wanted, info = typing.get_args(wanted)[:2]
        bounds = (getattr(info, "min", None), getattr(info, "max", None))
    inner = [one for one in typing.get_args(wanted) if one is not type(None)]
    return (inner[0] if inner else wanted), bounds


def _choices(wanted: Any) -> list[str]:
    return [str(one.value) for one in wanted] if isinstance(wanted, type) and issubclass(wanted, Enum) else []


def _name(error: Any) -> str:
    longest: str = max(error.param.opts, key=len)
    return longest if longest.startswith("-") else error.param.metavar or longest.upper()


def _given(options: Sequence[str], arguments: Sequence[str]) -> str:
    """The value of an option as it stands on the command line."""
    for at, argument in enumerate(arguments):
        name, mark, value = argument.partition("=")
        if name in options:
            return value if mark else next(iter(arguments[at + 1 :]), "")
    return ""
