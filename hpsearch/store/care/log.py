"""SQLite's write-ahead log, read without SQLite: the pages that were committed and not yet moved into the file."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEADER, _FRAME = 32, 24
_LITTLE, _BIG = 0x377F0682, 0x377F0683


def page_size(log: bytes) -> int | None:
    """The size of a log's pages; None for what is no log."""
    if len(log) < _HEADER or struct.unpack(">I", log[:4])[0] not in (_LITTLE, _BIG):
        return None
    size: int = struct.unpack(">I", log[8:12])[0]
    return size if 512 <= size <= 65536 and size & (size - 1) == 0 else None


def committed(log: bytes) -> dict[int, bytes]:
    """The newest committed content of each page in a log, by page number.

    As SQLite does, it stops at the first frame whose checksum is wrong: what comes after was never finished, or is
    damaged (https://sqlite.org/fileformat2.html#walformat).
    """
    size = page_size(log)
    if size is None:
        return {}
    order = "<" if struct.unpack(">I", log[:4])[0] == _LITTLE else ">"
    salt, sums = log[16:24], _checksum(log[:24], order, (0, 0))
    if sums != struct.unpack(">II", log[24:32]):
        return {}
    pages: dict[int, bytes] = {}
    pending: dict[int, bytes] = {}
    for start in range(_HEADER, len(log) - _FRAME - size + 1, _FRAME + size):
        head, page = log[start : start + _FRAME], log[start + _FRAME : start + _FRAME + size]
        number, commits = struct.unpack(">II", head[:8])
        sums = _checksum(page, order, _checksum(head[:8], order, sums))
        if head[8:16] != salt or sums != struct.unpack(">II", head[16:24]):
            break
        pending[number] = page
        if commits:
            pages |= pending
            pending = {}
    return pages


def _checksum(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """SQLite's checksum of some bytes that follow others, whose checksum is given.

    Each word is added to the two sums before it, as in Fibonacci's sequence. So it counts in the sums at the end as
    often as the number of that sequence that is as far from its beginning as the word is from the end.
    """
    import numpy as np

    words = np.frombuffer(data, dtype=f"{order}u4").astype(np.uint32)
    weights = _fibonacci(len(words) + 2)
    last, before = (int(np.dot(words, weights[skip : skip + len(words)][::-1])) for skip in (1, 0))
    first, second, third = (int(weights[len(words) + i]) for i in (-1, 0, 1))
    return (
        (before + first * sums[0] + second * sums[1]) & 0xFFFFFFFF,
        (last + second * sums[0] + third * sums[1]) & 0xFFFFFFFF,
    )


@cache
def _fibonacci(many: int) -> NDArray[Any]:
    """Fibonacci's numbers from 0 on, modulo 2 to the 32nd."""
    import numpy as np

    found = [0, 1]
    while len(found) < many:
        found.append((found[-2] + found[-1]) & 0xFFFFFFFF)
    return np.array(found, dtype=np.uint32)
