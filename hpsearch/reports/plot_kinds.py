"""What ``hpsearch plot`` can draw, and what it may be told; light enough to be read by ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """What may be drawn."""

    curves = "curves"
    parameters = "parameters"
    pair = "pair"
    parallel = "parallel"
    history = "history"
    importance = "importance"
    lineage = "lineage"
    stages = "stages"


WORDS: Mapping[Kind, str] = {
    Kind.curves: "learning curves of the best trials of a stage, a panel each",
    Kind.parameters: "score against every hyperparameter of a stage, or against one",
    Kind.pair: "two hyperparameters, coloured by score, with the ranges of all stages",
    Kind.parallel: "a line for each trial of a stage, across all hyperparameters",
    Kind.history: "every score in the order of the trials, and the best so far",
    Kind.importance: "which hyperparameters mattered in a stage, beside chance",
    Kind.lineage: "which stage came from which, how ranges narrowed, the best scores",
    Kind.stages: "the distribution of the scores, stage by stage",
}
"""What each kind shows, for people."""
OF_ONE_STAGE = frozenset({Kind.curves, Kind.parameters, Kind.parallel, Kind.importance})
"""Kinds that look at one stage; the others look at all, or at one where it is named."""
OF_ALL_STAGES = frozenset({Kind.lineage, Kind.stages})
"""Kinds to which one stage makes no sense."""
MOST_CURVES = 20
_TIMES = {1: "once", 2: "twice"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be drawn. None: what suits the kind.

    Args:
        kind: What.
        parameters: Hyperparameters: one of ``parameters`` and ``curves``, two of ``pair``.
        top: How many of the best trials are drawn (``curves``) or highlighted (``parameters``, ``parallel``).
        quantity: ``accuracy`` or ``loss``, of ``curves``.

    Raises:
        BadInput: Something that the kind has no use for, or too many of it.
    """

    kind: Kind
    parameters: tuple[str, ...] = ()
    top: int | None = None
    quantity: str | None = None

    def __post_init__(self) -> None:
        takers: Mapping[str, tuple[object, tuple[Kind, ...]]] = {
            "--parameter": (self.parameters or None, (Kind.curves, Kind.parameters, Kind.pair)),
            "--top": (self.top, (Kind.curves, Kind.parameters, Kind.parallel)),
            "--quantity": (self.quantity, (Kind.curves,)),
        }
        for option, (value, kinds) in takers.items():
            if value is not None and self.kind not in kinds:
                raise BadInput(f"{option} is of no use to {self.kind}, only to {', '.join(kinds)}; leave it out")
        wanted = (2,) if self.kind is Kind.pair else (1,)
        if self.parameters and len(self.parameters) not in wanted:
            many = "two" if wanted == (2,) else "one"
            times = _TIMES.get(len(self.parameters), f"{len(self.parameters)} times")
            raise BadInput(f"--parameter is given {times}; {self.kind} takes {many}")
        if len(set(self.parameters)) < len(self.parameters):
            raise BadInput(f"--parameter {self.parameters[0]} is given twice; give two different ones")
        if self.top is not None and self.top < 1:
            raise BadInput(f"--top {self.top}; give at least 1")
        if self.kind is Kind.curves and self.top is not None and self.top > MOST_CURVES:
            raise BadInput(f"--top {self.top}; more than {MOST_CURVES} panels cannot be read, give up to {MOST_CURVES}")
