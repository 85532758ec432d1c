"""Pages and parts of pages from templates, which share their macros with the report."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from hpsearch import __version__
from hpsearch.reports.page import environment, figure_settings
from hpsearch.service.pages.assets import VERSION
from hpsearch.service.roles import Role
from hpsearch.text import counted, duration, printable

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _templates() -> Environment:
    made = environment("hpsearch.service.pages")
    made.globals.update(
        version=__version__,
        assets=VERSION,
        figure_settings=figure_settings(),
        counted=counted,
        ago=ago,
    )
    made.filters["lines"] = lines
    return made


def render(request: Request, template: str, status: int = 200, /, **content: Any) -> HTMLResponse:
    """Return a page, or a part of one.

    Besides ``content`` its template sees ``base`` (the path of the pages, ``/hp`` behind the proxy's prefix),
    ``dashboard`` (that of the Optuna dashboard; None where a proxy's prefix puts it out of reach), ``identity`` (the
    reader's), and ``may_run``, whether the reader may start and stop.
    """
    root, identity = request.scope.get("root_path", ""), getattr(request.state, "identity", None)
    common = {
        "base": f"{root}/hp",
        "dashboard": None if root else "/dashboard",
        "identity": identity,
        "may_run": identity is not None and identity.role >= Role.RUN,
    }
    text = _templates().get_template(f"{template}.html.jinja").render(common | content)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def stale_in(seconds: float, part: HTMLResponse) -> HTMLResponse:
    """Return a part with word that there may be a newer one in so many seconds; 0: it is the newest."""
    if seconds:
        part.headers["HP-Stale"] = str(ceil(seconds))
    return part


def lines(text: str) -> Markup:
    """Return text with its line breaks and blanks, for a place that shows them, without control characters."""
    return Markup("\n").join(printable(line) for line in text.splitlines())


def ago(when: datetime | None) -> str:
    """Return how long ago something was (UTC): ``12 min ago``."""
    if when is None:
        return ""
    now = datetime.now(UTC)
    seconds = (now - (when if when.tzinfo else when.replace(tzinfo=UTC))).total_seconds()
    return "now" if seconds < 1 else f"{duration(seconds)} ago" if seconds < 172_800 else f"{when:%Y-%m-%d}"
