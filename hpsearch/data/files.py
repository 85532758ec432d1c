"""What readers of files have in common: empty files are refused, and a library's message becomes one line."""

from __future__ import annotations

from pathlib import Path

from hpsearch.errors import BadData


def refuse_empty(path: Path) -> None:
    """Refuse a file without a byte.

    Raises:
        BadData: It has none, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise BadData(f"{path} is empty")
    except OSError as error:
        raise BadData(f"cannot read {path}: {error.strerror}") from error


def first_line(error: Exception) -> str:
    """The beginning of a lower library's message, as one line of at most 160 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip()[:160]
