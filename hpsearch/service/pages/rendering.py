"""Pages and parts of pages from templates, which share their macros with the report."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from math import ceil
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from hpsearch import __version__
from hpsearch.reports.page import environment, figure_settings
from hpsearch.serialization import to_plain
from hpsearch.service.hub import prefix_of
from hpsearch.service.pages.assets import VERSION
from hpsearch.service.roles import Role
from hpsearch.text import counted, printable

if TYPE_CHECKING:
    from jinja2 import Environment

    from hpsearch.service.pages.findings import Finding


@cache
def _templates() -> Environment:
    made = environment("hpsearch.service.pages")
    made.globals.update(
        version=__version__,
        assets=VERSION,
        figure_settings=figure_settings(),
        counted=counted,
        utc=utc,
    )
    made.filters |= {"lines": lines, "codes": codes, "plain": to_plain}
    return made


def render(request: Request, template: str, status: int = 200, /, **content: Any) -> HTMLResponse:
    """Return a page, or a part of one.

    Besides ``content`` its template sees ``base`` (the path of the pages, ``/hp`` behind the proxy's prefix),
    ``dashboard`` (that of the Optuna dashboard; None where a proxy's prefix puts it out of reach), ``identity`` (the
    reader's), and ``may_run``, whether the reader may start and stop.
    """
    root, identity = prefix_of(request), getattr(request.state, "identity", None)
    common = {
        "base": f"{root}/hp",
        "dashboard": None if root else "/dashboard",
        "identity": identity,
        "may_run": identity is not None and identity.role >= Role.RUN,
    }
    text = _templates().get_template(f"{template}.html.jinja").render(common | content)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def render_finding(request: Request, template: str, made: Finding, /, **content: Any) -> HTMLResponse:
    """Return a part that shows a finding; one that is not the newest says so, and when there may be a newer one."""
    part = render(request, template, as_of=made.trials if made.stale else None, **content)
    if made.stale:
        part.headers["HP-Stale"] = str(ceil(made.stale))
    return part


def lines(text: str) -> Markup:
    """Return text with its line breaks and blanks, for a place that shows them, without control characters."""
    return Markup("\n").join(printable(line) for line in text.splitlines())


def codes(text: str) -> Markup:
    """Return a sentence in which commands stand between backquotes, as HTML."""
    parts = [escape(printable(part)) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def utc(when: datetime | None) -> str:
    """Return a time of the databases, which is UTC's: ``2026-11-30 17:24:50 UTC``."""
    return "" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UTC"
