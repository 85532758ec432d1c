"""Pages and parts of pages from templates, which share their macros with the report."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse

from hpsearch import __version__
from hpsearch.reports.page import environment, figure_settings
from hpsearch.service.pages.assets import VERSION
from hpsearch.service.roles import Role
from hpsearch.text import counted, duration

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def _templates() -> Environment:
    made = environment("hpsearch.service.pages")
    made.globals.update(
        version=__version__, assets=VERSION, figure_settings=figure_settings(), counted=counted, ago=ago
    )
    return made


def render(request: Request, template: str, /, status: int = 200, **content: Any) -> HTMLResponse:
    """Return a page, or a part of one.

    Besides ``content`` its template sees ``base`` (the path of the pages, ``/hp`` behind the proxy's prefix),
    ``dashboard`` (that of the Optuna dashboard), and ``may_run``, whether its reader may start and stop.
    """
    root, identity = request.scope.get("root_path", ""), getattr(request.state, "identity", None)
    common = {"base": f"{root}/hp", "dashboard": f"{root}/", "may_run": identity and identity.role >= Role.RUN}
    text = _templates().get_template(f"{template}.html.jinja").render(common | content)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def ago(when: datetime | None) -> str:
    """Return how long ago something was (UTC): ``12 min ago``."""
    if when is None:
        return ""
    now = datetime.now(UTC)
    seconds = (now - (when if when.tzinfo else when.replace(tzinfo=UTC))).total_seconds()
    return "now" if seconds < 1 else f"{duration(seconds)} ago" if seconds < 172_800 else f"{when:%Y-%m-%d}"
