"""Disks that are full, and files that are damaged."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faulty.hooks import FilesUpTo
from faulty.place import Place


def may_mount() -> bool:
    """Whether this process may mount a file system."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A file system in memory, of a few MB."""
    folder = Path(tempfile.mkdtemp(prefix="hpsearch-disk-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def full(place: Place) -> None:
    """The disk has room for a random part of what the search writes; then there is space again."""
    ballast = place.file.parent / "ballast"
    left = place.rng.randrange(0, 4 * place.undisturbed.size)
    free = shutil.disk_usage(place.file.parent).free
    ballast.write_bytes(b"\0" * max(free - left, 0))
    # At the door it is what was asked for that cannot be done.
    place.expect(place.start(), 0, 1, 2)
    ballast.unlink()


def files_limited(place: Place) -> None:
    """No file may grow beyond a random size, until the next start."""
    size = place.rng.randrange(0, 2 * place.undisturbed.size)
    place.expect(place.start(FilesUpTo(max(size, 4096))), 0, 1, 2)


def damaged(place: Place) -> None:
    """Random bytes of the database of a search that was killed half-way are overwritten with others."""
    run = place.start()
    place.at_any_moment(run)
    run.end()
    # What is in the log comes into the file first, as with every next start.
    place.expect(place.command("status", "--storage", str(place.file)), 0, 2)
    whole = bytearray(place.file.read_bytes())
    for _ in range(place.rng.choice([1, 1, 4, 16])):
        many = place.rng.choice([1, 16, 256, 4096])
        at = place.rng.randrange(len(whole))
        whole[at : at + many] = place.rng.randbytes(len(whole[at : at + many]))
    for name in ("my.db-wal", "my.db-shm"):
        (place.file.parent / name).unlink(missing_ok=True)
    place.file.write_bytes(bytes(whole))
    place.expect(place.command("status", "--storage", str(place.file)), 0, 1, 2)
    place.expect(place.start(), 0, 1, 2)
