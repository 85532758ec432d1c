"""The state that the routes of a server share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Request

from hpsearch.api import Search

if TYPE_CHECKING:
    from hpsearch.service.credentials import Credentials
    from hpsearch.service.events import Feed
    from hpsearch.service.health import Answers
    from hpsearch.service.jobs import Queue
    from hpsearch.service.pages.findings import Findings
    from hpsearch.service.settings import Settings
    from hpsearch.store.engine import Database


READING = ("GET", "HEAD", "OPTIONS")  # methods that change nothing


@dataclass(frozen=True, slots=True)
class Hub:
    """The shared state: ``app.state.hub``."""

    settings: Settings
    database: Database  # the service's own
    queue: Queue
    feed: Feed
    answers: Answers
    credentials: Credentials
    code: str | None  # of the link that begins a session once; None where others than this machine can reach the server
    findings: Findings
    commands: asyncio.Semaphore  # bounds how many run at once


def hub_of(request: Request) -> Hub:
    """Return the shared state of the server that a request has reached."""
    hub: Hub = request.app.state.hub
    return hub


def storage_of(request: Request) -> str:
    """Return the study database of the server that a request has reached."""
    return hub_of(request).settings.storage


def search_of(request: Request, name: str) -> Search:
    """Return a search of the server's study database."""
    return Search(name, storage=storage_of(request))


def prefix_of(request: Request) -> str:
    """Return the path under which a proxy serves, ``/tools``; empty at the root."""
    return str(request.scope.get("root_path", ""))


def path_of(request: Request) -> str:
    """Return a request's path without the prefix under which a proxy serves."""
    path, prefix = str(request.scope["path"]), prefix_of(request)
    return path[len(prefix) :] if prefix and path.startswith(f"{prefix}/") else path
