"""SQLite's write-ahead log, read without SQLite: the pages that were committed and not yet moved into the file."""

from __future__ import annotations

import struct

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
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for left, right in zip(words[::2], words[1::2], strict=True):
        first = (first + left + second) & 0xFFFFFFFF
        second = (second + right + first) & 0xFFFFFFFF
    return first, second
