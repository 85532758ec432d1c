"""Constraints: what a trial's values must meet together, ``"units * layers <= 1024"``.

An expression of Python's over the names of parameters, with the functions of `FUNCTIONS`, read and computed by
simpleeval, which knows no imports, no attributes of Python's own and no endless powers.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING

from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes, InvalidExpression

from hpsearch.errors import BadSpace, nearest
from hpsearch.space import delivered, delivered_as, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hpsearch.space import Space, Value

FUNCTIONS = {
    **{function.__name__: function for function in (abs, min, max, round, int, float, len)},
    **{name: getattr(math, name) for name in ("log", "log2", "log10", "exp", "sqrt", "floor", "ceil")},
}
_LONGEST = 1000  # characters: deeper nesting than these hold breaks Python's parser


class Constraints:
    """The constraints of a space.

    One that names a parameter which a trial does not have says nothing about that trial.

    Args:
        texts: The expressions.
        space: The parameters that they may name. One with ranges per value has one name: ``wd``.
        fixed: Values of parameters that are not sampled, which they may name too.

    Raises:
        BadSpace: One of them is no expression, or names something unknown.
    """

    def __init__(self, texts: Sequence[str], space: Space, fixed: Mapping[str, Value]) -> None:
        self.space = space
        self.fixed = fixed
        # Copies: it adds functions of its own, which `_parse` does not let through.
        self._evaluator = EvalWithCompoundTypes(operators={**DEFAULT_OPERATORS}, functions={**FUNCTIONS})
        known = {*(delivered_as(name, parameter) for name, parameter in space.items()), *fixed}
        self._parsed = [(text, *_parse(text, known)) for text in texts]

    @property
    def names(self) -> set[str]:
        """The parameters of the space that a constraint names."""
        named = {name for _, names, _ in self._parsed for name in names}
        return {name for name, parameter in self.space.items() if delivered_as(name, parameter) in named}

    def broken(self, params: Mapping[str, Value]) -> str | None:
        """Return the first constraint that values do not meet; None: they meet all.

        Raises:
            BadSpace: One of them cannot be computed of these values, or is neither true nor false.
        """
        values = {**self.fixed, **delivered(self.space, params)}
        self._evaluator.names = values
        for text, names, parsed in self._parsed:
            if not names <= values.keys():
                continue
            try:
                result = self._evaluator.eval(text, previously_parsed=parsed)
            except (InvalidExpression, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise BadSpace(f"constraint {text!r}: {_with(names, values)}: {_first_line(error)}") from None
            if not isinstance(result, bool):
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


def _parse(text: str, known: set[str]) -> tuple[set[str], ast.Expr]:
    """Return the names of parameters in a constraint, and the constraint as simpleeval wants it."""
    if len(text) > _LONGEST:
        raise BadSpace(f"constraint {text[:40]!r}... has {len(text):,} characters; give at most {_LONGEST:,}")
    try:
        whole = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadSpace(f"constraint {text!r} is no expression: {_first_line(error)}") from None
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
    return ", ".join(f"{name} = {shown(values[name])}" for name in sorted(names))


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
