"""Access to routes: the roles that they ask for, and the beginning and end of a browser's session."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response, Security
from fastapi.responses import RedirectResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from hpsearch.service.credentials import (
    SESSION_S,
    WINDOW_S,
    TooManyFailures,
    UnknownSecret,
)
from hpsearch.service.credentials import Identity as Identity
from hpsearch.service.hub import hub_of, prefix_of
from hpsearch.service.roles import Role as Role

CHALLENGE = {"WWW-Authenticate": "Bearer"}  # the header that goes with 401
_BEARER = HTTPBearer(auto_error=False, description="A token of `hpsearch token create`.")
ROUTER = APIRouter(prefix="/hp", tags=["session"])


def who(request: Request) -> Identity:
    """Return who makes a request that `hpsearch.service.guard` has let in."""
    identity: Identity = request.state.identity
    return identity


@dataclass(frozen=True, slots=True)
class RoleCheck:
    """A FastAPI dependency that lets in who has at least a role."""

    role: Role

    def __call__(self, identity: Annotated[Identity, Depends(who)], _: Annotated[Any, Security(_BEARER)]) -> Identity:
        """Return who makes the request; 403 for whose role is not enough."""
        if identity.role < self.role:
            role, has = self.role.name.lower(), identity.role.name.lower()
            raise HTTPException(403, f"this needs the role {role}, and {identity.name} has {has}")
        return identity


def needs(role: Role) -> Any:
    """Return what a route depends on: ``dependencies=[needs(Role.RUN)]`` or ``by: Annotated[Identity, needs(...)]``."""
    return Depends(RoleCheck(role))


@contextmanager
def answering() -> Iterator[None]:
    """Answer 401 where a secret is unknown, 429 after too many of these."""
    try:
        yield
    except UnknownSecret as error:
        raise HTTPException(401, str(error), CHALLENGE) from error
    except TooManyFailures as error:
        raise HTTPException(429, str(error), {"Retry-After": str(WINDOW_S)}) from error


class Login(BaseModel):
    """A token to begin a session with."""

    model_config = ConfigDict(extra="forbid")
    token: str = Field(min_length=1, max_length=200)


def cookie_of(request: Request) -> str:
    """Return the name of the session's cookie: cookies know hosts, not ports, and a machine may have many servers."""
    server = request.scope.get("server") or ("", 0)
    return f"hpsearch-{server[1]}"


def client_of(request: Request) -> str:
    """Return the address of who makes a request."""
    return request.client.host if request.client else ""


def cookie_path(request: Request) -> str:
    """Return the path for which the session's cookie is."""
    return f"{prefix_of(request)}/"


def _set_cookie(request: Request, response: Response, secret: str) -> None:
    response.set_cookie(
        cookie_of(request),
        secret,
        max_age=SESSION_S,
        path=cookie_path(request),
        secure=request.url.scheme == "https" or hub_of(request).settings.url.startswith("https:"),
        httponly=True,
        samesite="strict",
    )


@ROUTER.post("/api/v1/session", status_code=204)
def log_in(login: Login, request: Request, response: Response) -> None:
    """Begin a session with a token: the answer sets its cookie."""
    credentials = hub_of(request).credentials
    with answering():
        request.state.identity = credentials.by_token(login.token, client_of(request))
    _set_cookie(request, response, credentials.begin(login.token))


@ROUTER.get("/api/v1/session")
def session(by: Annotated[Identity, needs(Role.READ)]) -> dict[str, str]:
    """Return who makes the request, and the role."""
    return {"name": by.name, "role": by.role.name.lower()}


@ROUTER.delete("/api/v1/session", status_code=204, dependencies=[needs(Role.READ)])
def log_out(request: Request, response: Response) -> None:
    """End the session of the request's cookie."""
    hub_of(request).credentials.end(request.cookies.get(cookie_of(request), ""))
    response.delete_cookie(cookie_of(request), path=cookie_path(request))


@ROUTER.get("/enter", include_in_schema=False)
def enter(request: Request, code: str = "") -> Response:
    """Begin a session by the link that ``hpsearch serve`` printed, and go to the page."""
    credentials = hub_of(request).credentials
    home = f"{prefix_of(request)}/hp/"
    try:
        request.state.identity = credentials.by_code(code, client_of(request))
    except (UnknownSecret, TooManyFailures):  # where there is a session already the page opens, else the login
        return RedirectResponse(home, 303)
    response = RedirectResponse(home, 303)
    _set_cookie(request, response, credentials.begin(None))
    return response
