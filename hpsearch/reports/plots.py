"""Figures of a search in a database, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from hpsearch.errors import BadArgument, BadInput, nearest
from hpsearch.objectives.kinds import curve_bounds, examples, used
from hpsearch.reports import figures
from hpsearch.reports.plot_kinds import MOST_CURVES, PlotKind, PlotRequest
from hpsearch.reports.tables import curve_rows, used_only, varied
from hpsearch.space import Categorical, Float
from hpsearch.statistics import wilson

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import plotly.graph_objects as go

    from hpsearch.records import Stage
    from hpsearch.space import Space
    from hpsearch.store import Store


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
    return _FIGURES[request.kind](_Search(store, tuple(stages), stage, alone), request)


@dataclass(frozen=True, slots=True)
class _Search:
    store: Store
    stages: tuple[Stage, ...]
    stage: Stage
    alone: bool

    @property
    def scored(self) -> dict[str, Any]:
        return {"metric": self.stage.metric, "direction": self.stage.direction}

    @property
    def name(self) -> str:
        return self.stage.name if self.alone else self.stage.search

    def trials(self) -> pd.DataFrame:
        """Return the stage's trials, without the values that had no effect."""
        return used_only(self.store.trials(self.stage), self.stage)

    def frames(self) -> dict[int, pd.DataFrame]:
        """Return the trials of each stage, or of the one, by its number."""
        stages = (self.stage,) if self.alone else self.stages
        return {stage.number: used_only(self.store.trials(stage), stage) for stage in stages}

    def labelled(self) -> dict[str, pd.DataFrame]:
        return {f"stage {number}": frame for number, frame in self.frames().items()}

    @property
    def narrowed(self) -> Space:
        """The ranges of the latest stage that was narrowed from this one; none without one."""
        later = [stage for stage in self.stages if stage.parent == self.stage.number]
        return later[-1].space if later else {}


def _curves(search: _Search, request: PlotRequest) -> go.Figure:
    stage, quantities = search.stage, curve_bounds(search.stage)
    quantity = request.quantity or next(iter(quantities))
    if quantity not in quantities:
        raise BadArgument("quantity", quantity, "trials keep no such curve", f"give {' or '.join(quantities)}")
    rows = curve_rows(search.store, stage, top=request.top or MOST_CURVES)
    ranges = [name for name, parameter in stage.space.items() if isinstance(parameter, Float)]
    whose = f"best {len(rows)} trials" if len(rows) > 1 else "best trial"
    return figures.curve_grid(
        rows,
        quantity=quantity,
        bounds=quantities[quantity],
        parameter=next(iter([*request.parameters, *ranges]), None),
        title=f"{stage.name}: learning curves of the {whose}",
    )


def _parameters(search: _Search, request: PlotRequest) -> go.Figure:
    stage, narrowed, frame = search.stage, search.narrowed, search.trials()
    space = {name: stage.space[name] for name in request.parameters} or varied(frame, stage.space)
    after = {name: narrowed[name] for name in space if name in narrowed}
    title = f"{stage.name}: score by {', '.join(request.parameters) or 'hyperparameter'}"
    best = request.top or 5
    return figures.score_by_parameters(frame, space, narrowed=after, best=best, title=title, **search.scored)


def _pair(search: _Search, request: PlotRequest) -> go.Figure:
    # Ranges before lists of choices, otherwise in the study file's order.
    space = search.stages[0].space
    names = request.parameters or sorted(space, key=lambda name: isinstance(space[name], Categorical))
    if len(names) < 2:
        raise BadInput(f"pair needs two hyperparameters and {search.stage.search} has {len(names)}; plot parameters")
    x, y, *_ = names
    columns = ["number", "state", "score", "validation_loss", f"param:{x}", f"param:{y}"]
    frames = [frame[columns] for frame in search.frames().values() if len(frame)]
    return figures.pair(
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns),
        x,
        y,
        space=space,
        rectangles={f"stage {stage.number}": {x: stage.space[x], y: stage.space[y]} for stage in search.stages},
        title=f"{search.name}: {x} and {y}",
        **search.scored,
    )


def _parallel(search: _Search, request: PlotRequest) -> go.Figure:
    frame = search.trials()
    title = f"{search.stage.name}: every trial across its hyperparameters"
    space = varied(frame, search.stage.space)
    return figures.parallel(frame, space, best=request.top or 5, title=title, **search.scored)


def _history(search: _Search, request: PlotRequest) -> go.Figure:
    frames = search.labelled()
    scores = [score for frame in frames.values() for score in frame.loc[frame["state"] == "COMPLETE", "score"].dropna()]
    count, interval = examples(search.stage), None
    if count and scores and 0 <= max(scores) <= 1:
        # As if the trial had not been chosen for being the best.
        best = wilson(round(max(scores) * count), count)
        interval = best.low, best.high
    return figures.search_history(frames, interval=interval, title=f"{search.name}: trial by trial", **search.scored)


def _importance(search: _Search, request: PlotRequest) -> go.Figure:
    from hpsearch.reports.importance import importance  # Optuna takes 0.3 s to load, which other figures do without

    stage = search.stage
    shares = importance(
        search.store.trials(stage), stage.space, direction=stage.direction, used=lambda params: used(stage, params)
    )
    return figures.importances(shares, title=f"{stage.name}: which hyperparameters mattered")


def _lineage(search: _Search, request: PlotRequest) -> go.Figure:
    title = f"{search.stage.search}: the stages and their ranges"
    return figures.lineage(search.stages, search.frames(), metric=search.stage.metric, title=title)


def _stages(search: _Search, request: PlotRequest) -> go.Figure:
    title = f"{search.stage.search}: scores by stage"
    return figures.scores_by_stage(search.labelled(), title=title, **search.scored)


_FIGURES: Mapping[PlotKind, Callable[[_Search, PlotRequest], go.Figure]] = {
    PlotKind.curves: _curves,
    PlotKind.parameters: _parameters,
    PlotKind.pair: _pair,
    PlotKind.parallel: _parallel,
    PlotKind.history: _history,
    PlotKind.importance: _importance,
    PlotKind.lineage: _lineage,
    PlotKind.stages: _stages,
}
