"""Figures in a notebook, as images: what shows a stored notebook on the web runs no script."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from hpsearch.errors import MissingExtra
from hpsearch.reports.figures.saving import WIDTH, render
from hpsearch.reports.figures.style import describe

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCALE = 1.5
"""Pixels of the image for each px: sharp on a fine screen, and a figure of one panel stays below 100 kB."""


def show(figure: go.Figure) -> None:
    """Show a figure below the cell, as a PNG that is stored with the notebook.

    Args:
        figure: What to show; what `describe` says becomes the text for who cannot see it.

    Raises:
        MissingExtra: IPython or kaleido is not installed.
        OutputFailure: No browser was found, it did not start, or it did not draw.
    """
    try:
        from IPython.display import display  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtra("showing a figure in a notebook needs IPython; pip install 'hpsearch[notebooks]'") from error
    image, alt = base64.b64encode(render(figure, scale=SCALE)).decode(), describe(figure)
    width = figure.layout.width or WIDTH
    display(  # type: ignore[no-untyped-call, unused-ignore]
        {"image/png": image, "text/plain": alt}, raw=True, metadata={"image/png": {"alt": alt, "width": width}}
    )
