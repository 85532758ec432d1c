"""Isolation plots: the best of each bucket of a parameter, with the others tuned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from hpsearch.reports.figures import style
from hpsearch.reports.figures.style import BREAK, NO_NAME, ParameterAxis, colour, field, nothing, tell
from hpsearch.reports.figures.trials import evenly, panel_columns, parameter_panels, points, without_scores
from hpsearch.search.isolation import isolate
from hpsearch.space import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hpsearch.reports.figures.trials import StageTrials
    from hpsearch.search.isolation import Bucket
    from hpsearch.search.scientific import ScientificValues
    from hpsearch.space import Space

_DOTS = 300  # trials in the background of a panel
_HALF = 0.03  # half the width of a single value, as a share of the axis


def isolation(
    trials: StageTrials,
    space: Space | None = None,
    *,
    buckets: Mapping[str, list[Bucket]] | None = None,
    scientific: ScientificValues | None = None,
    title: str | None = None,
    columns: int | None = None,
) -> go.Figure:
    """Plot the best trial of each bucket of each parameter, and the score that is expected with the others tuned.

    Args:
        space: Those of the stage's parameters that are plotted. None: those that vary.
        buckets: Theirs, where they are known (`isolated`).
        scientific: The comparison of scientific values; their panels show it.
        title: Of the figure.
        columns: Panels side by side. None: as many as read well.
    """
    space = space or trials.varied
    if not space:
        return tell(nothing("there is no parameter to plot", title=title), "There is no parameter to plot.")
    buckets = buckets or isolated(trials, space, scientific)
    columns = columns or panel_columns(space)
    ends = _ends(trials, buckets)
    figure = parameter_panels(
        [ParameterAxis(name, [parameter]) for name, parameter in space.items()],
        lambda x: _traces(trials, buckets[x.name], x, ends),
        columns=columns,
        ends=ends,
        metric=trials.metric,
        title=title,
    )
    if trials.complete.empty:
        without_scores(figure, trials)
    text = "; ".join(sentence(trials, name, buckets[name], scientific) for name in space if len(trials.complete))
    about = f"The best of each part of a range, with the other parameters tuned{': ' if text else ''}{text}"
    return tell(
        figure, f"{about}. {trials.summary_with_best}.", least_width=400 if len(space) == 1 else 76 + 190 * columns
    )


def isolated(trials: StageTrials, space: Space, scientific: ScientificValues | None = None) -> dict[str, list[Bucket]]:
    """Return the buckets of some parameters of a stage; `best` is a place among complete and then failed trials."""
    scores = np.concatenate([trials.complete["score"].to_numpy(float), np.full(len(trials.failed), np.nan)])
    params = {
        name: [*trials.complete[f"param:{name}"].tolist(), *trials.failed[f"param:{name}"].tolist()]
        for name in trials.stage.space
    }
    return isolate(trials.stage, scores, params, list(space), scientific=scientific)


def _sign(trials: StageTrials) -> float:
    return 1.0 if trials.stage.direction == "maximize" else -1.0


def sentence(
    trials: StageTrials, name: str, buckets: Sequence[Bucket], scientific: ScientificValues | None = None
) -> str:
    """Return in words which bucket is best with the others tuned, and how sure that is."""
    if scientific is not None and name in scientific.names:
        return "; ".join(map(str, scientific.sentences))
    sign = _sign(trials)
    known = [bucket for bucket in buckets if bucket.tuned is not None and bucket.interval is not None]
    if len(buckets) == len(known) == 1:
        return f"all values of {name} lie {part_words(known[0])}"
    if len(known) < 2:
        return f"of {name} too few trials have a score"
    best = max(known, key=lambda of: sign * (of.tuned or 0.0))
    assert best.interval is not None
    ends = sorted((sign * best.interval.low, sign * best.interval.high))
    others = [of.interval for of in known if of is not best and of.interval is not None]
    apart = sum(max(sign * of.low, sign * of.high) < ends[0] for of in others)
    rest = "the other part" if len(others) == 1 else f"the {len(others)} other parts"
    clear = rest if apart == len(others) else f"{apart} of {rest}"
    certain = f"its interval is clear of {clear}" if apart else f"its interval overlaps with that of {rest}"
    return (
        f"{name} is expected to be best {part_words(best)}: {trials.metric} {best.tuned:.3g} "
        f"({best.interval.low:.3g} to {best.interval.high:.3g}), {certain}"
    )


def part_words(bucket: Bucket) -> str:
    """Return a bucket in words: ``from 0.01 to 0.03``, ``at relu``."""
    if bucket.low == bucket.high or isinstance(bucket.low, str | bool | None):
        return f"at {shown(bucket.low)}"
    return f"from {bucket.low:.2g} to {bucket.high:.2g}"


def _traces(
    trials: StageTrials, buckets: Sequence[Bucket], x: ParameterAxis, ends: tuple[float, float]
) -> Iterator[go.Scatter]:
    """Plot all trials faintly, the interval and expected score of each bucket, and its best trial."""
    name, metric = x.name, trials.metric
    complete = trials.complete
    column = f"param:{name}"
    some = complete.iloc[evenly(len(complete), min(1.0, _DOTS / max(len(complete), 1)))].sort_values("number")
    yield points(
        some,
        x.positions(some[column]),
        some["score"].astype(float),
        "trials",
        {"color": style.MUTED, "size": 4, "opacity": 0.5},
        f"{metric} {field('y:.4g')}",
        names=[name],
    )
    spans = [_span(x, bucket) for bucket in buckets]
    known = [(span, bucket) for span, bucket in zip(spans, buckets, strict=True) if bucket.interval is not None]
    if known:
        across: list[float | None] = []
        upwards: list[float | None] = []
        for (left, right), bucket in known:
            assert bucket.interval is not None
            low, high = bucket.interval.low, bucket.interval.high
            across += [left, left, right, right, left, None]
            upwards += [low, high, high, low, low, None]
        yield go.Scatter(
            x=across,
            y=upwards,
            name="95 % interval",
            mode="lines",
            line={"width": 0},
            fill="toself",
            fillcolor=style.shade(0),
            hoverinfo="skip",
        )
        yield go.Scatter(
            x=[value for (left, right), _ in known for value in (left, right, None)],
            y=[value for _, bucket in known for value in (bucket.tuned, bucket.tuned, None)],
            name="expected, others tuned",
            mode="lines",
            line={"color": colour(0), "width": 2.4},
            hovertemplate=f"{metric} {field('y:.4g')} with the others tuned{NO_NAME}",
        )
    best = complete.iloc[[bucket.best for bucket in buckets]]
    trace = points(
        best,
        x.positions(best[column], step=0),
        best["score"].astype(float),
        "best trial of each part",
        {"color": colour(1), "size": 8},
        f"best of {field('customdata')} there{BREAK}{metric} {field('y:.4g')}",
        names=[name],
    )
    yield trace.update(customdata=[bucket.trials for bucket in buckets])


def _span(x: ParameterAxis, bucket: Bucket) -> tuple[float, float]:
    """Return the stretch of the axis that a bucket covers."""
    low, high = x.positions([bucket.low, bucket.high], step=0)
    if low < high:
        return low, high
    middle = x.fraction(low)
    return x.at(middle - _HALF), x.at(middle + _HALF)


def _ends(trials: StageTrials, buckets: Mapping[str, list[Bucket]]) -> tuple[float, float]:
    """Return the ends of the axis of scores: all best trials and expected scores, and not much more."""
    scores = trials.complete["score"].to_numpy(float)
    values = [scores[bucket.best] for several in buckets.values() for bucket in several]
    values += [
        end
        for several in buckets.values()
        for bucket in several
        if bucket.interval is not None
        for end in (bucket.interval.low, bucket.interval.high)
    ]
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 0.06 * abs(low) or 0.06
    return low - air, high + air
