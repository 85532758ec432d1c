"""Which hyperparameters mattered, beside what chance alone would give."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from hpsearch.reports.figures.style import colour, empty_figure, needs, nothing, tell, words

if TYPE_CHECKING:
    from hpsearch.reports.importance import Importance

_LINE = 100
"""Characters of a line above the data."""


def importances(found: Importance, *, title: str | None = None) -> go.Figure:
    """Each hyperparameter's share of the importance as a bar, with a mark at what chance alone would give.

    Args:
        found: What `hpsearch.reports.importance.importance` says.
        title: Above the data.
    """
    if not found.shares:
        text = "; ".join(found.notes) or "there is nothing to compare"
        return tell(nothing(text, title=title), f"Importance of the hyperparameters: {text}.")
    names = list(found.shares)[::-1]
    left = "; ".join(f"{words(name)}: {reason}" for name, reason in found.left_out.items())
    notes = [*found.notes, *([f"not judged: {left}"] if left else [])]
    lines = [line for note in notes for line in wrap(note, _LINE)]
    figure = empty_figure(title=title, key="<br>".join(lines) or None, legend=True)
    shares = [found.shares[name] for name in names]
    longest = max(*shares, *(min(found.chance[name], 1.0) for name in names))
    needs(figure, 600)
    clear = set(found.above_chance)
    for name, group in (("more than chance", True), ("may be chance", False)):
        shown = [place for place in names if (place in clear) is group]
        if shown:
            figure.add_trace(
                go.Bar(
                    x=[found.shares[place] for place in shown],
                    y=[words(place) for place in shown],
                    name=name,
                    orientation="h",
                    width=0.6,
                    marker={"color": colour(0) if group else "#A6A6A6"},
                    hovertemplate="%{y}: %{x:.1%}<extra></extra>",
                )
            )
    figure.add_trace(
        go.Scatter(
            x=[min(found.chance[name], 1.0) for name in names],
            y=[words(name) for name in names],
            name="chance: any reaches its mark in 1 of 20 searches",
            mode="markers",
            marker={"symbol": "line-ns", "size": 22, "line": {"width": 2.5, "color": colour(1)}},
            hovertemplate="%{y}: by chance any reaches its mark in 1 of 20 searches<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[_beside(found.shares[name], found.chance[name], room=0.09 * longest) for name in names],
            y=[words(name) for name in names],
            name="share",
            mode="text",
            text=[f"\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{found.shares[name]:.0%}" for name in names],
            textposition="middle right",
            cliponaxis=False,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    figure.update_xaxes(
        title_text=f"share of the importance for being among the best {found.best} of {found.trials:,} trials",
        tickformat=".0%",
        range=[0, min(1.12 * longest + 0.04, 1.12)],
    )
    figure.update_yaxes(showgrid=False, ticks="", categoryorder="array", categoryarray=[words(name) for name in names])
    figure.update_layout(height=figure.layout.margin.t + figure.layout.margin.b + max(120, 44 * len(names)))
    first = ", ".join(f"{words(name)} {share:.0%}" for name, share in found.shares.items())
    more = ", ".join(words(name) for name in found.above_chance) or "none"
    rest = "".join(f" {note[:1].upper()}{note[1:]}." for note in notes)
    return tell(figure, f"Importance of the hyperparameters: {first}. More than chance would give: {more}.{rest}")


def _beside(share: float, mark: float, *, room: float) -> float:
    """Where a share's figures begin: at the end of its bar, or behind its mark where they would meet."""
    return mark if share <= mark <= share + room else share
