"""What the tests of saved networks share."""

from __future__ import annotations

from pathlib import Path

import models
import pytest


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as it should be."""
    return models.saved(tmp_path_factory.mktemp("whole") / "n.npz", sizes=(6, 2, 3)).read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a spoilt file goes."""
    return tmp_path_factory.mktemp("spoilt") / "n.npz"
