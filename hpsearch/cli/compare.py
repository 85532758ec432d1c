"""``hpsearch compare``: two searches, or two stages, side by side."""

from __future__ import annotations

import typer


def compare() -> None:
    """Compare two searches or stages."""
    raise typer.Exit(2)
