"""Reports: tables, figures, and a page about a search. Here: which figures there are, light enough for ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from hpsearch.errors import BadArgument

if TYPE_CHECKING:
    from collections.abc import Mapping


class PlotKind(StrEnum):
    """A kind of figure of a search."""

    curves = "curves"
    parameters = "parameters"
    pair = "pair"
    parallel = "parallel"
    history = "history"
    importance = "importance"
    lineage = "lineage"
    stages = "stages"
    isolation = "isolation"
    budget = "budget"


WORDS: Mapping[PlotKind, str] = {  # their contents
    PlotKind.curves: "learning curves of the best trials of a stage, a panel each",
    PlotKind.parameters: "score against every hyperparameter of a stage, or against one",
    PlotKind.pair: "two hyperparameters, coloured by score, with the ranges of all stages",
    PlotKind.parallel: "a line for each trial of a stage, across all hyperparameters",
    PlotKind.history: "every score in the order of the trials, and the best so far",
    PlotKind.importance: "which hyperparameters mattered in a stage, beside chance",
    PlotKind.lineage: "which stage came from which, how ranges narrowed, the best scores",
    PlotKind.stages: "the distribution of the scores, stage by stage",
    PlotKind.isolation: "the best of each part of every range, or of one, with the others tuned",
    PlotKind.budget: "the expected best of n trials of a stage, and the forecast of more",
}
# Kinds of one stage; the others are of all, or of one where it is named.
OF_ONE_STAGE = frozenset(
    {
        PlotKind.curves,
        PlotKind.parameters,
        PlotKind.parallel,
        PlotKind.importance,
        PlotKind.isolation,
        PlotKind.budget,
    }
)
OF_ALL_STAGES = frozenset({PlotKind.lineage, PlotKind.stages})  # kinds to which one stage makes no sense
OF_SAMPLES = frozenset({PlotKind.importance, PlotKind.budget})  # kinds that take the trials for a sample of the ranges
MOST_CURVES = 20  # learning curves of a figure: more panels than that cannot be read


@dataclass(frozen=True, slots=True)
class PlotRequest:
    """A figure to be made. None: the kind's default.

    Raises:
        BadArgument: One that the kind has no use for, or too many of it.
    """

    kind: PlotKind
    parameters: tuple[
        str, ...
    ] = ()  # hyperparameters: one of ``parameters``, ``curves`` and ``isolation``, two of ``pair``
    # how many of the best trials are plotted (``curves``) or highlighted (``parameters``, ``parallel``)
    top: int | None = None
    quantity: str | None = None  # what learning curves are of, such as ``loss``

    def __post_init__(self) -> None:
        curves, parameters, pair, parallel = PlotKind.curves, PlotKind.parameters, PlotKind.pair, PlotKind.parallel
        isolation = PlotKind.isolation
        for name, value, kinds in (
            ("parameter", self.parameters or None, (curves, parameters, pair, isolation)),
            ("top", self.top, (curves, parameters, parallel)),
            ("quantity", self.quantity, (curves,)),
        ):
            if value is not None and self.kind not in kinds:
                raise BadArgument(name, None, f"of no use to {self.kind}, only to {', '.join(kinds)}", "leave it out")
        needed, given = 2 if self.kind is pair else 1, len(self.parameters)
        if given not in (0, needed):
            raise BadArgument("parameter", None, f"{self.kind} takes {needed}, not {given}", f"give {needed}")
        if len(set(self.parameters)) < given:
            raise BadArgument("parameter", self.parameters[0], "given twice", "give two different ones")
        if self.top is not None and self.top < 1:
            raise BadArgument("top", self.top, "too few", "give at least 1")
        if self.kind is curves and (self.top or 0) > MOST_CURVES:
            raise BadArgument("top", self.top, "more panels than can be read", f"give up to {MOST_CURVES}")
