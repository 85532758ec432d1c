"""A page as one file of HTML that needs nothing else: no network, no second file."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING

from hpsearch import __version__
from hpsearch.errors import MissingExtra
from hpsearch.reports.page.cells import cell, kinds
from hpsearch.reports.page.drawn import dark_colours, script_json

if TYPE_CHECKING:
    from hpsearch.reports.page.contents import Drawing, Page

NARROWEST = 600
"""Screens up to this width, in px, get the layouts for phones."""
HEIGHT = 420
"""Of a figure that does not say its own, in px."""
GENERATOR = "hpsearch"
"""How a page says who made it."""


def to_html(page: Page) -> str:
    """The page as HTML with everything in it: its style, Plotly's script, the data of its figures.

    No part of it is taken from elsewhere, and its policy forbids the browser to: only the page's own two scripts run,
    known by their hashes, whatever stands in the database.

    Args:
        page: What stands on it. The same page gives the same text.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    needed()
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    folder = files("hpsearch.reports.page") / "templates"
    plotly, script = get_plotlyjs(), (folder / "page.js").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["cell"] = cell
    environment.filters["kinds"] = kinds
    environment.filters["drawn"] = lambda drawing: Markup(_drawn(drawing))
    template = environment.from_string((folder / "page.html.jinja").read_text("utf-8"))
    templates = [drawing.figure["layout"].get("template") for section in page.sections for drawing in section.drawings]
    settings = {
        "colours": dark_colours(),
        "narrowest": NARROWEST,
        "height": HEIGHT,
        "template": templates[0] if templates else None,
    }
    return template.render(
        page=page,
        policy=_policy(plotly, script),
        generator=f"{GENERATOR} {__version__}",
        style=Markup((folder / "style.css").read_text("utf-8")),
        settings=Markup(script_json(settings)),
        plotly=Markup(plotly),
        script=Markup(script),
    )


def needed() -> None:
    """Make sure that a page can be made here.

    Raises:
        MissingExtra: Jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "a report as a page needs Jinja2; pip install 'hpsearch[report]', or take --format md"
        ) from error


def _drawn(drawing: Drawing) -> str:
    layouts = {"layout": drawing.figure["layout"], "narrow": drawing.narrow}
    # They have the same template, the house's, which the page carries once.
    bare = {name: {**layout, "template": None} for name, layout in layouts.items()}
    return script_json({"data": drawing.figure["data"], **bare, "width": drawing.width})


def _policy(*scripts: str) -> str:
    """What the browser may do on the page: run these scripts, and show images that they make."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{found}'" for found in hashes)
    return (
        # Plotly writes its own style into the page.
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
