"""The next steps of a search, on its page: the checklist with buttons for its actions, and previews of narrowing."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from hpsearch.errors import BadInput, UnknownSearch
from hpsearch.records import Action, Argument, Sentence
from hpsearch.reports import WORDS, PlotKind
from hpsearch.reports.figures import score_by_parameters
from hpsearch.reports.figures.style import least_width
from hpsearch.reports.figures.trials import folded_space
from hpsearch.reports.page import Table
from hpsearch.reports.sections import MARKS, page_figure, phone_layout
from hpsearch.representations import narrowed_columns
from hpsearch.service.actions import Count, SearchName
from hpsearch.service.auth import Role, needs, who
from hpsearch.service.hub import hub_of, prefix_of, search_of, storage_of
from hpsearch.service.pages.parts import PANELS, sampled
from hpsearch.service.pages.rendering import render, render_finding
from hpsearch.service.problems import without_storage, word
from hpsearch.space import Categorical
from hpsearch.store import open_store
from hpsearch.text import printable_line

if TYPE_CHECKING:
    from hpsearch.search.checklist import Checklist

ROUTER = APIRouter(prefix="/hp", dependencies=[needs(Role.READ)], include_in_schema=False)
_VERBS = {  # of the actions of jobs
    "start": "Run trials",
    "refine": "Refine the ranges",
    "confirm": "Confirm the best",
    "evaluate": "Evaluate on the test set",
    "narrow": "Narrow",
    "retry": "Run failed trials again",
}
_ONE_PANEL = 400  # px
_FIELDS = {"expand": "Widen"}  # of the dialogs, by argument, where sentences mention them
_PHRASES = {"trials": "{:,} trials", "epochs": "{} epochs", "repeats": "{} repeats"}  # of arguments


class Mentions:
    """Actions and arguments that sentences mention, as HTML: buttons that do them, links, or the command's words.

    Args:
        request: Of the page: who may only read gets no buttons.
        search: The name of the page's search.
        names: Words that are written as they are where a sentence begins with them: parameters, choices.
        there: Whether the page has the dialogs that do them; otherwise links lead to the search's page.
    """

    def __init__(self, request: Request, search: str, *, names: Collection[str] = (), there: bool = True) -> None:
        self._may_run = who(request).role >= Role.RUN
        self._base = f"{prefix_of(request)}/hp"
        self._search, self._names, self._there = search, names, there

    def sentence(self, sentence: Sentence) -> Markup:
        """Return a sentence with what it mentions in it."""
        text = printable_line(sentence.text)
        first = text.split(" ", 1)[0].rstrip(",:")
        if first.isalpha() and first not in self._names and first != "p":  # the p-value
            text = text[:1].upper() + text[1:]
        worded = Sentence(str(escape(text)), sentence.mentions).worded(self.mention)
        return Markup(worded if worded.endswith((".", "\N{HORIZONTAL ELLIPSIS}")) else f"{worded}.")

    def mention(self, mention: Action | Argument) -> Markup:
        """Return an action or an argument."""
        if isinstance(mention, Argument):
            if mention.name in _FIELDS:
                return Markup("<q>{}</q>").format(_FIELDS[mention.name])
            return Markup("<code>{}</code>").format(word(mention))
        arguments = without_storage(mention).arguments
        given = {name: value for name, value in arguments.items() if value is not None and value is not False}
        about = str(given.pop("search", self._search))
        if mention.kind in _VERBS and self._may_run:
            action = json.dumps({"kind": mention.kind, "arguments": {**given, "search": about}})
            if self._there:
                return Markup('<button type="button" data-action="{}">{}</button>').format(action, label(mention))
            page = f"{self._base}/searches/{quote(about.partition('/')[0], safe='')}"
            return Markup('<a href="{}#do={}">{} of {}</a>').format(page, quote(action, safe=""), label(mention), about)
        if mention.kind == "plot":
            address = f"{self._base}/searches/{quote(about, safe='')}/parts/plot?{urlencode(given, doseq=True)}"
            text = f"figure: {given['kind']}"
            return Markup('<button type="button" class="link" data-plot="{}">{}</button>').format(address, text)
        if mention.kind == "compare":
            return Markup('<a href="{}/compare?a={}">Compare</a>').format(self._base, quote(about, safe=""))
        return Markup("<code>{}</code>").format(word(Action(mention.kind, {"search": about, **given})))


def label(action: Action) -> str:
    """Return the words on the button of an action: ``Narrow (top 5, expand)``."""
    given = {name: value for name, value in action.arguments.items() if value is not None and value is not False}
    words = _VERBS[action.kind]
    if action.kind == "start" and "trials" in given:
        words = f"Run {given.pop('trials'):,} trials"
    details = [
        name if value is True else _PHRASES.get(name, f"{name} {{}}").format(value)
        for name, value in given.items()
        if name not in ("search", "storage")
    ]
    return f"{words} ({', '.join(details)})" if details else words


@ROUTER.get("/searches/{search}/parts/checklist")
async def checklist(request: Request, search: SearchName) -> HTMLResponse:
    """Return the questions of the checklist with their answers, and the next step."""
    made = await hub_of(request).findings.part(search, "checklist")
    show = Mentions(request, search, names=_names(made.content))
    return await run_in_threadpool(
        render_finding, request, "parts/checklist", made, seen=made.content, marks=MARKS, show=show
    )


def _names(seen: Checklist) -> set[str]:
    """Return the parameters and choices that a checklist may begin a sentence with."""
    choices = [one.before.choices for one in seen.ranges.values() if isinstance(one.before, Categorical)]
    return {
        *seen.ranges,
        *(seen.best.params if seen.best else ()),
        *(str(choice) for several in choices for choice in several),
    }


@ROUTER.get("/searches/{search}/parts/narrow")
def narrow(
    request: Request,
    search: SearchName,
    top: Count | None = None,
    rule: Literal["surrogate", "order-statistics"] = "surrogate",
    expand: bool = False,
    regardless: bool = False,
    epochs: Count | None = None,
    stage: Count | None = None,
    branch: bool = False,
) -> HTMLResponse:
    """Return what a narrowing would do: the next ranges, over the trials."""
    try:
        next_stage = search_of(request, search).narrow(
            top=top,
            rule=rule,
            expand=expand,
            regardless=regardless,
            epochs=epochs,
            stage=stage,
            branch=branch,
            dry_run=True,
        )
    except UnknownSearch:
        raise
    except BadInput as error:
        return render(request, "parts/narrow", refused=error.worded(word))
    parent, after = next_stage.parent, next_stage.narrowing.space
    with closing(open_store(storage_of(request), search=search)) as store:
        trials = sampled(store, parent).folded
    space = dict(list(trials.varied.items())[:PANELS])
    bands = {name: parameter for name, parameter in {**folded_space(after), **after}.items() if name in space}
    plotted = partial(score_by_parameters, trials, space, narrowed=bands, best=len(next_stage.narrowing.used))
    figure, narrow = plotted(), phone_layout(plotted(columns=1))
    title = f"Where the next stage of {search} samples"
    caption = f"Trials of {parent.name}. Bands are the next ranges, dotted lines the ends of the present ones."
    return render(
        request,
        "parts/narrow",
        refused=None,
        next=next_stage,
        table=Table(
            "Next ranges", {name.replace("_", " "): column for name, column in narrowed_columns(next_stage).items()}
        ),
        figure=page_figure("next-ranges", title, caption, figure, narrow=narrow, width=least_width(figure)),
        show=Mentions(request, search),
    )


@ROUTER.get("/searches/{search}/parts/plot")
def plot(
    request: Request,
    search: SearchName,
    kind: PlotKind,
    parameters: Annotated[list[str], Query(max_length=2)] = [],  # noqa: B006 - FastAPI copies it
    stage: Count | None = None,
    top: Count | None = None,
    quantity: str | None = None,
) -> HTMLResponse:
    """Return a figure."""
    made = search_of(request, search).plot(str(kind), stage=stage, parameters=parameters, top=top, quantity=quantity)
    figure = made.figure.update_layout(title=None)
    width = least_width(figure) if least_width(figure) > _ONE_PANEL else 0  # which has a layout for phones
    content = page_figure("plot", made.name, f"{WORDS[kind].capitalize()}.", figure, width=width)
    return render(request, "parts/plot", figure=content)
