"""A search as it is defined in Python: a function, its space and its settings in place of a study file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hpsearch.distributions import parameter_of
from hpsearch.errors import BadArgument, BadSpace, StageConflict
from hpsearch.functions import NotFound, imported
from hpsearch.objectives import kinds
from hpsearch.objectives.user.function import LOCAL, name_of
from hpsearch.records import Direction, Stage
from hpsearch.space import Categorical, Float, Int, Value, parameter_to_dict
from hpsearch.study_file import StudyFile, check_name, differences, parse

_KIND = "function"
Constraint: TypeAlias = str | Callable[[Mapping[str, Value]], bool]


@dataclass(frozen=True, eq=False)
class Definition:
    """The objective and the settings that `hpsearch.Search` was given."""

    name: str
    function: Callable[[Any], Any]
    plain: Mapping[str, Any]  # the sections of a study file, with those keys alone that were given

    def study(self, stages: Sequence[Stage]) -> StudyFile:
        """Return the study file of the search; what was not given is as the search was begun.

        Args:
            stages: The search's stages in the database.

        Raises:
            BadStudyFile: Something that was given makes no sense, or a new search has no direction.
            StageConflict: The search was begun with other settings.
        """
        kept = next((stage for stage in stages if kinds.trainable(stage)), None)
        base: Mapping[str, Any] = {}
        if kept is not None:
            base = kept.study_file
            if (kind := kinds.kind_of(base).name) != _KIND:
                raise StageConflict(f"{kept.name} was begun with a {kind}; give the search another name")
        elif stages:  # run elsewhere
            base = {"objective": {"metric": stages[0].metric, "direction": stages[0].direction}}
        plain = {**base, **self.plain, "name": self.name}
        for section in ("objective", "trials"):
            plain[section] = {**base.get(section, {}), **self.plain.get(section, {})}
        plain["objective"] |= {_KIND: self.registered(), "folder": os.getcwd()}
        study = parse(plain, source=self.name)
        if kept is not None:
            # The function is the same by what the caller says: it may have moved from a notebook to a module.
            changed = differences(
                base, study.to_dict() | {"objective": plain["objective"] | {_KIND: base["objective"][_KIND]}}
            )
            if words := "; ".join(changed):
                raise StageConflict(
                    f"{kept.name} was begun with other settings ({words}); give the search another name"
                )
        return study

    def registered(self) -> str:
        """Return the function's name in a study file, by which this process finds it."""
        return name_of(self.function, self.name)

    @property
    def local(self) -> bool:
        """Return whether no other process can import the function."""
        return self.registered() in LOCAL

    def words(self) -> str:
        """Return the reason why the function is called in this process alone."""
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return f"{name} runs in this process, as no other process can import it"


def define(
    name: str | None,
    function: Callable[[Any], Any],
    *,
    space: Mapping[str, Any] | None,
    direction: Direction | None,
    fixed: Mapping[str, Any] | None,
    constraints: Sequence[Constraint] | Constraint,
    sampler: str | None,
    seed: int | None,
    options: Mapping[str, Any],
) -> Definition:
    """Return the definition of a search.

    Args:
        options: Keys of ``[objective]``; those that are None are not given.

    Raises:
        BadArgument: The objective cannot be called, or the search has no name.
        BadSpace: A range that is none.
    """
    if not callable(function):
        raise BadArgument("objective", function, "it cannot be called", "give a function of one argument, the trial")
    if name is None or name.endswith(".toml"):
        raise BadArgument("name", name, "a search with an objective of its own needs a name", "no study file is read")
    given = {"direction": direction, **options}
    plain: dict[str, Any] = {"objective": {key: value for key, value in given.items() if value is not None}}
    plain["trials"] = {key: value for key, value in (("seed", seed), ("sampler", sampler)) if value is not None}
    if space is not None:
        plain["space"] = {key: _range(key, range_) for key, range_ in space.items()}
    if fixed:
        plain["fixed"] = dict(fixed)
    if constraints:
        several = [constraints] if isinstance(constraints, str) or callable(constraints) else constraints
        plain["constraints"] = list(map(_constraint, several))
    return Definition(check_name(name), function, plain)


def _constraint(given: Constraint) -> str:
    """Return a constraint as a study file has it: an expression, or the name of a function."""
    if isinstance(given, str):
        return given
    name = name_of(given) if callable(given) else ""
    try:
        if name and imported(name, (os.getcwd(),)) is given:
            return name
    except NotFound:
        pass
    raise BadArgument(
        "constraints", given, "it has no name in its module", "give an expression, or a function that a module defines"
    )


def _range(name: str, given: Any) -> dict[str, Any]:
    """Return a range as a study file has it; a mapping is one already, perhaps with a range for each value."""
    if isinstance(given, Mapping):
        forms = Float | Int | Categorical
        return {str(key): parameter_to_dict(of) if isinstance(of, forms) else of for key, of in given.items()}
    if isinstance(given, tuple) and len(given) == 2 and all(type(end) in (int, float) for end in given):
        raise BadSpace(f"{name} = {given}: a range or two choices? Give Float{given} or Int{given}, or {list(given)}")
    parameter, objects = parameter_of(name, given)
    if objects:
        choice = next(iter(objects))
        raise BadSpace(
            f"{name}: choice {choice!r} is no string, number, boolean or None; give each choice a name, and look it up "
            "in the function"
        )
    return parameter_to_dict(parameter)
