"""A figure of a search by its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpsearch import roles
from hpsearch.errors import BadArgument, BadInput, nearest
from hpsearch.objectives.kinds import curve_bounds, examples
from hpsearch.reports import MOST_CURVES, OF_ONE_STAGE, PlotKind, PlotRequest, figures
from hpsearch.reports.figures import StageTrials
from hpsearch.reports.figures.trials import folded_space
from hpsearch.reports.importance import importance
from hpsearch.reports.tables import curve_rows
from hpsearch.search.scientific import scientific_values
from hpsearch.search.stage import compares
from hpsearch.space import Categorical, Float, delivered_as
from hpsearch.statistics import Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    import plotly.graph_objects as go

    from hpsearch.records import Stage
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
    kind, name, best = request.kind, stage.name if alone else stage.search, request.top or 5
    parameters = [*request.parameters]
    if kind is PlotKind.isolation:  # lr: also lr[sgd] and lr[adam], a panel each
        parameters = [own for of in parameters for own in _called(stage, of) or [of]]
    folds = kind in (PlotKind.parameters, PlotKind.pair)  # lr[sgd] and lr[adam] are one there
    known = {**folded_space(stage.space), **stage.space} if folds else stage.space
    for of in parameters:
        if of not in known:
            raise BadInput(f"{stage.name} has no hyperparameter {of!r}{nearest(of, known)}")
    if kind is PlotKind.curves:
        return _curves(store, stage, request)
    shown = [StageTrials.of(one, store.trials(one)) for one in ([stage] if alone or kind in OF_ONE_STAGE else stages)]
    match kind:
        case PlotKind.parameters:
            later = [after for after in stages if after.parent == stage.number and after.refinement is None]
            trials = shown[0].folded  # which has the columns of lr[sgd] and lr[adam] too
            space = {of: known[of] for of in parameters} or trials.varied
            after = {**folded_space(later[-1].space), **later[-1].space} if later else {}
            after = {of: after[of] for of in space if of in after}
            title = f"{stage.name}: score by {', '.join(parameters) or 'hyperparameter'}"
            return figures.score_by_parameters(trials, space, narrowed=after, best=best, title=title)
        case PlotKind.pair:
            # Ranges before lists of choices, otherwise in the study file's order.
            space = folded_space(stages[0].space)
            names = request.parameters or sorted(space, key=lambda name: isinstance(space[name], Categorical))
            if len(names) < 2:
                raise BadInput(f"pair needs two hyperparameters and {stage.search} has {len(names)}; plot parameters")
            x, y, *_ = names
            every = [replace(one, space={**folded_space(one.space), **one.space}) for one in stages]
            ranges = [one for one in every if x in one.space and y in one.space]
            return figures.pair([of.folded for of in shown], x, y, ranges=ranges, title=f"{name}: {x} and {y}")
        case PlotKind.parallel:
            title = f"{stage.name}: every trial across its hyperparameters"
            return figures.parallel(shown[0], best=best, title=title)
        case PlotKind.history:
            return figures.search_history(shown, interval=_best_interval(shown), title=f"{name}: trial by trial")
        case PlotKind.importance:
            title = f"{stage.name}: which hyperparameters mattered"
            return figures.importances(importance(shown[0]), title=title)
        case PlotKind.lineage:
            return figures.lineage(shown, title=f"{stage.search}: the stages and their ranges")
        case PlotKind.isolation:
            space = {name: stage.space[name] for name in parameters} or shown[0].varied
            title = f"{stage.name}: {', '.join(request.parameters) or 'each hyperparameter'} with the others tuned"
            same = [of for of in stages if compares(of, stage)]
            scientific = scientific_values(store, same) if roles.scientific(space) else None
            return figures.isolation(shown[0], space, scientific=scientific, title=title)
        case PlotKind.budget:
            return figures.best_of_n(shown[0], title=f"{stage.name}: the best of n trials")
        case PlotKind.stages:
            return figures.scores_by_stage(shown, title=f"{stage.search}: scores by stage")


def _called(stage: Stage, name: str) -> list[str]:
    """Return the parameters of a stage that an objective knows by a name, or the one of that name."""
    return [own for own, of in stage.space.items() if name in (own, delivered_as(own, of))]


def _curves(store: Store, stage: Stage, request: PlotRequest) -> go.Figure:
    quantities = curve_bounds(stage)
    if not quantities:
        raise BadInput(f"trials of {stage.name} keep no learning curves")
    quantity = request.quantity or next(iter(quantities))
    if quantity not in quantities:
        raise BadArgument("quantity", quantity, "trials keep no such curve", f"give {' or '.join(quantities)}")
    rows = curve_rows(store, stage, top=request.top or MOST_CURVES)
    if not any(row.get(f"{part}_{quantity}") for row in rows for part in ("train", "validation")):
        raise BadInput(f"no trial of {stage.name} with a score has a learning curve; plot history or parameters")
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
    scores = [score for stage in stages for score in stage.complete["score"].head(1)]
    count = examples(stages[0].stage)
    return wilson(round(max(scores) * count), count) if count and scores and 0 <= max(scores) <= 1 else None
