"""A SQLite file that is read without SQLite, while SQLite keeps the others from changing it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy.engine import URL

from hpsearch.errors import HpsearchError
from hpsearch.store.care import checking, repairing
from hpsearch.store.care.file_checks import refuse_passing
from hpsearch.store.side_files import LOG, beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def undisturbed(file: Path) -> Iterator[None]:
    """Keep others from moving the log into the file while both are read, where SQLite can read them, too.

    Raises:
        BadStorage: Others write, and so the file is not to be salvaged.
    """
    # Without a log nobody has a file of that mode open; to look at it as one that may change would make a log.
    logged = beside(file, LOG).exists()
    option = {"mode": "ro"} if logged or not _keeps_log(file) else {"immutable": "1"}
    url = URL.create("sqlite", database=f"file:{quote(str(file))}", query={**option, "uri": "true"})
    with contextlib.ExitStack() as stack:
        owner = None
        try:
            with contextlib.ExitStack() as opened:
                database = opened.enter_context(checking.care_database(url))
                owner = repairing.at_work(opened.enter_context(database.read()))
                stack.enter_context(opened.pop_all())
        except HpsearchError as error:
            # Nobody runs trials in what SQLite cannot read.
            refuse_passing(file, getattr(error.__cause__, "orig", None) or error)
        if owner is not None:
            raise repairing.busy(owner, str(file))
        yield


def _keeps_log(file: Path) -> bool:
    """Whether a file says of itself that changes go to a log first."""
    with file.open("rb") as stream:
        return stream.read(20)[18:] == b"\2\2"
