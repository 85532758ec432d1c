"""The kinds of objectives, and the properties of a stage by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from hpsearch.errors import BadStudyFile, nearest
from hpsearch.objectives.network.kind import NetworkKind
from hpsearch.objectives.user.kind import CommandKind, EstimatorKind, FunctionKind
from hpsearch.space import delivered, delivered_as, present

if TYPE_CHECKING:
    from hpsearch.objectives.base import CurveSign, Hyperparameter, Kind
    from hpsearch.records import NewStage

DEFAULT: Kind = NetworkKind()
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (DEFAULT, CommandKind(), EstimatorKind(), FunctionKind())}
"""By name; that of a kind of the user's own is also the key under ``[objective]`` that says what it runs."""


def kind_of(plain: Mapping[str, Any]) -> Kind:
    """Return the kind that the ``[objective]`` of a study file names or has the key of; without either, the network.

    Raises:
        BadStudyFile: There is no such kind.
    """
    section = plain.get("objective")
    if not isinstance(section, Mapping):
        return DEFAULT
    if "kind" not in section:
        return next((kind for name, kind in KINDS.items() if name in section), DEFAULT)
    name = str(section["kind"])
    if name not in KINDS:
        raise BadStudyFile(f"objective.kind = {name!r}{nearest(name, KINDS)}")
    return KINDS[name]


def settings(stage: NewStage) -> dict[str, Any]:
    """Return the values of the parameters that a stage does not sample; empty where it was run elsewhere."""
    return kind_of(stage.study_file).settings(stage.study_file) or {}


def epochs(stage: NewStage) -> int | None:
    """Return the length of a whole learning curve; None: unknown, or trials have none."""
    return kind_of(stage.study_file).epochs(stage.study_file)


def trained_epochs(stage: NewStage) -> int | None:
    """Return how many epochs a stage's trials are trained for; None: they have none, or that is not known."""
    return kind_of(stage.study_file).trained_epochs(stage.study_file)


def trainable(stage: NewStage) -> bool:
    """Return whether a stage has a study file to train by; one imported from elsewhere has at most its metric."""
    return kind_of(stage.study_file).settings(stage.study_file) is not None


def foreign(stage: NewStage) -> bool:
    """Return whether a stage was imported without a study file or fitted from Python, so that it cannot be run here."""
    return not trainable(stage) and (bool(stage.imported) or "estimator" in stage.study_file.get("objective", {}))


def retries(plain: Mapping[str, Any]) -> int:
    """Return how often a trial is tried again that failed for a reason which is not its own."""
    return int(plain.get("objective", {}).get("retries", 0))


def is_users(stage: NewStage) -> bool:
    """Return whether the objective is the user's own, of whose parameters, curves and attributes nothing is known."""
    return kind_of(stage.study_file).parameters is None


def evaluates(stage: NewStage) -> bool:
    """Return whether models with the values of a stage's trials can be scored on a test set, as far as is known."""
    kind, data = kind_of(stage.study_file), stage.study_file.get("data", {})
    return not foreign(stage) and kind.evaluates and (kind is DEFAULT or bool(data.get("test")))


def reports_noise(stage: NewStage) -> bool:
    """Return whether the noise of its scores is what trials report of it, as folds or a standard error."""
    return kind_of(stage.study_file) is not DEFAULT


def parameters(stage: NewStage) -> dict[str, Hyperparameter]:
    """Return the natural bounds of a stage's parameters, where they are known; of one run elsewhere none are."""
    if not trainable(stage):
        return {}
    known = kind_of(stage.study_file).parameters or {}
    names = {name: delivered_as(name, parameter) for name, parameter in stage.space.items()}
    return {name: known[known_as] for name, known_as in names.items() if known_as in known}


def used(stage: NewStage, params: Mapping[str, Any]) -> list[str]:
    """Return the names of a trial's sampled values that have an effect in it.

    A value of None is none that was sampled, unless it is a choice. All have an effect in imported trials, whose names
    may mean something else.
    """
    kind = kind_of(stage.study_file)
    fixed = kind.settings(stage.study_file)
    sampled = present(stage.space, params)
    if fixed is None:
        return [name for name in params if name in sampled]
    values = {**fixed, **delivered(stage.space, sampled)}
    return [name for name in params if name in sampled and kind.uses(delivered_as(name, stage.space[name]), values)]


def may_lack(stage: NewStage) -> set[str]:
    """Return the parameters that a trial of a stage need not have.

    They are the conditional ones, and those that trials declare themselves or that were run elsewhere, of whose
    conditions nothing is known.
    """
    unknown = stage.space if foreign(stage) or stage.defined_by_run else stage.declared
    return {name for name, parameter in stage.space.items() if name in unknown or parameter.when is not None}


def scored_at(stage: NewStage) -> Literal["last", "best"] | None:
    """Return which point of its learning curve is a trial's score; None: none is."""
    return kind_of(stage.study_file).scored_at(stage.study_file)


def curve_bounds(stage: NewStage) -> Mapping[str, tuple[float, float] | None]:
    """Return the quantities of a stage's learning curves; see `hpsearch.objectives.base.Kind.curve_bounds`.

    Of trials that were run elsewhere, or by an objective of the user's own, only their score's curve is known.
    """
    return {stage.metric: None} if foreign(stage) or is_users(stage) else kind_of(stage.study_file).curve_bounds


def remedies(stage: NewStage) -> Mapping[CurveSign, str]:
    """Return what can be done about signs in the learning curves."""
    return kind_of(stage.study_file).remedies


def examples(stage: NewStage) -> int | None:
    """Return how many validation examples a score is the share of; None: it is no share, or that is not known."""
    return kind_of(stage.study_file).examples(stage.study_file, stage.sizes)
