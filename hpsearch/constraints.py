"""Constraints: what a trial's values must meet together, ``"units * layers <= 1024"`` or ``"train.py:fits"``.

The first form is an expression of Python's over the names of parameters, with the functions of `FUNCTIONS`, read and
computed by simpleeval, which knows no imports, no attributes of Python's own and no endless powers. The second is a
function of the user's, which is called with the values.
"""

from __future__ import annotations

import ast
import math
import os
import re
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes

from hpsearch.errors import BadSpace, nearest
from hpsearch.files import first_line
from hpsearch.functions import NotFound, imported
from hpsearch.space import delivered, delivered_as, shown
from hpsearch.text import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hpsearch.space import Space, Value

FUNCTIONS = {
    **{function.__name__: function for function in (abs, min, max, round, int, float, len)},
    **{name: getattr(math, name) for name in ("log", "log2", "log10", "exp", "sqrt", "floor", "ceil")},
}
_FUNCTION = re.compile(r"(.+\.py|[\w.]+):[A-Za-z_][\w.]*")  # no expression has this form
_LONGEST = 1000  # characters: deeper nesting than these hold breaks Python's parser


def is_function(text: str) -> bool:
    """Return whether a constraint is the name of a function."""
    return _FUNCTION.fullmatch(text) is not None


class Constraints:
    """The constraints of a space.

    An expression that names a parameter which a trial does not have says nothing about that trial. A function is
    imported when it is first called.

    Args:
        texts: The expressions, and the names of functions.
        space: The parameters that they may name. One with ranges per value has one name: ``wd``.
        fixed: Values of parameters that are not sampled, which they may name too.
        folder: Where the files of functions are looked for, before the working folder.

    Raises:
        BadSpace: One of them is no expression, or names something unknown.
    """

    def __init__(self, texts: Sequence[str], space: Space, fixed: Mapping[str, Value], folder: str = "") -> None:
        self.space = space
        self.fixed = fixed
        # Copies: it adds functions of its own, which `_parse` does not let through.
        self._evaluator = EvalWithCompoundTypes(operators={**DEFAULT_OPERATORS}, functions={**FUNCTIONS})
        known = {*(delivered_as(name, parameter) for name, parameter in space.items()), *fixed}
        folders = (folder or os.getcwd(), os.getcwd())
        # Each with the names that it needs: none of a function's are known.
        self._all: list[tuple[str, set[str], Callable[[dict[str, Value]], Any]]] = []
        for text in texts:
            if is_function(text):
                self._all.append((text, set(), partial(_called, cache(partial(imported, text, folders)))))
            else:
                names, parsed = _parse(text, known)
                self._all.append((text, names, partial(self._evaluated, text, parsed)))

    def _evaluated(self, text: str, parsed: ast.Expr, values: dict[str, Value]) -> Any:
        self._evaluator.names = values
        return self._evaluator.eval(text, previously_parsed=parsed)

    @property
    def names(self) -> set[str]:
        """The parameters of the space that a constraint may depend on."""
        named = [names for _, names, _ in self._all]
        return {
            name
            for name, parameter in self.space.items()
            if any(not names or delivered_as(name, parameter) in names for names in named)
        }

    def broken(self, params: Mapping[str, Value]) -> str | None:
        """Return the first constraint that values do not meet; None: they meet all.

        Raises:
            BadSpace: One of them cannot be computed of these values, or is neither true nor false.
            NotFound: A function cannot be imported.
        """
        values = {**self.fixed, **delivered(self.space, params)}
        for text, names, compute in self._all:
            if not names <= values.keys():
                continue
            try:
                result = compute(values)
            except NotFound as error:
                raise NotFound(f"constraint {text!r}: {error}") from error
            except Exception as error:
                raise BadSpace(f"constraint {text!r}: {_with(names, values)}: {reason(error)}") from error
            if type(result).__name__ not in ("bool", "bool_"):  # NumPy's too
                raise BadSpace(
                    f"constraint {text!r}: {_with(names, values)}: {result!r} is neither true nor false; compare"
                )
            if not result:
                return text
        return None

    def hold(self, params: Mapping[str, Value]) -> bool:
        """Return whether values meet all constraints; one that cannot be computed of them is not met."""
        try:
            return self.broken(params) is None
        except BadSpace:
            return False


def _called(find: Callable[[], Callable[[Any], Any]], values: dict[str, Value]) -> Any:
    return find()(dict(values))


def _parse(text: str, known: set[str]) -> tuple[set[str], ast.Expr]:
    """Return the names of parameters in a constraint, and the constraint as simpleeval wants it."""
    if len(text) > _LONGEST:
        raise BadSpace(f"constraint {text[:40]!r}... has {len(text):,} characters; give at most {_LONGEST:,}")
    try:
        whole = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise BadSpace(f"constraint {text!r} is not an expression: {first_line(error)}") from None
    names = {node.id for node in ast.walk(whole) if isinstance(node, ast.Name)}
    called = {
        node.func.id for node in ast.walk(whole) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    for name in sorted(called - FUNCTIONS.keys()):
        raise BadSpace(f"constraint {text!r}: {name!r} is not a function that it may use{nearest(name, FUNCTIONS)}")
    for name in sorted(names - called - known):
        raise BadSpace(f"constraint {text!r}: {name!r} is not a parameter of this search{nearest(name, known)}")
    if not names - called:
        raise BadSpace(f"constraint {text!r} names no parameter; known: {', '.join(sorted(known))}")
    return names - called, ast.Expr(whole)


def _with(names: set[str], values: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} = {shown(values[name])}" for name in sorted(names or values))
