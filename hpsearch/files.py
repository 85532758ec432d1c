"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import BadInput, BadStorage, OutputFailure

if TYPE_CHECKING:
    from collections.abc import Iterator

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary file beside ``path``, which replaces it when the block ends without an error.

    After a full disk or a Ctrl-C there is no partial file, and an existing one is unchanged.

    Args:
        path: Where the whole file is to stand; its folder must exist.
        mode: Its permissions at the end; until then only its owner may read and write it.

    Yields:
        A path with the same ending in the same folder.

    Raises:
        BadInput: The file cannot be written there.
        OutputFailure: The disk is full, or faulty.
    """
    neighbour = None
    try:
        if path.is_dir():
            raise BadInput(f"cannot write {path}: it is a folder; give a file")
        descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(descriptor)
        neighbour = Path(name)
        yield neighbour
        neighbour.chmod(mode)
        neighbour.replace(path)
    except OSError as error:
        kind = OutputFailure if error.errno in _FULL else BadInput
        raise kind(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if neighbour is not None:
            neighbour.unlink(missing_ok=True)


def expanded(path: Path) -> Path:
    """Return a path with ``~`` expanded; unchanged where there is no such home, as in a container without users."""
    return Path(os.path.expanduser(path))


def make_folder(folder: Path) -> None:
    """Make the folder of a database."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadStorage(f"cannot make the folder {folder} for the database: {error.strerror}") from error
