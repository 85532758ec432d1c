"""A figure with its words, for a wide screen and for a narrow one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hpsearch.reports import figures
from hpsearch.reports.page.contents import Drawing
from hpsearch.reports.page.drawn import plain_figure
from hpsearch.reports.page.narrow import narrowed

if TYPE_CHECKING:
    import plotly.graph_objects as go

NUMBERS = "The numbers"
"""Under which a figure's table is folded away."""


def drawing(key: str, title: str, caption: str, figure: go.Figure, **more: Any) -> Drawing:
    """A figure with its words.

    Args:
        key: A name for links.
        title: What it shows, in a few words.
        caption: What there is to see, in a sentence.
        figure: The figure; what it says of itself becomes its alternative text.
        more: Further fields, or other ones than follow from the figure.
    """
    drawn = plain_figure(figure)
    defaults = {
        "alt": figures.describe(figure),
        "narrow": narrowed(drawn["layout"]),
    }
    return Drawing(key=key, title=title, caption=caption, figure=drawn, **{**defaults, **more})
