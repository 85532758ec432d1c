"""The least that a study file says, as plain data."""

from __future__ import annotations

from typing import Any

SPACE = {"lr": {"low": 1e-3, "high": 1.0, "log": True}}


def plain(**sections: Any) -> dict[str, Any]:
    """A study file with these sections besides."""
    return {"name": "mine", "space": SPACE, **sections}
