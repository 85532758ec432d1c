"""Commands to type next, with the options that they need to mean what is meant: rendered here and nowhere else."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from hpsearch.records import DEFAULT_STORAGE, DEFAULT_STUDY

_HIDDEN = "***"
"""What SQLAlchemy shows for a password."""


def command_line(command: str, search: str | None, storage: str | None, *options: str) -> str:
    """A command to type next, over the same search and database; a shell reads it as it is meant.

    Args:
        command: ``start``, ``narrow`` ...
        search: The search's name, or None where the command means it without being told.
        storage: The storage asked for (or `hpsearch.store.Store.where`), or None for the default.
        options: Further words.
    """
    words = ["hpsearch", command, *([search] if search else []), *options]
    meant = os.environ.get("HPSEARCH_STORAGE") or str(DEFAULT_STORAGE)
    if storage is not None and storage != meant:
        # A password does not belong on a screen, and without it the rest is of no use.
        secret = "://" in storage and ("@" in storage or "?" in storage)
        words += ["--storage", "URL" if secret or _HIDDEN in storage else storage]
    return shlex.join(words)


@dataclass(frozen=True, slots=True)
class Commands:
    """Commands over one search in one database.

    Args:
        search: The search's name.
        storage: The database, as `hpsearch.store.Store.where` has it; None for the default one.
        named: Whether the search must be named, as the database holds others too.
    """

    search: str
    storage: str | None = None
    named: bool = False

    def __call__(self, command: str, *options: str) -> str:
        """A command with these options, over this search and database."""
        # Without a name `start` and `train` mean a study file; the other commands the only search there is.
        needed = self.search != DEFAULT_STUDY if command in ("start", "train") else self.named
        return command_line(command, self.search if needed else None, self.storage, *options)

    def alone(self, command: str, *options: str) -> str:
        """A command that takes no search."""
        return command_line(command, None, self.storage, *options)
