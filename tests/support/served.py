"""The service in this process, asked as somebody with a role."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from hpsearch.service.app import create_app
from hpsearch.service.auth import Role
from hpsearch.service.settings import Settings
from hpsearch.store import open_store

ADDRESS = "http://127.0.0.1:8080"


def client(storage: Path | str, role: Role | None = Role.ADMIN, **settings: Any) -> TestClient:
    """A client of a new application over a study database, which is made where it is missing; use it as a context.

    It has a token of the role; with None it has no token.
    """
    open_store(str(storage), create=True, write=True).close()
    server = Settings(storage=str(storage), **settings)
    app = create_app(server)
    headers = {} if role is None else {"Authorization": f"Bearer {token(app, role)}"}
    return TestClient(app, base_url=ADDRESS, headers=headers, root_path=server.prefix, follow_redirects=False)


def token(app: Any, role: Role) -> str:
    """The secret of a token with a role, which is made."""
    credentials = app.state.hub.credentials
    name = f"{role.name.lower()}-{len(credentials.tokens())}"
    secret: str = credentials.create(name, role)
    return secret
