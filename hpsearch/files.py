"""Files: the door through which every file is read, and writing whole files or none."""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import os
import stat
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import BadData, BadInput, BadStorage, OutputFailure
from hpsearch.text import either

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TEXT_TABLES = (".csv", ".tsv", ".txt", ".data")  # plain or .gz
MAX_BYTES = 2**31  # of a file, and of what it unpacks to
MAX_RATIO, SMALL = 200, 2**26  # what unpacks to more than SMALL bytes may be so many times as large as its file
# What else people have, and the way to something that is read.
OTHER_FORMATS = {
    **dict.fromkeys((".npy", ".mat", ".h5", ".pt", ".pkl"), "save its arrays with numpy.savez(path, x=x, y=y)"),
    **dict.fromkeys((".xlsx", ".xls"), "save it as CSV UTF-8"),
    **dict.fromkeys((".zip", ".tar"), "unpack it"),
    ".arff": "keep the lines below @data and rename it to .csv",
    **dict.fromkeys((".json", ".jsonl"), "convert it with pandas' read_json and to_csv"),
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def kind_of(path: Path, endings: Sequence[str], *also: str, folder: bool = True) -> str:
    """Return a file's ending, one of ``endings``, or ``folder`` for a folder, where one is allowed.

    A table of text may be gzipped, and `check_size` holds. BadData, which names the endings and what is ``also``
    allowed, is raised for any other, for what is not there or may not be read, and for an empty file; nothing is read.
    """
    allowed = either([*endings, *also])
    try:
        status = path.stat()
    except (OSError, ValueError) as error:  # also for a name that is too long, or has a NUL byte
        raise BadData(f"cannot read {path}: {first_line(error)}; give {allowed}") from error
    if not os.access(path, os.R_OK):
        raise BadData(f"cannot read {path}: {os.strerror(errno.EACCES)}")
    if stat.S_ISDIR(status.st_mode) and folder:
        return "folder"
    name = path.name.lower()
    kind = Path(name).suffix
    if kind == ".gz" and (unzipped := Path(name).with_suffix("").suffix) in TEXT_TABLES:
        kind = unzipped
    if not stat.S_ISREG(status.st_mode) or kind not in endings:
        regular = stat.S_ISREG(status.st_mode)
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no file that can be read"
        what = f"a {kind[:20]} file" if kind and regular else "a file without an ending" if regular else what
        remedy = f"give {allowed}"
        if regular and ".npz" in endings:
            remedy = f"{OTHER_FORMATS.get(kind, 'rename it to .csv if it is a table of text')}, or {remedy}"
        raise BadData(f"{path} is {what}; {remedy}")
    if not status.st_size:
        raise BadData(f"{path} is empty")
    check_size(path, status.st_size, packed=status.st_size)
    return kind


def check_size(path: Path, size: int, *, packed: int | None = None) -> None:
    """Refuse a file by the bytes that it, or what it unpacks to, takes: a small file may unpack to anything."""
    packed = path.stat().st_size if packed is None else packed
    if size > MAX_BYTES or (size > SMALL and size > MAX_RATIO * packed):
        raise BadData(
            f"{path} takes {size:,} bytes or more; at most {MAX_BYTES:,} are read, and of what is compressed "
            f"{MAX_RATIO} times the file's own size"
        )


def content(path: Path) -> bytes:
    """Return a regular file's bytes, unpacked where they are gzipped, if `check_size` allows them."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise BadData(f"cannot read {path}: Is a directory" if path.is_dir() else f"{path} is no regular file")
        check_size(path, status.st_size)
        data = path.read_bytes()
        if data.startswith(b"version https://git-lfs"):
            raise BadData(f"{path} is no data but Git LFS's pointer to it; get the file with git lfs pull")
        if not data.startswith(b"\x1f\x8b"):
            return data
        whole = io.BytesIO()
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:  # in pieces, for its header does not say the size
            while part := unpacked.read(2**20):
                whole.write(part)
                check_size(path, whole.tell(), packed=len(data))
        return whole.getvalue()
    except (OSError, EOFError, zlib.error) as error:
        raise BadData(f"cannot read {path}: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """Return the reason of a library's error as one line of at most 160 characters."""
    text = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(text).splitlines()[0].strip()[:160]


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
