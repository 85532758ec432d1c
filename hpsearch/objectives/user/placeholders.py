"""The ``{name}`` in the arguments of a command, and the values that stand in their places."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OWN = ("seed", "trial", "search", "folder", "params_file")
"""Names that are not parameters: the trial's seed and number, its stage, the study file's folder, a file of values."""
_NAME = r"[A-Za-z_][\w.-]*"
# ``{{name}}`` stands for ``{name}``, and ``${name}`` is the shell's.
_FORM = re.compile(rf"\{{\{{({_NAME})\}}\}}|(?<!\$)\{{({_NAME})\}}")


def names(text: str) -> set[str]:
    """Return the names that stand in a text."""
    return {match[2] for match in _FORM.finditer(text) if match[2]}


def text_of(value: Any) -> str:
    """Return a value as an argument: a text as it is, anything else as JSON has it: ``1e-05``, ``true``, ``null``."""
    return value if isinstance(value, str) else json.dumps(value)


def fill(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with values in their places; nothing where there is none."""
    return _FORM.sub(lambda match: f"{{{match[1]}}}" if match[1] else text_of(values.get(match[2], "")), text)


def fill_all(arguments: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    """Return arguments with values in their places.

    One whose value a trial lacks is left out, with the option before it: of ``["--momentum", "{momentum}"]`` both.
    """
    filled: list[str] = []
    before = ""
    for argument in arguments:
        if names(argument) <= values.keys():
            filled.append(fill(argument, values))
        elif before.startswith("-") and _FORM.fullmatch(argument) and not names(before):
            filled.pop()
        before = argument
    return filled


def variable(name: str) -> str:
    """Return the environment variable of a parameter: ``HPSEARCH_PARAM_LR``."""
    return f"HPSEARCH_PARAM_{re.sub(r'[^A-Z0-9_]', '_', name.upper())}"


def unused(parameters: Iterable[str], texts: Sequence[str]) -> list[str]:
    """Return the parameters that stand in none of some texts; none where the file of all of them does."""
    used = set[str]().union(*map(names, texts))
    return [] if "params_file" in used else [name for name in dict.fromkeys(parameters) if name not in used]
