"""Figures of stages and their trials: one of a search by its kind, or those of its report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hpsearch.errors import BadArgument, BadInput, nearest
from hpsearch.objectives.kinds import curve_bounds, examples, used
from hpsearch.reports import figures
from hpsearch.reports.figures.trials import complete
from hpsearch.reports.plot_kinds import MOST_CURVES, OF_ONE_STAGE, PlotKind, PlotRequest
from hpsearch.reports.tables import curve_rows, used_only, varied
from hpsearch.space import Categorical, Float
from hpsearch.statistics import Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from hpsearch.records import Stage
    from hpsearch.reports.importance import Importance
    from hpsearch.space import Space
    from hpsearch.store import Store


@dataclass(frozen=True, slots=True, eq=False)
class StageTrials:
    """A stage and all its trials, without the values that had no effect (`hpsearch.reports.tables.used_only`)."""

    stage: Stage
    trials: pd.DataFrame

    @classmethod
    def of(cls, store: Store, stages: Sequence[Stage]) -> list[StageTrials]:
        """Return stages with their trials."""
        return [cls(stage, used_only(store.trials(stage), stage)) for stage in stages]

    @property
    def label(self) -> str:
        """The stage's name within its search: ``stage 1``."""
        return f"stage {self.stage.number}"

    def count(self, *states: str) -> int:
        """Return how many of its trials are in one of some states, in Optuna's words."""
        return int(self.trials["state"].isin(states).sum())

    @property
    def complete(self) -> pd.DataFrame:
        """The trials with a score."""
        return complete(self.trials)

    @property
    def scored(self) -> dict[str, Any]:
        """The metric and the direction, as figures take them."""
        return {"metric": self.stage.metric, "direction": self.stage.direction}

    def by_parameters(self, space: Space, narrowed: Space, best: int, title: str | None = None) -> go.Figure:
        """Plot the score against each parameter, with the best trials highlighted."""
        return figures.score_by_parameters(self.trials, space, narrowed=narrowed, best=best, title=title, **self.scored)

    def parallel(self, best: int, title: str | None = None) -> go.Figure:
        """Plot a line for each trial across the parameters that differ."""
        space = varied(self.trials, self.stage.space)
        return figures.parallel(self.trials, space, best=best, title=title, **self.scored)

    def importance(self) -> Importance:
        """Return which parameters mattered."""
        from hpsearch.reports.importance import importance  # with SciPy it takes 2 s to load

        stage = self.stage
        return importance(self.trials, stage.space, direction=stage.direction, used=lambda params: used(stage, params))


def history(
    stages: Sequence[StageTrials], interval: Interval | None, *, corrected: bool = False, title: str | None = None
) -> go.Figure:
    """Plot every score in the order of the trials, with the interval of the best one."""
    return figures.search_history(
        {stage.label: stage.trials for stage in stages},
        interval=None if interval is None else (interval.low, interval.high),
        corrected=corrected,
        title=title,
        **stages[0].scored,
    )


def scores_by_stage(stages: Sequence[StageTrials], title: str | None = None) -> go.Figure:
    """Plot the distribution of the scores, stage by stage."""
    return figures.scores_by_stage({stage.label: stage.trials for stage in stages}, title=title, **stages[0].scored)


def lineage(stages: Sequence[StageTrials], *, columns: int = 3, title: str | None = None) -> go.Figure:
    """Plot how the ranges narrowed."""
    frames = {stage.stage.number: stage.trials for stage in stages}
    metric = stages[0].stage.metric
    return figures.lineage([stage.stage for stage in stages], frames, metric=metric, columns=columns, title=title)


def pair(
    stages: Sequence[StageTrials], x: str, y: str, *, ranges: Sequence[Stage], title: str | None = None
) -> go.Figure:
    """Plot two parameters against each other, with the ranges of some stages."""
    columns = ["number", "state", "score", "validation_loss", f"param:{x}", f"param:{y}"]
    # A stage without a score has a column of another type.
    frames = [stage.trials[columns].astype({"score": float}) for stage in stages if len(stage.trials)]
    return figures.pair(
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns),
        x,
        y,
        space=ranges[0].space,
        rectangles={f"stage {stage.number}": stage.space for stage in ranges},
        title=title,
        **stages[0].scored,
    )


def plot(
    store: Store, stages: Sequence[Stage], request: PlotRequest, *, stage: Stage, alone: bool = False
) -> go.Figure:
    """Return a figure of a search.

    Args:
        stage: The stage of the kinds that show one stage.
        alone: Whether the other kinds show that stage only, too.

    Raises:
        BadInput: A hyperparameter that the stage does not have, or too few of them for the kind.
    """
    for name in request.parameters:
        if name not in stage.space:
            raise BadInput(f"{stage.name} has no hyperparameter {name!r}{nearest(name, stage.space)}")
    kind, name, best = request.kind, stage.name if alone else stage.search, request.top or 5
    if kind is PlotKind.curves:
        return _curves(store, stage, request)
    shown = StageTrials.of(store, [stage] if alone or kind in OF_ONE_STAGE else stages)
    match kind:
        case PlotKind.parameters:
            later = [after for after in stages if after.parent == stage.number]
            space = {name: stage.space[name] for name in request.parameters} or varied(shown[0].trials, stage.space)
            after = {name: later[-1].space[name] for name in space if later and name in later[-1].space}
            title = f"{stage.name}: score by {', '.join(request.parameters) or 'hyperparameter'}"
            return shown[0].by_parameters(space, after, best, title)
        case PlotKind.pair:
            # Ranges before lists of choices, otherwise in the study file's order.
            space = stages[0].space
            names = request.parameters or sorted(space, key=lambda name: isinstance(space[name], Categorical))
            if len(names) < 2:
                raise BadInput(f"pair needs two hyperparameters and {stage.search} has {len(names)}; plot parameters")
            x, y, *_ = names
            return pair(shown, x, y, ranges=stages, title=f"{name}: {x} and {y}")
        case PlotKind.parallel:
            return shown[0].parallel(best, f"{stage.name}: every trial across its hyperparameters")
        case PlotKind.history:
            return history(shown, _best_interval(shown), title=f"{name}: trial by trial")
        case PlotKind.importance:
            return figures.importances(shown[0].importance(), title=f"{stage.name}: which hyperparameters mattered")
        case PlotKind.lineage:
            return lineage(shown, title=f"{stage.search}: the stages and their ranges")
        case PlotKind.stages:
            return scores_by_stage(shown, f"{stage.search}: scores by stage")


def _curves(store: Store, stage: Stage, request: PlotRequest) -> go.Figure:
    quantities = curve_bounds(stage)
    if not quantities:
        raise BadInput(f"trials of {stage.name} keep no learning curves")
    quantity = request.quantity or next(iter(quantities))
    if quantity not in quantities:
        raise BadArgument("quantity", quantity, "trials keep no such curve", f"give {' or '.join(quantities)}")
    rows = curve_rows(store, stage, top=request.top or MOST_CURVES)
    ranges = [name for name, parameter in stage.space.items() if isinstance(parameter, Float)]
    whose = f"best {len(rows)} trials" if len(rows) > 1 else "best trial"
    return figures.curve_grid(
        rows,
        quantity=quantity,
        bounds=quantities[quantity],
        parameter=next(iter([*request.parameters, *ranges]), None),
        title=f"{stage.name}: learning curves of the {whose}",
    )


def _best_interval(stages: Sequence[StageTrials]) -> Interval | None:
    """Return the interval of the best score, as if the trial had not been chosen for being the best."""
    scores = [score for stage in stages for score in stage.complete["score"].dropna()]
    count = examples(stages[0].stage)
    return wilson(round(max(scores) * count), count) if count and scores and 0 <= max(scores) <= 1 else None
