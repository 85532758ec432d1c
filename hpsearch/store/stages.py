"""Stages as the attributes of their Optuna studies, and the names of all attributes that are hpsearch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.errors import StageConflict
from hpsearch.records import ConfirmationPlan, Direction, NewStage, Stage
from hpsearch.space import space_from_dict, space_to_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

ATTRIBUTE_PREFIX = "hpsearch:"
"""Study and trial attributes of hpsearch begin with this, so that they never meet a user's."""
OWNER = f"{ATTRIBUTE_PREFIX}owner"
"""The trial system attribute with the runner that claimed the trial."""
NOBODY = "null"
"""The owner of a released trial, as JSON."""
RELEASED = f"{ATTRIBUTE_PREFIX}released"
"""The trial system attribute with the number of attempts in vain, and of the last one who, why and when."""
RANGES = f"{ATTRIBUTE_PREFIX}ranges"
"""The study attribute with a stage's ranges."""
ROSTER = f"{ATTRIBUTE_PREFIX}roster"
"""The study attribute with what each trial of a confirmation repeats."""
EVALUATIONS = f"{ATTRIBUTE_PREFIX}evaluations"
"""The attribute of a search's first study that lists every evaluation on the test set, the first one first."""
KIND = f"{ATTRIBUTE_PREFIX}kind"
CONFIRM = "confirm"
"""The kind of study that is a confirmation. Stages of a search have no kind."""
DECISIVE = tuple(f"{ATTRIBUTE_PREFIX}{field}" for field in ("ranges", "seed", "study_file", "data_fingerprint"))
"""The study attributes that a stage's trials follow from."""
_FIELDS = {
    "search": "search",
    "number": "number",
    "seed": "seed",
    "ranges": "space",
    "study_file": "study_file",
    "parent": "parent",
    "rule": "rule",
    "trials_used": "trials_used",
    "data_fingerprint": "fingerprint",
    "data_sizes": "sizes",
    "versions": "versions",
}
"""Attributes without their prefix, and the fields of `hpsearch.records.NewStage` that they hold."""
_IMPORTED = f"{ATTRIBUTE_PREFIX}imported"


def stage_attributes(new: NewStage) -> dict[str, Any]:
    """Return the user attributes of a stage's study, by key."""
    attributes = {f"{ATTRIBUTE_PREFIX}{key}": getattr(new, field) for key, field in _FIELDS.items()}
    for key in ("study_file", "rule", "data_sizes", "versions"):
        attributes[f"{ATTRIBUTE_PREFIX}{key}"] = dict(attributes[f"{ATTRIBUTE_PREFIX}{key}"])
    attributes[f"{ATTRIBUTE_PREFIX}trials_used"] = list(new.trials_used)
    attributes[RANGES] = space_to_dict(new.space)
    if new.imported:
        attributes[_IMPORTED] = dict(new.imported)
    if new.plan is not None:
        # Without a number it is no stage to an hpsearch from before there were confirmations.
        del attributes[f"{ATTRIBUTE_PREFIX}number"]
        attributes |= {KIND: CONFIRM, ROSTER: new.plan.to_dict()}
    return attributes


def is_same(stage: NewStage, attributes: Mapping[str, Any]) -> bool:
    """Return whether the trials of the study that has these attributes are those of a stage, value for value."""
    own = stage_attributes(stage)
    return all((attributes.get(key) or type(own[key])()) == own[key] for key in DECISIVE)


def stage_from_attributes(study_id: int, direction: Direction, attributes: Mapping[str, Any]) -> Stage | None:
    """Return the stage that a study's user attributes describe; None for a study that is not hpsearch's."""
    plain = {key: attributes.get(f"{ATTRIBUTE_PREFIX}{key}") for key in _FIELDS}
    plan = attributes.get(ROSTER) if attributes.get(KIND) == CONFIRM else None
    if plan is not None:
        plain["number"] = plain["parent"]
    if plain["search"] is None or plain["number"] is None or plain["ranges"] is None:
        return None
    return Stage(
        study_id=study_id,
        search=plain["search"],
        number=plain["number"],
        direction=direction,
        seed=plain["seed"] or 0,
        space=space_from_dict(plain["ranges"]),
        study_file=plain["study_file"] or {},
        parent=plain["parent"],
        rule=plain["rule"] or {},
        trials_used=tuple(plain["trials_used"] or ()),
        fingerprint=plain["data_fingerprint"] or "",
        sizes=plain["data_sizes"] or {},
        versions=plain["versions"] or {},
        plan=None if plan is None else ConfirmationPlan.from_dict(plan),
        imported=attributes.get(_IMPORTED) or {},
    )


def replaced(stage: Stage) -> StageConflict:
    """Return the error for a stage that is no longer what it was when the caller read it."""
    return StageConflict(f"{stage.name} was narrowed or begun anew meanwhile; start again to run it as it is now")
