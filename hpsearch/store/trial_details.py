"""Trials with everything that is kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hpsearch.objectives import kinds
from hpsearch.space import Value, delivered, present

if TYPE_CHECKING:
    from hpsearch.records import Stage
    from hpsearch.store.store import Store


@dataclass(frozen=True, slots=True)
class TrialDetails:
    """A trial of a stage with everything that is kept of it."""

    stage: Stage = field(repr=False)
    row: Mapping[str, Any]  # its columns (`hpsearch.store.Store.columns`)
    curve: Sequence[float]  # its scores after each epoch
    attributes: Mapping[str, Any]  # whatever else is kept of it

    @property
    def number(self) -> int:
        """Return its number, 0 for the stage's first trial."""
        return int(self.row["number"])

    @property
    def state(self) -> str:
        """Return its state: ``COMPLETE``, ``PRUNED``, ``FAIL``, ``RUNNING`` or ``WAITING``."""
        return str(self.row["state"])

    @property
    def score(self) -> float | None:
        """Return its score; None where it has none."""
        score: float | None = self.row["score"]
        return score

    @property
    def params(self) -> dict[str, Value]:
        """Return its values by parameter, of those that it has."""
        values = {name: self.row[f"param:{name}"] for name in self.stage.space}
        return {name: values[name] for name in present(self.stage.space, values)}

    @property
    def resolved_params(self) -> dict[str, Value]:
        """Return its values as the objective gets them: with the fixed ones, and ranges per value under one name."""
        return {**kinds.settings(self.stage), **delivered(self.stage.space, self.params)}


def read(store: Store, stage: Stage, numbers: Sequence[int]) -> list[TrialDetails]:
    """Return trials of a stage by their numbers, in that order; those that are not there are left out."""
    stage = store.reread(stage) if stage.defined_by_run else stage
    columns, curves = store.columns(stage, numbers=numbers), store.points(stage, numbers)
    attributes = store.attributes_of(stage, numbers)
    rows = {
        row["number"]: row
        for row in (dict(zip(columns, of, strict=True)) for of in zip(*columns.values(), strict=True))
    }
    return [
        TrialDetails(stage, rows[number], curves.get(number, ()), attributes.get(number, {}))
        for number in numbers
        if number in rows
    ]
