"""Roles of hyperparameters: the values of scientific ones are compared, the nuisance ones are tuned for each of them.

Every trial has one *combination* of scientific values: a value of each scientific parameter. A stage takes the
combinations in turn, in a random order that its seed and the trial's number give, so that each has the same number of
trials, but for one. Fixed hyperparameters are those that ``[space]`` does not have.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import TYPE_CHECKING, TypeAlias

from hpsearch.errors import BadSpace
from hpsearch.records import draw_seed
from hpsearch.space import Categorical, Parameter, Space, Value, delivered_as, shown, value_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST = 100  # combinations of a space: each needs trials of its own
Combination: TypeAlias = "Mapping[str, Value]"


def scientific(space: Space) -> list[str]:
    """Return the names of the scientific parameters."""
    return [name for name, parameter in space.items() if parameter.role == "scientific"]


def combinations(space: Space) -> list[Combination]:
    """Return every combination of scientific values; without scientific parameters the empty one alone.

    Raises:
        BadSpace: There are more than `MOST`.
    """
    names = scientific(space)
    choices = [of.choices for of in map(space.__getitem__, names) if isinstance(of, Categorical)]
    if (count := prod(map(len, choices))) > MOST:
        raise BadSpace(f"role = 'scientific': {count:,} combinations to compare; give at most {MOST}")
    return [dict(zip(names, values, strict=True)) for values in product(*choices)]


def combination_of(every: Sequence[Combination], *, seed: int, number: int) -> Combination:
    """Return the combination of the trial with this number: each comes once in as many consecutive trials."""
    block, place = divmod(number, len(every))
    order = sorted(range(len(every)), key=lambda i: draw_seed(seed, block, f"combination {i}"))
    return every[order[place]]


def has(params: Mapping[str, Value], combination: Combination) -> bool:
    """Return whether a trial with these values has the combination."""
    return combination.items() <= params.items()


def applies(parameter: Parameter, combination: Combination) -> bool:
    """Return whether a parameter's conditions on scientific parameters hold in a combination."""
    return all(combination[other] in values for other, values in (parameter.when or {}).items() if other in combination)


def of_combination(name: str, parameter: Parameter, combination: Combination) -> tuple[str, Parameter]:
    """Return a nuisance parameter as it stands for one combination alone, ``lr[adam]``, and its name there."""
    when = dict(parameter.when or {})
    for other, value in combination.items():
        if when.get(other) != (value,):
            name, when[other] = value_name(name, value), (value,)
    return name, replace(parameter, when=when or None)


def within(name: str, parameter: Parameter, names: Sequence[str]) -> str:
    """Return a nuisance parameter's name beside the scientific ones, ``names``: ``lr`` for ``lr[adam]``."""
    given = {other: values for other, values in (parameter.when or {}).items() if other in names}
    return delivered_as(name, replace(parameter, when=given or None))


def label(combination: Combination) -> str:
    """Return a combination in a few words: ``adam``, or ``sgd, layers = 3`` of two parameters."""
    texts = (value if isinstance(value, str) else f"{name} = {shown(value)}" for name, value in combination.items())
    return ", ".join(texts)


def described(combination: Combination) -> str:
    """Return a combination with its names: ``optimizer = adam``."""
    return ", ".join(f"{name} = {shown(value)}" for name, value in combination.items())
