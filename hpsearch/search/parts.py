"""Parts of a stage: the trials with one combination of scientific values, for which nuisance parameters are tuned.

A part calls its parameters as its combination does: ``lr`` for ``lr[adam]``. A stage without scientific parameters is
one part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.roles import Combination, applies, combinations, of_combination, scientific, within
from hpsearch.space import Parameter, Space, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpsearch.objectives.base import Hyperparameter
    from hpsearch.records import NewStage


@dataclass(frozen=True, slots=True)
class Part:
    """The nuisance parameters of a stage that have an effect with one combination of scientific values."""

    combination: Combination
    space: Space  # by their names in the part, without conditions on scientific values
    names: Mapping[str, str]  # the stage's names, by those in the part
    known: Mapping[str, Hyperparameter]  # what the kind knows of them, by the names in the part

    def select(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rows with the combination of a stage's columns (arrays), by the part's names."""
        chosen = None
        for name, wanted in self.combination.items():
            has = [value == wanted for value in columns[f"param:{name}"].tolist()]
            chosen = has if chosen is None else [a and b for a, b in zip(chosen, has, strict=True)]
        renamed = {f"param:{name}": columns[f"param:{own}"] for name, own in self.names.items()}
        kept = {name: column for name, column in columns.items() if not name.startswith("param:")} | renamed
        return kept if chosen is None else {name: column[chosen] for name, column in kept.items()}

    def params(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """Return a trial's values by the part's names."""
        return {name: params[own] for name, own in self.names.items() if own in params}

    def alone(self, stage: NewStage, own: str, parameter: Parameter) -> tuple[str, Parameter]:
        """Return a range of the part as one of the next stage, with its name there; ``own`` is the stage's name."""
        new, before = of_combination(own, stage.space[own], self.combination)
        names = {other: of_combination(other, stage.space[other], self.combination)[0] for other in self.names.values()}
        when = {names.get(other, other): values for other, values in (before.when or {}).items()}
        return new, replace(parameter, when=when or None)


def parts_of(stage: NewStage) -> list[Part]:
    """Return the parts of a stage, one for each combination of its scientific values."""
    names, known = scientific(stage.space), kinds.parameters(stage)
    parts = []
    for combination in combinations(stage.space):
        own = {
            name: within(name, parameter, names)
            for name, parameter in stage.space.items()
            if name not in names and applies(parameter, combination) and _used(known.get(name), combination)
        }
        space = {of: _within(stage.space[name], names, own) for name, of in own.items()}
        inside = {own[name]: _decided(natural, combination) for name, natural in known.items() if name in own}
        parts.append(Part(combination, space, {of: name for name, of in own.items()}, inside))
    return parts


def part_with(parts: Sequence[Part], combination: Combination) -> Part | None:
    """Return the part with a combination; None where there is none."""
    return next((part for part in parts if part.combination == combination), None)


def _within(parameter: Parameter, scientific: Sequence[str], names: Mapping[str, str]) -> Parameter:
    if parameter.when is None:
        return parameter
    when = {names.get(of, of): values for of, values in parameter.when.items() if of not in scientific}
    return replace(parameter, when=when or None)


def _used(natural: Hyperparameter | None, combination: Combination) -> bool:
    used_by = None if natural is None else natural.used_by
    return used_by is None or used_by.holds(combination)


def _decided(natural: Hyperparameter, combination: Combination) -> Hyperparameter:
    """Return what is known of a parameter, without a condition that the combination meets."""
    decided = natural.used_by is not None and natural.used_by.name in combination
    return natural._replace(used_by=None) if decided else natural
