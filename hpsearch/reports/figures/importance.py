"""Which hyperparameters mattered, beside what chance alone would give."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from hpsearch.reports.figures.style import colour, empty_figure, nothing, tell, words

if TYPE_CHECKING:
    from hpsearch.reports.importance import Importance

_LINE = 100
"""Characters of a line above the data."""


def importances(importance: Importance, *, title: str | None = None) -> go.Figure:
    """Plot each hyperparameter's share of the importance as a bar, with a mark at what chance alone would give.

    Args:
        importance: What `hpsearch.reports.importance.importance` returns.
    """
    if not importance.shares:
        text = "; ".join(importance.notes) or "there is nothing to compare"
        return tell(nothing(text, title=title), f"Importance of the hyperparameters: {text}.")
    shares, names = importance.shares, list(importance.shares)[::-1]
    marks = {name: min(importance.chance[name], 1.0) for name in names}
    left = "; ".join(f"{words(name)}: {reason}" for name, reason in importance.left_out.items())
    notes = [*importance.notes, *([f"not judged: {left}"] if left else [])]
    lines = [line for note in notes for line in wrap(note, _LINE)]
    figure = empty_figure(title=title, key="<br>".join(lines) or None, legend=True)
    longest = max(*shares.values(), *marks.values())
    clear = importance.above_chance
    for label, ink, some in (
        ("more than chance", colour(0), [name for name in names if name in clear]),
        ("may be chance", "#A6A6A6", [name for name in names if name not in clear]),
    ):
        if some:
            figure.add_bar(
                x=[shares[name] for name in some],
                y=[words(name) for name in some],
                name=label,
                orientation="h",
                width=0.6,
                marker={"color": ink},
                hovertemplate="%{y}: %{x:.1%}<extra></extra>",
            )
    figure.add_scatter(
        x=list(marks.values()),
        y=[words(name) for name in names],
        name="chance: any reaches its mark in 1 of 20 searches",
        mode="markers",
        marker={"symbol": "line-ns", "size": 22, "line": {"width": 2.5, "color": colour(1)}},
        hovertemplate="%{y}: by chance any reaches its mark in 1 of 20 searches<extra></extra>",
    )
    figure.add_scatter(
        # At the end of the bar, or behind its mark where they would meet.
        x=[
            marks[name] if shares[name] <= marks[name] <= shares[name] + 0.09 * longest else shares[name]
            for name in names
        ],
        y=[words(name) for name in names],
        name="share",
        mode="text",
        text=[f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{shares[name]:.0%}" for name in names],
        textposition="middle right",
        cliponaxis=False,
        hoverinfo="skip",
        showlegend=False,
    )
    among = f"the best {importance.best} of {importance.trials:,} trials"
    figure.update_xaxes(
        title_text=f"share of the importance for being among {among}",
        tickformat=".0%",
        range=[0, min(1.12 * longest + 0.04, 1.12)],
    )
    figure.update_yaxes(showgrid=False, ticks="", categoryorder="array", categoryarray=[words(name) for name in names])
    figure.update_layout(height=figure.layout.margin.t + figure.layout.margin.b + max(120, 44 * len(names)))
    first = ", ".join(f"{words(name)} {share:.0%}" for name, share in shares.items())
    more = ", ".join(words(name) for name in clear) or "none"
    rest = "".join(f" {note[:1].upper()}{note[1:]}." for note in notes)
    text = f"Importance of the hyperparameters: {first}. More than chance would give: {more}.{rest}"
    return tell(figure, text, least_width=600)
