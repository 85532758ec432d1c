"""The page that compares two searches, stages or trials."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from hpsearch.api import summaries
from hpsearch.errors import BadArgument, BadInput
from hpsearch.reports.page import Table
from hpsearch.reports.tables import comparison_table
from hpsearch.service.auth import Role, needs
from hpsearch.service.hub import search_of, storage_of
from hpsearch.service.pages.rendering import render
from hpsearch.service.pages.steps import Mentions
from hpsearch.service.problems import word
from hpsearch.service.routes import ENTRANT

ROUTER = APIRouter(prefix="/hp", dependencies=[needs(Role.READ)], include_in_schema=False)
Name = Annotated[str, Query(max_length=200)]


@ROUTER.get("/compare")
def compare(request: Request, a: Name = "", b: Name = "") -> HTMLResponse:
    """Return the form that asks what to compare, and the place of the comparison."""
    known = summaries(storage_of(request))
    names = [name for search in known for name in (search.name, *(stage.name for stage in search.stages))]
    return render(request, "compare", a=a, b=b, names=names)


@ROUTER.get("/parts/compare")
def comparison(request: Request, a: Name, b: Name = "") -> HTMLResponse:
    """Return a comparison; without ``b`` that with the baseline."""
    try:
        for argument, name in (("a", a), ("b", b)):
            if name.endswith(".toml") or (name and not re.fullmatch(ENTRANT, name)):
                raise BadArgument(argument, name, "not a search, a stage or a trial", "write mnist/stage-02/7")
        result = search_of(request, a).compare(search_of(request, b) if b else None)
    except BadInput as error:
        return render(request, "parts/compare", refused=error.worded(word), b=b)
    table = Table("The two sides", comparison_table(result))
    show = Mentions(request, result.b.stage.search, there=False)
    return render(request, "parts/compare", refused=None, result=result, table=table, show=show)
