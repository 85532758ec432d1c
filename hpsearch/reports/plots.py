"""The figures that ``hpsearch plot`` draws: of a search in the database, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpsearch.errors import BadInput, nearest
from hpsearch.objectives import kinds
from hpsearch.reports.plot_kinds import MOST_CURVES, Kind, Plan
from hpsearch.space import Categorical, Float

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    import plotly.graph_objects as go

    from hpsearch.records import Direction, Stage
    from hpsearch.space import Space
    from hpsearch.store import Store


def plot(store: Store, stages: Sequence[Stage], plan: Plan, *, stage: Stage, alone: bool = False) -> go.Figure:
    """A figure of a search.

    Args:
        store: The study database.
        stages: All stages of the search.
        plan: What is to be drawn.
        stage: The stage that kinds of one stage look at.
        alone: Whether the other kinds look at that stage only.

    Raises:
        BadInput: A hyperparameter that the stage does not have, or too few of them for the kind.
    """
    return _DRAWN[plan.kind](_Search(store, tuple(stages), stage, alone), plan)


@dataclass(frozen=True, slots=True)
class _Search:
    store: Store
    stages: tuple[Stage, ...]
    stage: Stage
    alone: bool

    @property
    def metric(self) -> str:
        return self.stage.metric

    @property
    def direction(self) -> Direction:
        return self.stage.direction

    @property
    def looked_at(self) -> tuple[Stage, ...]:
        return (self.stage,) if self.alone else self.stages

    def trials(self) -> pd.DataFrame:
        """The stage's trials, without the values that had no effect."""
        from hpsearch.reports.rows import used_only

        return used_only(self.store.trials(self.stage), self.stage)

    def frames(self) -> dict[int, pd.DataFrame]:
        """The trials of all stages that are looked at, likewise."""
        from hpsearch.reports.rows import used_only

        return {stage.number: used_only(self.store.trials(stage), stage) for stage in self.looked_at}

    @property
    def narrowed(self) -> Space | None:
        """The ranges of the stage that was narrowed from this one, the latest."""
        later = [stage for stage in self.stages if stage.parent == self.stage.number]
        return later[-1].space if later else None

    def check(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self.stage.space:
                raise BadInput(f"{self.stage.name} has no hyperparameter {name!r}{nearest(name, self.stage.space)}")


def _label(stage: Stage) -> str:
    return f"stage {stage.number}"


def _curves(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures
    from hpsearch.reports.rows import curve_rows

    search.check(plan.parameters)
    rows = curve_rows(search.store, search.stage, top=plan.top or MOST_CURVES)
    ranges = [name for name, parameter in search.stage.space.items() if isinstance(parameter, Float)]
    shown = [*plan.parameters, *(name for name in ("lr", *ranges) if name in search.stage.space), None]
    many = f"best {len(rows)} trials" if len(rows) > 1 else "best trial"
    return figures.curve_grid(
        rows,
        quantity="loss" if plan.quantity == "loss" else "accuracy",
        parameter=shown[0],
        title=f"{search.stage.name}: learning curves of the {many}",
    )


def _parameters(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures
    from hpsearch.reports.rows import varied

    search.check(plan.parameters)
    stage, narrowed, frame = search.stage, search.narrowed, search.trials()
    common: dict[str, Any] = {"best": plan.top or 5, "metric": search.metric, "direction": search.direction}
    if plan.parameters:
        (name,) = plan.parameters
        after = None if narrowed is None else narrowed[name]
        return figures.score_by_parameter(
            frame, name, stage.space[name], narrowed=after, title=f"{stage.name}: score by {name}", **common
        )
    space = varied(frame, stage.space)
    after_all = None if narrowed is None else {name: narrowed[name] for name in space}
    return figures.score_by_parameters(
        frame, space, narrowed=after_all, title=f"{stage.name}: score by hyperparameter", **common
    )


def _pair(search: _Search, plan: Plan) -> go.Figure:
    import pandas as pd

    from hpsearch.reports import figures

    search.check(plan.parameters)
    # Ranges tell more than lists, and the first in the study file are the first in people's minds.
    space = search.stages[0].space
    names = sorted(space, key=lambda name: isinstance(space[name], Categorical))
    x, y = plan.parameters or (names[:2] if len(names) > 1 else (None, None))
    if x is None or y is None:
        raise BadInput(f"pair needs two hyperparameters and {search.stage.search} has {len(names)}; draw parameters")
    frames = [frame for frame in search.frames().values() if len(frame)]
    columns = ["number", "state", "score", "validation_loss", f"param:{x}", f"param:{y}"]
    rows = (
        pd.concat([frame[columns] for frame in frames], ignore_index=True) if frames else pd.DataFrame(columns=columns)
    )
    ranges = {_label(stage): {name: stage.space[name] for name in (x, y)} for stage in search.stages}
    whose = search.stage.name if search.alone else search.stage.search
    return figures.pair(
        rows,
        x,
        y,
        space=space,
        rectangles=ranges,
        metric=search.metric,
        direction=search.direction,
        title=f"{whose}: {x} and {y}",
    )


def _parallel(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures
    from hpsearch.reports.rows import varied

    frame = search.trials()
    return figures.parallel(
        frame,
        varied(frame, search.stage.space),
        best=plan.top or 5,
        metric=search.metric,
        direction=search.direction,
        title=f"{search.stage.name}: every trial across its hyperparameters",
    )


def _history(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures

    frames = search.frames()
    return figures.search_history(
        {_label(stage): frames[stage.number] for stage in search.looked_at},
        metric=search.metric,
        direction=search.direction,
        interval=_interval(search, list(frames.values())),
        title=f"{search.stage.name if search.alone else search.stage.search}: trial by trial",
    )


def _interval(search: _Search, frames: Sequence[pd.DataFrame]) -> tuple[float, float] | None:
    """Wilson's interval of the best accuracy, as if it had not been chosen for being the best; None for no accuracy."""
    from hpsearch.statistics import wilson

    images = kinds.examples(search.stage)
    scores = [score for frame in frames for score in frame.loc[frame["state"] == "COMPLETE", "score"].dropna()]
    if not images or not scores or not 0 <= max(scores) <= 1:
        return None
    best = wilson(round(max(scores) * images), images)
    return best.low, best.high


def _importance(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures
    from hpsearch.reports.importance import importance

    stage = search.stage
    found = importance(
        search.store.trials(stage), stage.space, direction=stage.direction, settings=kinds.settings(stage) or None
    )
    return figures.importances(found, title=f"{stage.name}: which hyperparameters mattered")


def _lineage(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures

    return figures.lineage(
        search.stages,
        search.frames(),
        metric=search.metric,
        title=f"{search.stage.search}: the stages and their ranges",
    )


def _stages(search: _Search, plan: Plan) -> go.Figure:
    from hpsearch.reports import figures

    frames = search.frames()
    return figures.scores_by_stage(
        {_label(stage): frames[stage.number] for stage in search.stages},
        metric=search.metric,
        direction=search.direction,
        title=f"{search.stage.search}: scores by stage",
    )


_DRAWN: Mapping[Kind, Callable[[_Search, Plan], go.Figure]] = {
    Kind.curves: _curves,
    Kind.parameters: _parameters,
    Kind.pair: _pair,
    Kind.parallel: _parallel,
    Kind.history: _history,
    Kind.importance: _importance,
    Kind.lineage: _lineage,
    Kind.stages: _stages,
}
