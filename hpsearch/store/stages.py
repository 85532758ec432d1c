"""A stage as the attributes of its Optuna study, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.errors import StageConflict
from hpsearch.records import ConfirmationPlan, Direction, NewStage, Stage
from hpsearch.space import space_from_dict, space_to_dict
from hpsearch.store.base import ATTRIBUTE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

RANGES = f"{ATTRIBUTE_PREFIX}ranges"
"""The study attribute with a stage's ranges."""
ROSTER = f"{ATTRIBUTE_PREFIX}roster"
"""The study attribute that says what each trial of a confirmation repeats."""
EVALUATIONS = f"{ATTRIBUTE_PREFIX}evaluations"
"""The attribute of a search's first study that lists every look at the test images, the first one first."""
KIND = f"{ATTRIBUTE_PREFIX}kind"
CONFIRM = "confirm"
"""The kind of study that is a confirmation. Stages of a search say no kind."""
_DECISIVE = ("ranges", "seed", "study_file", "data_fingerprint")
"""What a stage's trials follow from."""
DECISIVE = tuple(f"{ATTRIBUTE_PREFIX}{field}" for field in _DECISIVE)
"""The study attributes that a stage's trials follow from."""
_FIELDS = (
    "search",
    "number",
    "seed",
    "ranges",
    "study_file",
    "parent",
    "rule",
    "trials_used",
    "data_fingerprint",
    "data_sizes",
    "versions",
)
_IMPORTED = f"{ATTRIBUTE_PREFIX}imported"


def decisive(new: NewStage) -> dict[str, Any]:
    """What a stage's trials follow from, by the attributes' keys: with the same, every trial comes to the same."""
    attributes = stage_attributes(new)
    return {key: attributes[key] for key in DECISIVE}


def stage_attributes(new: NewStage) -> dict[str, Any]:
    """The user attributes of a stage's study, by key."""
    plain = {
        "search": new.search,
        "number": new.number,
        "seed": new.seed,
        "ranges": space_to_dict(new.space),
        "study_file": dict(new.study_file),
        "parent": new.parent,
        "rule": dict(new.rule),
        "trials_used": list(new.trials_used),
        "data_fingerprint": new.fingerprint,
        "data_sizes": dict(new.sizes),
        "versions": dict(new.versions),
    }
    attributes = {f"{ATTRIBUTE_PREFIX}{field}": plain[field] for field in _FIELDS}
    attributes |= {_IMPORTED: dict(new.imported)} if new.imported else {}
    if new.plan is None:
        return attributes
    # Without a number it is no stage to an hpsearch that knows of no confirmations.
    del attributes[f"{ATTRIBUTE_PREFIX}number"]
    return attributes | {KIND: CONFIRM, ROSTER: new.plan.to_dict()}


def stage_from_attributes(study_id: int, direction: Direction, attributes: Mapping[str, Any]) -> Stage | None:
    """The stage that a study's user attributes describe; None for a study that is not one of ours."""
    plain = {field: attributes.get(f"{ATTRIBUTE_PREFIX}{field}") for field in _FIELDS}
    roster = attributes.get(ROSTER) if attributes.get(KIND) == CONFIRM else None
    if roster is not None:
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
        plan=None if roster is None else ConfirmationPlan.from_dict(roster),
        imported=attributes.get(_IMPORTED) or {},
    )


def taken(name: str, where: str) -> StageConflict:
    """What to say when a stage is to be written and there is a study of that name."""
    return StageConflict(f"{name} is in {where} already, and an import touches nothing that is there; give --name NEW")


def in_order(stages: list[Stage], search: str | None, *, confirmations: bool = False) -> list[Stage]:
    """The stages of one search, or of all, by search and number; or their confirmations instead."""
    wanted = [
        stage
        for stage in stages
        if (search is None or stage.search == search) and (stage.plan is not None) is confirmations
    ]
    return sorted(wanted, key=lambda stage: (stage.search, stage.number))
