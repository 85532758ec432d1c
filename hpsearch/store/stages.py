"""A stage as the attributes of its Optuna study, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.errors import StageConflict
from hpsearch.records import Direction, NewStage, Stage
from hpsearch.space import space_from_dict, space_to_dict
from hpsearch.store.base import ATTRIBUTE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

RANGES = f"{ATTRIBUTE_PREFIX}ranges"
"""The study attribute with a stage's ranges."""
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
    return attributes | ({_IMPORTED: dict(new.imported)} if new.imported else {})


def stage_from_attributes(study_id: int, direction: Direction, attributes: Mapping[str, Any]) -> Stage | None:
    """The stage that a study's user attributes describe; None for a study that is not one of ours."""
    plain = {field: attributes.get(f"{ATTRIBUTE_PREFIX}{field}") for field in _FIELDS}
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
        imported=attributes.get(_IMPORTED) or {},
    )


def taken(name: str, where: str) -> StageConflict:
    """What to say when a stage is to be written and there is a study of that name."""
    return StageConflict(f"{name} is in {where} already, and an import touches nothing that is there; give --name NEW")


def in_order(stages: list[Stage], search: str | None) -> list[Stage]:
    """The stages of one search, or of all, by search and number."""
    wanted = [stage for stage in stages if search is None or stage.search == search]
    return sorted(wanted, key=lambda stage: (stage.search, stage.number))
