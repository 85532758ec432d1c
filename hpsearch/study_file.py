"""The study file: a search as TOML, checked by pydantic.

Every kind of objective has ``name``, ``[space]``, ``[trials]`` and ``[pruning]``; the other sections are the kind's
(`hpsearch.objectives.base.Kind.sections`). A parameter in ``[space]`` is sampled; otherwise the value in the kind's
sections holds. A kind whose parameters are the user's own takes conditions (``when``) and ranges per value of another
parameter (``by``), which are spelled out when the file is read.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from hpsearch.constraints import Constraints
from hpsearch.errors import BadArgument, BadData, BadInput, BadSpace, BadStudyFile, MissingExtra, nearest
from hpsearch.files import content, replacing
from hpsearch.objectives.base import Data, Hyperparameter, Kind, Objective
from hpsearch.objectives.kinds import DEFAULT, kind_of
from hpsearch.objectives.sections import Count, Section, Seed, explained
from hpsearch.records import DEFAULT_STUDY, Action, Argument, Direction, NewStage
from hpsearch.roles import combinations
from hpsearch.samplers import check_sampling
from hpsearch.space import (
    Categorical,
    Float,
    Parameter,
    Space,
    Value,
    check_conditions,
    delivered_as,
    describe,
    parameter_from_dict,
    per_value,
    possible,
    shown,
    space_to_dict,
)
from hpsearch.text import either

PRUNING_RULES = ("none", "halving", "median")
STUDIES_FOLDER = Path("studies")
_DATA = (".npz", ".npy", ".csv", ".tsv", ".data", ".parquet", ".gz", "-ubyte")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_WHERE_RUN = ("devices", "folder", "retries", "trial_timeout")  # keys under ``[objective]`` that no score depends on
_MAY_CHANGE = {("trials", "count"), ("pruning", "rule"), *(("objective", key) for key in _WHERE_RUN)}
_TOP_LEVEL = ("name", "constraints")  # keys of the file that are no sections
_LISTED = ("bool", "categorical")  # the types whose values are listed as choices: they have no order


class Trials(Section):
    """The number of trials of a stage unless the run says otherwise, the seed of every draw, and the sampler.

    The samplers are those of `hpsearch.samplers.SAMPLERS`.
    """

    count: Count = 100
    seed: Annotated[Seed, Field(lt=2**63)] = 0
    sampler: Literal["random", "sobol", "halton"] = "random"


class Pruning(Section):
    """The rule by which unpromising trials are pruned; see `hpsearch.search.pruning`.

    Trials are compared within a ``cohort`` of consecutive ones, after ``min_epochs`` epochs and whenever
    ``reduction_factor`` times as many are over. The defaults of what is None here depend on the rule and on the
    epochs. ``startup_trials`` is the median rule's: so many must have run to the end before any is pruned.
    """

    rule: Literal["none", "halving", "median"] = "none"
    reduction_factor: Annotated[int, Field(ge=2)] | None = None
    min_epochs: Count | None = None
    cohort: Annotated[int, Field(ge=2)] | None = None
    startup_trials: Count = 5


def check_name(name: str) -> str:
    """Return a search's name, if it can be one.

    Raises:
        BadStudyFile: The name is empty, too long, or holds anything but letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _NAME.fullmatch(name):
        shown = repr(name if len(name) <= 40 else f"{name[:37]}...")
        raise BadStudyFile(
            f"{shown} ({len(name)} characters) is not a name for a search; "
            "use 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit"
        )
    return name


class _General(Section):
    """The sections that every kind of objective has."""

    name: Annotated[str, AfterValidator(check_name)]
    space: dict[str, Any]
    constraints: list[str] = Field(default_factory=list)
    trials: Trials = Trials()
    pruning: Pruning = Pruning()


@dataclass(frozen=True, slots=True)
class StudyFile:
    """A whole study file."""

    name: str  # of the search
    space: Mapping[str, Parameter]  # the ranges, in the order of the file
    trials: Trials  # how many, and the seed
    pruning: Pruning  # the rule
    kind: Kind  # the kind of objective
    sections: Any  # the kind's own (`hpsearch.objectives.base.Kind.sections`)
    constraints: tuple[str, ...] = ()  # expressions that every trial's values meet (`hpsearch.constraints`)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the values of the parameters that are not sampled."""
        return cast("dict[str, Any]", self.sections.settings)

    @property
    def metric(self) -> str:
        """Return the name of the score."""
        return cast("str", self.sections.metric)

    @property
    def direction(self) -> Direction:
        """Return whether a higher or a lower score is better."""
        return cast("Direction", self.sections.direction)

    @property
    def epochs(self) -> int | None:
        """Return the length of a whole learning curve; None: trials have none."""
        return cast("int | None", self.sections.epochs)

    def check_names(self) -> None:
        """Check every name that only the kind's libraries know, and that trials can be sampled.

        Raises:
            BadStudyFile: One of them is unknown.
            BadSpace: The constraints reject almost everything.
            MissingExtra: A package that the kind or the sampler needs is not installed.
        """
        try:
            self.kind.runtime().check(self.sections, self.space)
        except MissingExtra:
            raise
        except BadInput as error:
            raise BadStudyFile(f"the study file of {self.name}: {error}") from error
        check_sampling(self.first_stage())

    def first_stage(self, seed: int | None = None) -> NewStage:
        """Return stage 1 of a search that begins with this file, or with another seed than the file's."""
        seed = self.trials.seed if seed is None else seed
        return NewStage(self.name, 1, self.direction, seed, self.space, self.to_dict())

    def load(self, *, data_dir: Path | None = None) -> Data:
        """Load the data.

        Raises:
            BadData: They are unknown, damaged or too few.
        """
        return self.kind.runtime().load(self.sections, data_dir=data_dir)

    def objective(self, data: Data, *, seed: int, space: Space, name: str = "") -> Objective:
        """Return the objective of a stage with this seed, these ranges, and this name in the database."""
        return self.kind.runtime().objective(self.sections, data, seed=seed, space=space, name=name)

    def with_pruning(self, rule: str) -> StudyFile:
        """Return the same study file with another rule of pruning.

        Raises:
            BadArgument: No such rule, or none that the section's other values allow.
        """
        plain = self.to_dict()
        try:
            return _parsed(plain | {"pruning": plain["pruning"] | {"rule": rule}})
        except BadStudyFile as error:
            raise BadArgument("pruner", rule, str(error)) from error

    def with_epochs(self, epochs: int) -> StudyFile:
        """Return the same study file with trials of so many epochs.

        Raises:
            BadArgument: Its trials have no epochs, or the section on pruning does not allow so few.
        """
        try:
            return _parsed(self.kind.with_epochs(self.to_dict(), epochs))
        except BadStudyFile as error:
            raise BadArgument("epochs", epochs, str(error)) from error

    def run_as(self, other: StudyFile, *more: str) -> StudyFile:
        """Return the same study file with the settings of another one that no score depends on: devices, say.

        Args:
            other: The other one.
            *more: Further keys of ``[objective]`` that are to be as there.
        """
        mine, theirs = self.to_dict(), other.to_dict()["objective"]
        changed = {key: theirs[key] for key in (*_WHERE_RUN, *more) if key in theirs and key in mine["objective"]}
        return _parsed(mine | {"objective": mine["objective"] | changed}) if changed else self

    def to_dict(self) -> dict[str, Any]:
        """Return the whole file with every default filled in, as plain data; `parse` reads it back."""
        general = {"trials": self.trials.model_dump(mode="json"), "pruning": self.pruning.model_dump(mode="json")}
        return {
            "name": self.name,
            **self.sections.model_dump(mode="json"),
            **general,
            **({"constraints": list(self.constraints)} if self.constraints else {}),
            "space": space_to_dict(self.space),
        }

    def only_where(self, name: str) -> str:
        """Return the condition of a parameter: ``, only where optimizer is sgd``; nothing where it always holds."""
        used_by = _natural(name, self.kind).used_by
        conditions = dict(self.space[name].when or {})
        if used_by is not None and used_by.name in self.space:
            conditions[used_by.name] = used_by.values
        words = (f"{other} is {either(map(shown, values))}" for other, values in conditions.items())
        return f", only where {' and '.join(words)}" if conditions else ""


def parse(plain: Mapping[str, Any], *, source: str, folder: Path | None = None) -> StudyFile:
    """Return a study file from plain data, as from TOML or `StudyFile.to_dict`.

    Args:
        plain: The data.
        source: Where they are from; messages begin with it.
        folder: The folder that the file is in; None: what the data say of it holds.

    Raises:
        BadStudyFile: Something in it is unknown, missing or out of range; the message is one line.
    """
    try:
        return _parsed(plain, folder)
    except BadStudyFile as error:
        raise BadStudyFile(f"{source}: {error}") from error


def _parsed(plain: Mapping[str, Any], folder: Path | None = None) -> StudyFile:
    kind = kind_of(plain)
    models: tuple[type[BaseModel], ...] = (_General, kind.sections())
    fields = {name: field.annotation for model in models for name, field in model.model_fields.items()}
    parts: list[dict[str, Any]] = [{}, {}]
    for key, value in ({"space": {}, **plain} if kind.suggests else plain).items():
        parts[key not in _General.model_fields][key] = value
    read: list[Any] = []
    wrong: list[str] = []
    for model, part in zip(models, parts, strict=True):
        try:
            read.append(model.model_validate(part, context={"folder": folder}))
        except ValidationError as error:
            wrong += explained(error, fields, kind.also_called)
    if wrong:
        raise BadStudyFile("; ".join(dict.fromkeys(wrong[:3])))
    general, sections = read
    fixed = sections.settings if kind.parameters is None else {}
    space = _parse_space(general.space, kind, fixed)
    constraints = tuple(general.constraints)
    study = StudyFile(general.name, space, general.trials, general.pruning, kind, sections, constraints)
    sections.check(space)
    _check(study)
    try:
        Constraints(constraints, space, fixed)
    except BadSpace as error:
        raise BadStudyFile(str(error)) from error
    return study


def _parse_space(plain: Mapping[str, Any], kind: Kind, fixed: Mapping[str, Value]) -> dict[str, Parameter]:
    """Return the ranges of ``[space]``, with ranges per value as parameters of their own.

    A condition on a fixed value is decided here: it holds always, or it is refused.
    """
    space: dict[str, Parameter] = {}
    for name, range_ in plain.items():
        if name in _TOP_LEVEL and not isinstance(range_, Mapping):
            raise BadStudyFile(f"[space] {name} = {repr(range_)[:60]}: put it above the first [section]")
        if isinstance(range_, Mapping) and kind.parameters is not None and range_.keys() & {"by", "when"}:
            raise BadStudyFile(
                f"[space] {name}: this kind of objective knows itself which of its parameters depend on which; leave "
                "out by and when"
            )
        if isinstance(range_, Mapping) and "by" in range_:
            if (other := range_["by"]) in fixed:
                raise BadStudyFile(f"[space] {name}: by = {other!r}, which is in [fixed]; give {name} one range")
            space |= _parse_per_value(name, range_, kind, plain)
        else:
            space[name] = parse_parameter(name, range_, kind)
    for name, parameter in space.items():
        if (known := delivered_as(name, parameter)) in fixed:
            raise BadStudyFile(f"{known} is both in [fixed] and in [space]; leave it out of one of them")
        for other in (parameter.when or {}).keys() & fixed.keys():
            space[name] = parameter = _where_fixed(name, parameter, other, fixed[other])
    try:
        check_conditions(space)
        combinations(space)  # refuses too many
    except BadSpace as error:
        raise BadStudyFile(f"[space] {error}") from error
    return space


def _where_fixed(name: str, parameter: Parameter, other: str, value: Value) -> Parameter:
    """Return a parameter without its condition on another one, which is fixed at a value."""
    assert parameter.when is not None
    if value not in parameter.when[other]:
        raise BadStudyFile(
            f"[space] {name} has no effect: only {other} = {either(map(shown, parameter.when[other]))} uses it, and "
            f"[fixed] {other} = {shown(value)}; leave {name} out or change {other}"
        )
    return replace(parameter, when={key: values for key, values in parameter.when.items() if key != other} or None)


def _parse_per_value(name: str, plain: Mapping[str, Any], kind: Kind, space: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters that ``wd = { by = "optimizer", sgd = { ... }, adam = { ... } }`` stands for."""
    other, when = plain["by"], plain.get("when", {})
    ranges = {key: range_ for key, range_ in plain.items() if key not in ("by", "when")}
    if not isinstance(other, str) or other not in space:
        raise BadStudyFile(f"[space] {name}: by = {other!r} is not sampled{nearest(str(other), space)}")
    if not ranges:
        raise BadStudyFile(f"[space] {name}: by = {other!r} without ranges; give one for each value of {other}")
    parent = parse_parameter(other, space[other], kind)
    if isinstance(parent, Float):
        raise BadStudyFile(f"[space] {name}: by = {other!r}, which is a float; give {other} choices")
    values: Mapping[str, Value] = (
        {shown(choice): choice for choice in parent.choices}
        if isinstance(parent, Categorical)
        else {key: int(key) for key in ranges if key.isdecimal()}
    )
    parsed: dict[Value, Parameter] = {}
    for key, range_ in ranges.items():
        if key not in values:
            raise BadStudyFile(f"[space] {name}: {key!r} is not a value of {other}{nearest(key, values)}")
        own = {**range_, "when": {**when, **range_.get("when", {})}} if when and isinstance(range_, Mapping) else range_
        parsed[values[key]] = parse_parameter(f"{name}[{key}]", own, kind)
    return per_value(name, other, parsed)


def _check(study: StudyFile) -> None:
    """Check that something is sampled, that all of it has an effect in some trial, and that pruning can happen."""
    if not study.space:
        if not study.kind.suggests:
            raise BadStudyFile("[space] is empty; give at least one hyperparameter a range")
        for what, given in (("constraints", study.constraints), ("trials.sampler", study.trials.sampler != "random")):
            if given:
                raise BadStudyFile(f"{what} needs [space]: what suggest calls declare is sampled one by one, at random")
    for name in study.space:
        used_by = _natural(name, study.kind).used_by
        if used_by is None:
            continue
        values = possible(used_by.name, study.space, study.settings)
        if not set(used_by.values) & set(values):
            raise BadStudyFile(
                f"[space] {name} has no effect: only {used_by.name} = {either(used_by.values)} uses it, "
                f"and this search has {either(values)}; leave {name} out or change {used_by.name}"
            )
    first, epochs = study.pruning.min_epochs, study.epochs
    if study.pruning.rule != "none" and epochs is None:
        raise BadStudyFile(
            f"pruning.rule = {study.pruning.rule!r} needs epochs = ... under [objective], how many points the whole "
            "learning curve of a function or command has; an estimator has none"
        )
    if study.pruning.rule != "none" and first is not None and epochs is not None and 2 * first > epochs:
        raise BadStudyFile(
            f"pruning.min_epochs = {first} is more than half of the {epochs} epochs, so that no trial could be pruned; "
            f"give at most {epochs // 2}, or leave it out"
        )


def parse_parameter(name: str, plain: object, kind: Kind) -> Parameter:
    """Return a parameter's range from plain data.

    Raises:
        BadStudyFile: There is no such parameter, or its values cannot be these.
    """
    if kind.parameters is not None and name not in kind.parameters:
        known = nearest(kind.also_called.get(name.lower(), name), kind.parameters)
        raise BadStudyFile(f"[space] {name!r} is not a hyperparameter{known}")
    natural = _natural(name, kind)
    examples = "true, false" if natural.type == "bool" else "..."
    if not isinstance(plain, Mapping):
        form = f"choices = [{examples}]" if natural.type in _LISTED else "low = ..., high = ..., log = true"
        raise BadStudyFile(f"[space] {name} = {repr(plain)[:60]}; write {{ {form} }}")
    try:
        parameter = parameter_from_dict(plain, default_type="float" if natural.type in _LISTED else natural.type)
        if isinstance(parameter, Categorical):
            values: tuple[Any, ...] = parameter.choices
        elif natural.type in _LISTED:
            raise BadSpace(f"a range of numbers; give choices = [{examples}]")
        elif natural.type == "int" and not isinstance(parameter.low, int):
            raise BadSpace("type = 'float'; its values are whole numbers, so leave type out or make it 'int'")
        else:
            values = (parameter.low, parameter.high, *(parameter.limit or ()))
        for value in values:
            _check_value(name, natural, value)
    except BadSpace as error:
        raise BadStudyFile(f"[space] {name}: {error}") from error
    return parameter


def _natural(name: str, kind: Kind) -> Hyperparameter:
    return (kind.parameters or {}).get(name, Hyperparameter())


def _check_value(name: str, natural: Hyperparameter, value: object) -> None:
    if natural.type is None:  # whatever the range says
        return
    if natural.check is not None:
        try:
            natural.check(str(value))
        except ValueError as error:
            raise BadSpace(str(error)) from None
    elif natural.type == "bool":
        if not isinstance(value, bool):
            raise BadSpace(f"choice {value!r} is neither true nor false")
    elif natural.type == "categorical":
        if not isinstance(value, str):
            raise BadSpace(f"choice {value!r} is not a string")
        if natural.known and value not in natural.known:
            raise BadSpace(f"no {name} {value!r}{nearest(value, natural.known)}")
    else:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadSpace(f"choice {value!r} is not a number")
        if natural.type == "int" and not isinstance(value, int):
            raise BadSpace(f"{value!r} is not a whole number")
        misfit = natural.misfit(value)
        if misfit is not None:
            raise BadSpace(misfit)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Say where two resolved study files differ: ``trials.seed: 0 -> 1``.

    ``trials.count`` does not count: how many trials a stage has may change while it runs. Nor does ``pruning.rule``,
    which a run may have set, nor what no score depends on, which is that of the run. A key or section that one of them
    lacks has its default there: it was resolved before there was such a key.
    """
    fields = {**_General.model_fields, **kind_of(new).sections().model_fields}
    defaults = {
        name: field.default.model_dump(mode="json")
        for name, field in fields.items()
        if isinstance(field.default, Section)
    }
    for section in dict.fromkeys((*old, *new)):
        default = defaults.get(section)
        before, after = old.get(section, default), new.get(section, default)
        if not isinstance(before, Mapping) or not isinstance(after, Mapping):
            if before != after:
                yield f"{section}: {before!r} -> {after!r}"
            continue
        keys = dict.fromkeys((*before, *after))
        before, after = ({**defaults.get(section, {}), **side} for side in (before, after))
        for key in keys:
            if (section, key) not in _MAY_CHANGE and before.get(key) != after.get(key):
                pair = [before.get(key), after.get(key)]
                texts = list(map(repr, pair))
                if section == "space":
                    ranges = [value and describe(parameter_from_dict(value)) for value in pair]
                    texts = texts if ranges[0] == ranges[1] else [text or "none" for text in ranges]
                yield f"{section}.{key}: {' -> '.join(texts)}"


def read(path: Path) -> StudyFile:
    """Read and check a study file.

    Raises:
        BadStudyFile: It is missing, not TOML, or does not make sense.
    """
    try:
        text = content(path).decode("utf-8-sig")
    except BadData as error:
        raise BadStudyFile(str(error)) from error
    except UnicodeDecodeError as error:
        raise BadStudyFile(f"{path} is not a text file in UTF-8") from error
    return _from_text(text, source=str(path), folder=path.parent)


def _from_text(text: str, *, source: str, folder: Path | None = None) -> StudyFile:
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadStudyFile(f"{source} is not valid TOML: {' '.join(str(error).split())}") from error
    except (RecursionError, ValueError) as error:  # nested without end, or a number of thousands of digits
        raise BadStudyFile(f"{source} is not TOML that can be read: {' '.join(str(error).split())}") from error
    return parse(plain, source=source, folder=folder)


def shipped() -> dict[str, Traversable]:
    """Return the study files that ship in the package, by name."""
    # A checkout installed in place keeps them beside the package.
    folders = Path(__file__).resolve().parent.parent / "studies", resources.files("hpsearch") / "studies"
    files = (file for folder in folders if folder.is_dir() for file in folder.iterdir())
    return {file.name.removesuffix(".toml"): file for file in files if file.name.endswith(".toml")}


def find(study: str | None, *, folder: Path = STUDIES_FOLDER) -> StudyFile:
    """Return the study file at a path, or of a name in a folder or among the shipped ones; of None the default.

    Raises:
        BadStudyFile: There is no such file, or it does not make sense.
    """
    wanted = DEFAULT_STUDY if study is None else study
    local, is_path = folder / f"{wanted}.toml", "/" in wanted or wanted in (".", "..")
    if wanted.endswith(_DATA) or (os.path.isdir(wanted) and (is_path or not (local.is_file() or wanted in shipped()))):
        raise BadStudyFile(
            f"{wanted} is no study file; to search on data of your own, write a study file: `{{}}`",
            Action("init", {"name": "NAME", "data": wanted}),
        )
    if is_path or wanted.endswith(".toml"):
        return read(Path(wanted))
    check_name(wanted)
    if local.is_file():
        return read(local)
    if (file := shipped().get(wanted)) is not None:
        return _from_text(file.read_text(encoding="utf-8"), source=f"the shipped {wanted}.toml")
    known = {path.stem for path in folder.glob("*.toml")} | shipped().keys()
    written = Action("init", {"name": wanted})
    raise BadStudyFile(f"no study file {local}{nearest(wanted, known)}; `{{}}` writes one", written)


def write_study(
    name: str, text: str | None = None, *, folder: Path = STUDIES_FOLDER, force: bool = False, kind: Kind = DEFAULT
) -> Path:
    """Write a study file ``NAME.toml``, by default the commented one of a kind; its folder is made if it is missing.

    Raises:
        BadInput: The name is not one, the file is there already, or it cannot be written.
        OutputFailure: The disk is full, and the old file stays.
    """
    path = folder / f"{check_name(name)}.toml"
    if folder.exists() and not folder.is_dir():
        raise BadStudyFile(f"cannot write {path}: {folder} is not a folder; move that file away")
    if os.path.lexists(path) and not force:  # a link to nowhere, too
        raise BadStudyFile(f"{path} exists; use {{}} to overwrite it", Argument("force"))
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BadStudyFile(f"cannot write {path}: {error.strerror}") from error
    with replacing(path) as neighbour:
        neighbour.write_text(kind.template(name) if text is None else text, encoding="utf-8")
    return path
