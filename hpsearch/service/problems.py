"""Errors over HTTP: RFC 9457's problem+json, with the sentence of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from hpsearch import wording
from hpsearch.errors import (
    BadInput,
    BadStorage,
    EvaluatedAlready,
    HpsearchError,
    NotEnoughTrials,
    StageConflict,
    StorageFailure,
    UnknownSearch,
)
from hpsearch.records import Action, Argument
from hpsearch.service.actions import bad_argument
from hpsearch.service.hub import path_of
from hpsearch.service.jobs import KeyConflict, TooManyJobs, UnknownJob
from hpsearch.service.pages.rendering import render

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MEDIA_TYPE = "application/problem+json"
# The first that fits.
_STATUS: dict[type[HpsearchError] | tuple[type[HpsearchError], ...], int] = {
    (UnknownSearch, UnknownJob): 404,
    (StageConflict, NotEnoughTrials, EvaluatedAlready, KeyConflict, TooManyJobs): 409,
    (BadStorage, StorageFailure): 503,
    BadInput: 422,
}
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "error": {"type": "string", "description": "The exception of the Python client."},
    },
}
_PROBLEM = {"description": "What was asked, what is allowed, what to do.", "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": _PROBLEM, "5XX": _PROBLEM}  # of every route, for OpenAPI


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, *, error: str | None = None
) -> Response:
    """Return an answer as RFC 9457 has it; ``error`` names the exception of the Python client."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if error is not None:
        body["error"] = error
    # In ASCII: what was refused may hold halves of characters.
    return Response(json.dumps(body), status, dict(headers or {}), media_type=MEDIA_TYPE)


def word(mention: Action | Argument) -> str:
    """Return an action as a command and an argument as an option, as for somebody who does not name the database."""
    return wording.word(without_storage(mention) if isinstance(mention, Action) else mention)


def without_storage(action: Action) -> Action:
    """Return an action without the database, which is the server's."""
    return replace(action, arguments={name: value for name, value in action.arguments.items() if name != "storage"})


def add_handlers(app: FastAPI) -> None:
    """Let an application answer errors as problems."""
    app.add_exception_handler(HpsearchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(InternalErrors)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, HpsearchError)
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return _answer(request, status, error.worded(word), error=type(error).__name__)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["loc"] == ("body",) and "json" not in request.headers.get("content-type", ""):
        return _answer(request, 422, "the body is not JSON; send it with `Content-Type: application/json`")
    if "arguments" in first["loc"]:  # of an action: as the command line says it
        name = first["loc"][first["loc"].index("arguments") + 1 :][:1]
        return _answer(request, 422, bad_argument([{**first, "loc": name}]).worded(word), error="BadArgument")
    # Without what was sent, in which a token may stand.
    return _answer(request, 422, bad_argument([{**first, "input": None}]).worded(str), error="BadArgument")


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:  # Starlette names the methods of one route; a path may have several
        routes = [
            route
            for route in iter_route_contexts(request.app.routes)
            if compile_path(route.path or "")[0].match(path_of(request))
        ]
        if routes:  # else it is the dashboard's
            headers["Allow"] = ", ".join(sorted({method for route in routes for method in route.methods or ()}))
    return _answer(request, error.status_code, error.detail, headers)


class InternalErrors:
    """ASGI middleware that answers 500, inside the others: they count that answer too, and give it their headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; an error goes on to the server's log."""
        began = False

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            if not began and scope["type"] == "http":
                text = f"internal error, please report it: {type(error).__name__}"
                await _answer(Request(scope), 500, text)(scope, receive, send)
            raise


def _answer(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: str
) -> Response:
    """Return a problem; to a browser that goes to a page, as a page."""
    if "text/html" in request.headers.get("accept", "") and "/api/" not in request.url.path:
        return render(request, "error", status, title=HTTPStatus(status).phrase, detail=detail)
    return problem(status, detail, headers, **more)
