"""Which version of a package runs here."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def version_of(package: str) -> str:
    """A package's version, or ``unknown`` where it is not installed: it is run from a checkout, say."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
