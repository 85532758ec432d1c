"""The guard in front of every page, route and file: whose request it is, where it comes from, how much it sends."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import logging.handlers
import re
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders

from hpsearch.errors import BadInput, HpsearchError
from hpsearch.records import Action
from hpsearch.service.auth import CHALLENGE, answering, client_of, cookie_of, cookie_path
from hpsearch.service.client import API
from hpsearch.service.credentials import Credentials, Failures, Identity
from hpsearch.service.database import url_of
from hpsearch.service.hub import READING, path_of, prefix_of
from hpsearch.service.problems import problem, word
from hpsearch.service.settings import LOOPBACK, Settings
from hpsearch.store.engine import sqlite_file

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


MOST_BYTES = 2**20  # of a request's body
_BODY_S = 30  # seconds in which it must have come
_OPEN = ("/healthz", "/readyz", "/hp/login", "/hp/enter")  # to everybody, with the files of the page
_STATIC = "/hp/static/"
_SESSION = f"{API}/session"  # begun by everybody; seen and ended by who has one
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::[0-9]{1,5})?")  # of a Host header, in small letters
_HEADERS = {  # of every answer that does not set them itself
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_OTHER_NAME = BadInput(
    "this is not the name of this server; where people open it by this name, give `{}` with their address",
    Action("serve", {"url": "https://HOST"}),
)


class Guard:
    """ASGI middleware that lets in whom it knows, from pages of this server alone."""

    def __init__(self, app: ASGIApp, *, settings: Settings, credentials: Credentials, audit: logging.Logger) -> None:
        self._app = app
        self._settings = settings
        self._credentials = credentials
        self._audit = audit
        self._refusals = Failures()
        self._names = _names(settings)
        public = urlsplit(settings.url)
        self._origin = f"{public.scheme}://{public.netloc}" if settings.url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, and hand the others on."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                # What a browser can ask for again by its date is a file, no data.
                headers.setdefault("Cache-Control", "no-cache" if "last-modified" in headers else "no-store")
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                self._note(request, message["status"])
            await send(message)

        try:
            self._check_source(request)
            if not _open(request):
                request.state.identity = await self._identify(request)
            receive = await _with_body(request, receive)
        except HTTPException as refusal:
            await self._refused(request, refusal)(scope, receive, answer)
        except HpsearchError as error:  # the database is away
            await problem(503, error.worded(word))(scope, receive, answer)
        else:
            await self._app(scope, receive, answer)

    def _check_source(self, request: Request) -> None:
        """Refuse a request to another host's name (DNS rebinding), or from another site's page (forged requests)."""
        host = request.headers.get("host", "")
        match = _HOST.fullmatch(host.lower())
        name = (match[1] or match[2]) if match else ""
        if name not in self._names and (self._settings.loopback or not _is_address(name)):
            raise HTTPException(403, _OTHER_NAME.worded(word))
        ours = (f"{request.url.scheme}://{host}", self._origin)
        if request.headers.get("origin", ours[0]) not in ours:
            raise HTTPException(403, "a page of another site may not use this server")
        # Browsers say so of every request, also where they leave Origin out.
        site = request.headers.get("sec-fetch-site", "none")
        if request.method not in READING and site not in ("none", "same-origin"):
            raise HTTPException(403, "a page of another site may not use this server")

    async def _identify(self, request: Request) -> Identity:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        client = client_of(request)
        if scheme.lower() == "bearer" and token:
            with answering():
                return await run_in_threadpool(self._credentials.by_token, token.strip(), client)
        if session := request.cookies.get(cookie_of(request)):
            with answering():
                return await run_in_threadpool(self._credentials.by_session, session, client)
        raise HTTPException(401, "log in, or send a token: Authorization: Bearer ...", CHALLENGE)

    def _refused(self, request: Request, refusal: HTTPException) -> Response:
        cookie = cookie_of(request)
        if refusal.status_code == 401 and request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            prefix = prefix_of(request)
            response: Response = RedirectResponse(f"{prefix}/hp/login?next={quote(prefix + path_of(request))}", 303)
        else:
            response = problem(refusal.status_code, str(refusal.detail), refusal.headers)
        if refusal.status_code == 401 and cookie in request.cookies:
            response.delete_cookie(cookie, path=cookie_path(request))
        return response

    def _note(self, request: Request, status: int) -> None:
        """Write to the audit log what was changed or refused, by whom."""
        refused = status in (401, 403, 413, 429)
        if request.method in READING and not refused and path_of(request) != "/hp/enter":
            return
        identity: Identity | None = getattr(request.state, "identity", None)
        if identity is None:  # a stranger must not fill the disk
            if self._refusals.too_many(client_of(request)):
                return
            self._refusals.add(client_of(request))
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": client_of(request),
            "name": identity and identity.name,
            "role": identity and identity.role.name.lower(),
            "method": request.method,
            "path": path_of(request)[:500],  # without the query, in which a link's code may stand
            "status": status,
        }
        self._audit.info(json.dumps(line))


def audit_log(settings: Settings) -> logging.Logger:
    """Open the audit log: a JSON object a line, in a file beside the service's database, or in the studies' folder.

    Raises:
        BadInput: The file cannot be written.
    """
    file = sqlite_file(url_of(settings.storage))
    path = settings.studies / "hpsearch-audit.jsonl" if file is None else file.with_name(f"{file.stem}-audit.jsonl")
    log = logging.Logger("hpsearch.audit")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log.addHandler(logging.handlers.WatchedFileHandler(path, encoding="utf-8"))  # logrotate may move it
    except OSError as error:
        raise BadInput(f"cannot write the audit log {path}: {error.strerror}") from error
    return log


def _open(request: Request) -> bool:
    """Return whether a request may be anybody's; of a method that its path does not have the routes say so."""
    path = path_of(request)
    if path == _SESSION:
        return request.method not in ("GET", "HEAD", "DELETE")
    return path in _OPEN or path.startswith(_STATIC)


def _names(settings: Settings) -> frozenset[str]:
    """Return the names of the server: loopback's, that of the address it listens at, the machine's, the public one."""
    names = {*LOOPBACK, settings.host.lower(), urlsplit(settings.url).hostname or ""}
    if not settings.loopback:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names - {""})


def _is_address(name: str) -> bool:
    """Return whether a host is named by its address, which no other site's name can be bound to."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _with_body(request: Request, receive: Receive) -> Receive:
    """Return what gives a request's body, read here so that neither its size nor its pace concerns anybody else."""
    length = request.headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in request.headers:
        return receive
    close = {"Connection": "close"}  # or the rest of the body would still come
    too_large = HTTPException(413, f"a request's body has at most {MOST_BYTES:,} bytes", close)
    if not length.isdecimal() or int(length) > MOST_BYTES:
        raise too_large
    body, more = b"", True
    try:
        async with asyncio.timeout(_BODY_S):
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > MOST_BYTES:
                    raise too_large
    except TimeoutError as error:
        raise HTTPException(408, f"the body has not come within {_BODY_S} s", close) from error
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return again
