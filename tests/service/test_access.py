"""Who may come in, by what, and to which routes."""

from __future__ import annotations

from pathlib import Path

import pytest
import served

from hpsearch.service.auth import Role


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "studies.db"


def test_a_token_begins_a_session_that_is_ended(storage: Path) -> None:
    with served.client(storage, None) as browser:
        secret = served.token(browser.app, Role.RUN)
        assert browser.get("/hp/api/v1/session").status_code == 401
        assert browser.post("/hp/api/v1/session", json={"token": secret}).status_code == 204
        assert browser.get("/hp/api/v1/session").json() == {"name": "run-0", "role": "run"}
        assert browser.delete("/hp/api/v1/session").status_code == 204
        assert browser.get("/hp/api/v1/session").status_code == 401
